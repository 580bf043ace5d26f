"""A policy behind a websocket, on OpenPI's wire: the codec, the connection, and the policy that a robot runs."""
