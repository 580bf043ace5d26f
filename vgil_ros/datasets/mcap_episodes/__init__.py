"""Episodes as MCAPs of ROS 2 messages: written for other tools and for `from-bag`, and read back as they were."""
