"""Teach: demonstrations without leader arms. Keys, buttons, a gamepad or the dragged gripper move the leader."""

from vgil_ros.web.pages.teach.page import teach_page

__all__ = ["teach_page"]
