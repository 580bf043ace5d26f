"""Made-up episodes."""
