"""Pretended STS3215 servos on a pseudo terminal, with the faults that cables and servos have."""
