"""`vgil dataset`: whole data sets, checked, from one layout to another, and held against what was written."""
