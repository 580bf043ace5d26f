"""Descriptions: what a launch file returns, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from vgil_ros.cli.launch_shim.context import LaunchContext

if TYPE_CHECKING:
    from vgil_ros.cli.launch_shim.actions import DeclareLaunchArgument


class LaunchDescriptionEntity:
    """Something that can be part of a launch description."""

    def execute(self, context: LaunchContext) -> Iterable[LaunchDescriptionEntity]:
        """Do it, and return what is to be done next."""
        raise NotImplementedError(type(self).__name__)


class LaunchDescription(LaunchDescriptionEntity):
    """A list of entities, executed in order."""

    def __init__(self, initial_entities: Iterable[LaunchDescriptionEntity] | None = None) -> None:
        self.entities = list(initial_entities or [])

    def add_action(self, action: LaunchDescriptionEntity) -> None:
        """Append an entity."""
        self.entities.append(action)

    def get_launch_arguments(self) -> list[DeclareLaunchArgument]:
        """Return the arguments that it declares."""
        from vgil_ros.cli.launch_shim.actions import DeclareLaunchArgument

        return [entity for entity in self.entities if isinstance(entity, DeclareLaunchArgument)]

    def execute(self, context: LaunchContext) -> Iterable[LaunchDescriptionEntity]:
        """Return its entities."""
        return self.entities


class ParameterValue:
    """A node parameter of a fixed type, so that the text "12" stays a text."""

    def __init__(self, value: Any, *, value_type: type) -> None:
        self.value = value_type(value)
