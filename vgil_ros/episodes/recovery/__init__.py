"""Recovery of episodes whose writer was killed, or whose file was cut short."""
