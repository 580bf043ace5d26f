"""Tests here share `made_episodes`, which makes episodes, and the gauge of stalls with those over nodes."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "nodes")]
