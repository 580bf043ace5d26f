"""The drivers of the shipped robots, as their sources have them: facts, and a process that behaves by them."""
