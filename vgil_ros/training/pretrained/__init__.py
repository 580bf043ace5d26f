"""What a training takes over from pretrained weights: to begin with, and a part that never learns."""
