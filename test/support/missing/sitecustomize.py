"""Loaded by Python at its start where this folder is on PYTHONPATH: packages of $MISSING seem not installed."""

import os
import sys

for name in os.environ.get("MISSING", "").split():
    sys.modules[name] = None  # type: ignore[assignment]  # as documented: importing it fails
