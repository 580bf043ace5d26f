"""One check a file: `check(data)` yields what it found among the summaries of a data set."""
