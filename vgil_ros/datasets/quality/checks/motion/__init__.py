"""Checks of how the arms move in one episode beside the others."""
