"""Teaching from the page: what a hand on keys, pad, buttons or a dragged gripper asks of a leader. No I/O, no clock."""
