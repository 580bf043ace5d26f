"""The robot's end of the operator's page: what it hears, what it asks of other nodes, and pictures for browsers."""
