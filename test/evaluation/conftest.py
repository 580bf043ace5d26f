"""Let the tests of this folder share their helper modules."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

torch.set_num_threads(1)  # the networks are small: threads that wait for each other on a busy machine cost more
