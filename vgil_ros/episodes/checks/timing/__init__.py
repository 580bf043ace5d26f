"""Checks of time: stamps, the clocks behind them, and how samples lie to their ticks."""
