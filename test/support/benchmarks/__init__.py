"""Loads, peers and networks that benchmarks measure."""
