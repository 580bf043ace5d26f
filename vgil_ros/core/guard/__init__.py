"""Readings that lie and joints that do not follow: what a joint can read, and whether it comes after its command."""
