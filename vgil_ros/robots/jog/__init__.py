"""Jogging: an arm's tip is moved by hand with keys, a gamepad or a SpaceMouse. No ROS, no clock: time is an argument."""
