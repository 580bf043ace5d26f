"""Tests here share `made_episodes`, which makes episodes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
