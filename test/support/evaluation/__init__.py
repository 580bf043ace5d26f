"""Tiny policies and a toy task for evaluations."""
