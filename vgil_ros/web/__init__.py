"""The operator's page: watch, record, curate, act and teach in a browser (extra `[web]`). No rclpy: a node hands it
a `RobotLink`."""
