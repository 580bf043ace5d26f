#!/bin/sh
# Runs every test but the benchmarks. Tests that meet ROS run file by file, each in a process of its own, so that what
# one leaves behind in the middleware cannot reach another. Takes pytest's options: scripts/test.sh -x
set -u

pytest=${PYTEST:-.venv/bin/pytest}
failed=""

# Run pytest; where the test process itself was ended by a signal (rclpy's tear-down in it, not a node: nodes are
# processes of their own), say so and run it once more.
try() {
    echo "== $1"
    "$pytest" -q -m "not bench" "$@"
    code=$?
    if [ $code -ge 128 ]; then
        echo "== $1: the test process was ended by signal $((code - 128)); once more"
        "$pytest" -q -m "not bench" "$@"
        code=$?
    fi
    [ $code -eq 0 ] || [ $code -eq 5 ] || failed="$failed $1"
}

for part in test/core test/episodes test/robots test/policies test/training test/training_eval test/cli test/nodes/test_*.py; do
    [ -e "$part" ] && try "$part" "$@"
done

if [ -n "$failed" ]; then
    echo "failed:$failed"
    exit 1
fi
echo "all passed"
