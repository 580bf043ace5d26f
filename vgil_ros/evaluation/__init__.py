"""Evaluation of policies: rollouts on the simulated robot, their metrics, and model cards. Nothing here trains."""
