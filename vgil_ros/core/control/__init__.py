"""The control loop: chunks in, one safe command a tick out. No I/O and no clock."""
