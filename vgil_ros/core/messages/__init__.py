"""Messages of ROS as bytes, read without ROS: the same way out of a subscription and out of a recorded bag."""
