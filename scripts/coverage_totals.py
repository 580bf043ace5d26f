"""Share of lines that the tests ran, for each package of vgil_ros, from the data that `make coverage` collected."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path


def measured() -> dict[str, dict[str, int]]:
    """Coverage's summary of each file, by its path from the root of the checkout."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "coverage.json")
        subprocess.run([sys.executable, "-m", "coverage", "json", "--quiet", "-o", str(report)], check=True)
        files: dict[str, dict[str, dict[str, int]]] = json.loads(report.read_text())["files"]
    return {name: entry["summary"] for name, entry in files.items()}


def main() -> None:
    """Print one line a package, and the total."""
    lines: Counter[str] = Counter()
    covered: Counter[str] = Counter()
    for name, summary in measured().items():
        package = ".".join(Path(name).parts[:2]) if len(Path(name).parts) > 2 else Path(name).parts[0]
        for key in (package, "total"):
            lines[key] += summary["num_statements"]
            covered[key] += summary["covered_lines"]
    for key in sorted(lines, key=lambda key: (key == "total", key)):
        share = 100 * covered[key] / lines[key] if lines[key] else 100.0
        print(f"{key:24s} {share:5.1f} %  of {lines[key]:6d} lines")


if __name__ == "__main__":
    main()
