"""Bringing a robot up, watching over its motors, and laying it down: sequences without I/O and without a clock."""
