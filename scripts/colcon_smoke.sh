#!/bin/bash
# Builds this package in a colcon workspace of its own, records an episode of the simulated robot through `ros2 launch`
# and checks it. For a container of the image ros:<distribution>, as root: it installs what it needs.
set -eo pipefail # not -u: ROS 2's setup files read variables that may be unset

here=$(cd "$(dirname "$0")/.." && pwd)
workspace=$(mktemp -d)
trap 'rm -rf "$workspace"' EXIT
say() { printf '%s\n' "== $*"; }

source "/opt/ros/${ROS_DISTRO:?is not set: this runs where a ROS 2 is installed}/setup.bash"

say "$ROS_DISTRO, $(python3 --version): packages"
export DEBIAN_FRONTEND=noninteractive PIP_BREAK_SYSTEM_PACKAGES=1
apt-get update -qq
apt-get install -y -qq --no-install-recommends python3-pip libegl1 libgl1-mesa-dri >/dev/null
rosdep update --rosdistro "$ROS_DISTRO" >/dev/null
rosdep install --from-paths "$here" --ignore-src --dependency-types=exec --rosdistro "$ROS_DISTRO" -y >/dev/null
# --user: what the distribution installed cannot be replaced, but can be put behind
python3 -m pip install --quiet --user -r "$here/requirements.txt" 'mujoco>=3.3'

say "colcon build"
cd "$workspace"
colcon build --base-paths "$here" --packages-select vgil_ros
source install/setup.bash

say "import"
stated=$(sed -n 's:.*<version>\(.*\)</version>.*:\1:p' "$here/package.xml")
found=$(python3 -c 'import vgil_ros; print(vgil_ros.__version__)')
[ "$found" = "$stated" ] || { echo "vgil_ros.__version__ is $found; package.xml says $stated" >&2; exit 1; }
python3 -c 'import vgil_ros.nodes.recorder, vgil_ros.nodes.teleop, vgil_ros.nodes.sim; print("nodes: imported")'

say "record one simulated episode"
timeout 300 ros2 launch vgil_ros record.launch.py robot:=sim_single sim:=true autostart:=true \
    num_episodes:=1 episode_len:=100 max_aborted:=0 dataset_dir:="$workspace/episodes"
ros2 run vgil_ros vgil episodes check "$workspace/episodes"
say "$ROS_DISTRO: all passed"
