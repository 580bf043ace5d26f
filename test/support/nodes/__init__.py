"""Real nodes in tests: domains, processes, a fake robot, and a client on the wire."""
