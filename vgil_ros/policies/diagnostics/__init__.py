"""Diagnostics of trained policies: replay on episodes, comparisons of teacher and student."""
