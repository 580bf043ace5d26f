#!/bin/sh
# Runs the tests of the nodes in an environment that has ROS 2 Jazzy from PyPI, file by file. `make test-jazzy` makes
# that environment. Takes pytest's options: scripts/test_jazzy.sh -x
set -u

python=${PYTHON:-.venv-jazzy/bin/python}
failed=""

found=$("$python" -c 'from importlib.metadata import version; print(version("ros-rclpy"))') || exit 1
case "$found" in
    7.1.*) echo "== rclpy $found (Jazzy), $("$python" --version)" ;;
    *) echo "test-jazzy: rclpy is $found; Jazzy has 7.1" >&2; exit 1 ;;
esac
export ROS_DISTRO=jazzy # a sourced Jazzy sets it, PyPI's packages do not; it says how Fast DDS takes its profile

for part in $(find test/nodes -name 'test_*.py' | sort); do
    echo "== $part"
    "$python" -m pytest -q -m "not bench and not fuzz" "$part" "$@"
    code=$?
    if [ $code -ne 0 ] && [ $code -ne 5 ]; then failed="$failed $part (exit code $code)"; fi
done

if [ -n "$failed" ]; then
    echo "failed:$failed"
    exit 1
fi
echo "all passed"
