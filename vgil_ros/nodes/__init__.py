"""ROS 2 nodes: they convert, call and publish; every decision is made elsewhere."""
