"""The commands `vgil demo` and `vgil train-demo`."""
