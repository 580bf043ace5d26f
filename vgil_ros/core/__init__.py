"""Robot contract, synchroniser, TimeSteps, chunk execution, safety. No I/O, no clock: time is an argument."""
