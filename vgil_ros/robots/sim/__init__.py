"""The simulated robot: a world built from a contract, a task in it, and pictures of it."""
