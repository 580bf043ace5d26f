"""The ROS graph in words and rules: who commands a robot, which service or topic a name means."""
