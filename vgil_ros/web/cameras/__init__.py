"""Camera pictures for browsers: the newest JPEG of each camera, handed to whoever looks."""
