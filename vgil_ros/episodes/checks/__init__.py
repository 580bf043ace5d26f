"""One check a file: `check(episode, scan)` yields findings."""
