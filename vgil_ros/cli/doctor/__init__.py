"""`vgil doctor`: what is wrong with this computer, and what to do."""
