"""Policies that run elsewhere: a codec and a server written from the wire's description, not from ours."""
