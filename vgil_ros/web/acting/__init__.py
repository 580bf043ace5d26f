"""What the page knows of a running policy, for all viewers: history, successes, checkpoints and their checks."""
