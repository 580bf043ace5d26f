"""Launch actions and arguments that the launch files share."""
