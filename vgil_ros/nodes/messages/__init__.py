"""ROS messages in and out: subscriptions, publishers, CDR, prebuilt messages."""
