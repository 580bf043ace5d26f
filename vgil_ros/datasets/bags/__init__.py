"""Recorded messages (rosbag2, MCAP, our own raw logs) to episodes, without ROS."""
