"""Policies in tests: their shared contract, toys with known answers, and writers of the peers' formats."""
