#!/bin/sh
# Builds the message packages of interfaces/ into a virtual environment that has ROS 2 from PyPI: sh scripts/build_interfaces.sh VENV
# Packages that are there are left alone; one whose definitions changed is built anew. Needs cmake and a C++ compiler.
set -eu
venv=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")/.." && pwd)
say() { printf '%s\n' "interfaces: $*"; }
fail() { printf '%s\n' "interfaces: $*" >&2; exit 1; }

distro=$("$venv/bin/python" - <<'PY'
from importlib.metadata import PackageNotFoundError, version
try:
    print("jazzy-" if version("ros-rclpy").startswith("7.1.") else "")
except PackageNotFoundError:
    print("none")
PY
)
[ "$distro" != none ] || fail "$1 has no ROS 2 from PyPI; an installed ROS 2 has these packages of its own"

wanted=""
for package in "$here"/interfaces/*/; do
    name=$(basename "$package")
    sum=$(cat "$package"CMakeLists.txt "$package"*/* | cksum | cut -d' ' -f1)
    mark="$venv/share/$name/.built-$sum"
    [ -f "$mark" ] || wanted="$wanted $name:$sum"
done
[ -n "$wanted" ] || exit 0

for tool in cmake c++ make; do
    if ! command -v $tool >/dev/null 2>&1; then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
            say "installing cmake and a C++ compiler"
            apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq cmake g++ make
        else
            fail "$tool is missing. Ask for: apt-get install cmake g++ make"
        fi
    fi
done
generators=""
for name in rosidl-default-generators rosidl-core-generators ament-cmake ament-cmake-include-directories ament-cmake-ros-core ament-package python-cmake-module; do
    generators="$generators ros-$distro$name"
done
say "fetching the generators"
# shellcheck disable=SC2086
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check $generators catkin-pkg

# The wheels' CMake files name the headers of the machine that they were built on.
python_headers=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
numpy_headers=$("$venv/bin/python" -c 'import numpy; print(numpy.get_include())')
[ -f "$python_headers/Python.h" ] || fail "$python_headers has no Python.h. Ask for: apt-get install python3-dev"
grep -rl /opt/python/ "$venv/share" --include='*.cmake' | xargs -r sed -i -E \
    -e "s#/opt/python/[a-z0-9]+-[a-z0-9]+/include/python3\.[0-9]+#$python_headers#g" \
    -e "s#/opt/python/[a-z0-9]+-[a-z0-9]+/lib/python3\.[0-9]+/site-packages/numpy/_core/include#$numpy_headers#g"

export AMENT_PREFIX_PATH="$venv" CMAKE_PREFIX_PATH="$venv" PATH="$venv/bin:$PATH"
for entry in $wanted; do
    name=${entry%%:*}
    sum=${entry##*:}
    say "building $name (a minute)"
    build=$(mktemp -d)
    {
        cmake -S "$here/interfaces/$name" -B "$build" -DCMAKE_INSTALL_PREFIX="$venv" -DCMAKE_BUILD_TYPE=Release \
            -DBUILD_TESTING=OFF -DPython3_EXECUTABLE="$venv/bin/python" &&
            cmake --build "$build" -j2 && cmake --install "$build"
    } >"$build/log" 2>&1 || { tail -n 30 "$build/log" >&2; fail "$name could not be built"; }
    rm -rf "$build" "$venv/share/$name/".built-*
    touch "$venv/share/$name/.built-$sum"
done
