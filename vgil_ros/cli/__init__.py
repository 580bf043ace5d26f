"""The `vgil` command."""
