"""The raw log beside an episode: every message as it came, and what the recorder decided, in an MCAP."""
