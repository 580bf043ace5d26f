"""Curation of a data set: every operation is all or nothing, and can be undone until the trash is emptied."""
