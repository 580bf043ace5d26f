"""Go or no-go before a policy moves a robot: what was found, held against the checkpoint and its training data."""
