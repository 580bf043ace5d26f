"""Checks of what the cameras see in one episode beside the others."""
