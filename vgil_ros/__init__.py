"""Record teleoperation, train, and run visuomotor policies on ROS 2 robots."""

__version__ = "0.1.0"
