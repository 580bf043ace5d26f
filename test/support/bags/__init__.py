"""Bags and raw logs for tests, made without ROS."""
