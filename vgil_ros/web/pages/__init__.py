"""The pages: one file or folder each, all within one frame."""

from __future__ import annotations

from fastapi import FastAPI

from vgil_ros.web.pages.act import act_page
from vgil_ros.web.pages.episodes import episodes_pages
from vgil_ros.web.pages.live import live_page
from vgil_ros.web.pages.record import record_page
from vgil_ros.web.pages.teach import teach_page
from vgil_ros.web.pages.train import train_page
from vgil_ros.web.runs.training import Trainings
from vgil_ros.web.runs.way import FactFinder
from vgil_ros.web.site import Site


def register_pages(app: FastAPI, site: Site) -> None:
    """Put every page at its address."""
    live_page(site)
    act_page(site)
    record_page(site)
    episodes_pages(app, site)
    trainings = Trainings(site.settings.runs_dir, site.settings.dataset_dir)
    finder = FactFinder(trainings)
    teach_page(site, finder)
    train_page(site, trainings, finder)
