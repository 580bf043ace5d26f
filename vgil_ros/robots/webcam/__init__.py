"""Webcams: the kernel's V4L2 devices found, described, set as the contract says, and read with their own stamps."""
