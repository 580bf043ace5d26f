"""The base of every node: parameters, scheduling, status, timing, keyboard."""
