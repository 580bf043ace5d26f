"""One thread for each test process."""

from __future__ import annotations

import torch

torch.set_num_threads(1)  # the networks are small: threads that wait for each other on a busy machine cost more
