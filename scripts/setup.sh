#!/bin/sh
# Makes the virtual environment that `make demo` and `make test` run in: this package, ROS 2 (from PyPI, unless one is
# sourced), the simulator, plots, policies and the tools for tests and documentation. Needs a network for packages, and
# Python 3.10+. EXTRAS=sim,plot,dev takes these extras of setup.py alone; ROS 2 only where they name it.
set -eu

python=${PYTHON:-python3}
venv=${VENV:-.venv}

say() { printf '%s\n' "setup: $*"; }
fail() { printf '%s\n' "setup: $*" >&2; exit 1; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "$python is $("$python" --version 2>&1); 3.10 or newer is needed (make PYTHON=python3.11 ...)"

extras=${EXTRAS:-sim,plot,policy,diffusion,vla,train,data,feetech,remote,web,docs,dev}
# The simulator draws without a screen through EGL on Mesa.
case ",$extras," in *,sim,* | *,demo,*) draws=yes ;; *) draws="" ;; esac
if [ -n "$draws" ] && ! "$python" - <<'EOF'
import ctypes, glob, sys
try:
    ctypes.CDLL("libEGL.so.1"), ctypes.CDLL("libEGL_mesa.so.0")
except OSError:
    sys.exit(1)
places = ("/usr/lib/*/dri/swrast_dri.so", "/usr/lib*/dri/swrast_dri.so", "/usr/lib/*/libgallium-*.so", "/usr/lib*/libgallium-*.so")
sys.exit(not any(glob.glob(place) for place in places))
EOF
then
    if [ "$(id -u)" = 0 ]; then as_root=""; elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then as_root="sudo -n"; else as_root="none"; fi
    if [ "$as_root" = none ] || ! command -v apt-get >/dev/null 2>&1; then
        fail "libEGL and Mesa are missing and this user may not install them. Ask for: apt-get install libegl1 libgl1-mesa-dri"
    fi
    say "installing libegl1 and libgl1-mesa-dri, which the simulator draws with"
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq libegl1 libgl1-mesa-dri
fi

site=""
if "$python" -c 'import rclpy' >/dev/null 2>&1; then
    case ",$extras," in *,ros,* | *,ros-*) fail "a ROS 2 is sourced (${ROS_DISTRO:-unknown}); use a shell without one for EXTRAS=$extras" ;; esac
    say "using the ROS 2 that is sourced (${ROS_DISTRO:-unknown})"
    site="--system-site-packages"
elif [ -z "${EXTRAS:-}" ]; then
    say "no ROS 2 is sourced: taking ROS 2 Kilted from PyPI"
    extras=ros,$extras
fi

if [ ! -x "$venv/bin/python" ]; then
    say "making $venv"
    "$python" -m venv $site "$venv" ||
        fail "the virtual environment could not be made; on Debian and Ubuntu: apt-get install python3-venv"
fi
case ",$extras," in *,policy,*) size=", several GB with torch" ;; *) size="" ;; esac
say "installing packages (a minute or two$size)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade pip
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e ".[$extras]"
say "done"
