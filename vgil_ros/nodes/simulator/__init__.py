"""Parts of the simulator node: command decoders and its loop."""
