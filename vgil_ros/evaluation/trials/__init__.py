"""Trials on real robots: blinded, in random order, stopped by a sequential test, kept in a journal."""
