"""Training runs as the page shows and starts them: what a run's folder tells, and the processes that fill it."""
