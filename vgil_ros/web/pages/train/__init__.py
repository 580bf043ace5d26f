"""Train: runs as they stand, their curves, and a form that begins one."""

from vgil_ros.web.pages.train.page import train_page

__all__ = ["train_page"]
