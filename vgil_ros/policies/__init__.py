"""Policies and their runtime on torch. No rclpy, no h5py."""
