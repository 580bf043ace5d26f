"""Checks of how joints move: against the contract in the file, the sensors' own rates, and the other episodes."""
