"""Comparison of policies: paired tests, tests that may stop at any time, and many at once."""
