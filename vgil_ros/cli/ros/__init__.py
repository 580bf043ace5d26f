"""`vgil call`, `vgil status`, `vgil topics`: nodes that run, from the command line."""
