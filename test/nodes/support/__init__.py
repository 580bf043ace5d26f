"""What the tests over real nodes share: domains, processes, a fake robot, and an ear on the wire."""
