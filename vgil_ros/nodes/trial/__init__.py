"""Robot's side of a trial: the policy's process, what is seen and called, and the loop that conducts it."""
