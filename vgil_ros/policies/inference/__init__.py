"""Fast inference of trained policies on CPU and CUDA."""
