"""The commands `vgil checkpoint ...`."""
