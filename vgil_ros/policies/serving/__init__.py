"""A checkpoint served to other computers, on OpenPI's wire."""
