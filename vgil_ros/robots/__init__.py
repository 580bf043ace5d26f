"""Kinematics of arms, the simulated robot, and its scripted operators."""
