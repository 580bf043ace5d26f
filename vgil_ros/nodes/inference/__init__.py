"""The policy's inference thread and its set-up in a node."""
