"""What is computed of one episode while it is open: motion, smoothness, gripper, images."""
