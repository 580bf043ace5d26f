"""Helpers of the tests: made episodes, toy policies, peers' writers, and robots and nodes on benches."""
