"""A robot on its topics as a `dm_env.Environment`."""
