"""Sessions of a node: start and stop, scene resets, episode recording."""
