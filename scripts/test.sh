#!/bin/sh
# Runs every test but the benchmarks. Tests that meet ROS run file by file, each in a process of its own, so that what
# one leaves behind in the middleware cannot reach another. Takes pytest's options: scripts/test.sh -x
# At the very end stand the seconds of each part and the name of every test that failed, however long the rest was.
set -u

pytest=${PYTEST:-.venv/bin/pytest}
failed=""
notes=$(mktemp -d)
trap 'rm -rf "$notes"' EXIT

# One line for each failed or broken test of a part's JUnit report, named as pytest names it.
failures() {
    "${pytest%pytest}python" - "$1" <<'EOF'
import sys
import xml.etree.ElementTree as ET

for case in ET.parse(sys.argv[1]).iter("testcase"):
    for kind, word in (("failure", "FAILED"), ("error", "ERROR")):
        found = case.find(kind)
        if found is not None:
            file, name, group = (case.get(key, "") for key in ("file", "name", "classname"))
            inner = group[len(file) - 3 :].strip(".")  # a class, behind the module
            why = (found.get("message") or "").splitlines() or [""]
            print("::".join(filter(None, (f"{word} {file}", inner, name))), "-", why[0][:150])
EOF
}

# Run pytest; where the test process itself was ended by a signal (rclpy's tear-down in it, not a node: nodes are
# processes of their own), say so and run it once more.
try() {
    echo "== $1"
    began=$(date +%s)
    rm -f "$notes/report.xml"
    "$pytest" -q -m "not bench" -o junit_family=xunit1 --junitxml="$notes/report.xml" "$@"
    code=$?
    if [ $code -ge 128 ]; then
        echo "== $1: the test process was ended by signal $((code - 128)); once more"
        "$pytest" -q -m "not bench" -o junit_family=xunit1 --junitxml="$notes/report.xml" "$@"
        code=$?
    fi
    verdict=""
    if [ $code -ne 0 ] && [ $code -ne 5 ]; then
        failed="$failed $1"
        verdict="  failed, exit code $code"
        if [ -s "$notes/report.xml" ]; then failures "$notes/report.xml" >>"$notes/failures"; fi
    fi
    printf '%5d s  %s%s\n' $(($(date +%s) - began)) "$1" "$verdict" >>"$notes/times"
}

for part in test/core test/episodes test/robots test/policies test/training test/evaluation test/cli test/docs test/examples test/nodes/test_*.py; do
    [ -e "$part" ] && try "$part" "$@"
done

echo "== seconds of each part"
cat "$notes/times"
if [ -n "$failed" ]; then
    echo "== failed tests"
    cat "$notes/failures" 2>/dev/null
    echo "failed:$failed"
    exit 1
fi
echo "all passed"
