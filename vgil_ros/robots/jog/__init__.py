"""Jogging: an arm's tip is moved by hand with keys, a gamepad or a SpaceMouse. Time is an argument."""
