"""The simulated robot, arm drivers and scripted operators."""
