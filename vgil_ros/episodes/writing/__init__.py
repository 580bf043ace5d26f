"""Parts of the episode writer: encoding, the thread that owns the file, room on the disk."""
