#!/bin/sh
# Runs every test but the benchmarks, in the virtual environment: see run_tests.py. Takes pytest's options: scripts/test.sh -x
pytest=${PYTEST:-.venv/bin/pytest}
exec "${pytest%pytest}python" "$(dirname "$0")/run_tests.py" "$@"
