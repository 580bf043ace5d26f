"""The commands `vgil episodes ...`."""
