"""What nodes share about real hardware: calls to drivers, gripper modes, the bring-up's word, slow moves to a pose."""
