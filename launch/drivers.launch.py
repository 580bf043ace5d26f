"""The drivers of a robot whose arms have a `bus`, by themselves: other launch files then take `drivers:=false`."""

from launch import LaunchDescription
from vgil_ros.nodes.launching.actions import COMMON, declare, monitoring, prepare
from vgil_ros.nodes.launching.drivers import drivers


def generate_launch_description() -> LaunchDescription:
    """The first driver that ends, ends the launch."""
    return LaunchDescription(
        [*declare("robot", *COMMON, robot="so101"), prepare("feetech"), drivers(main=True), *monitoring()]
    )
