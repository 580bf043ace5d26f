"""`vgil dataset`: whole data sets, from one layout to another and held against what was written."""
