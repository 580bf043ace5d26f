"""Reading files that others made: what is in them, held against the file itself before any of it is believed."""
