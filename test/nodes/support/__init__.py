"""What the tests over real nodes share: domains, processes, a fake robot, and a client on the wire."""
