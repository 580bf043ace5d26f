"""Episodes: a list of them at `/episodes`, and one of them at `/episodes/PLACE`, its file within the dataset folder."""

from __future__ import annotations

from fastapi import FastAPI
from nicegui import app as nicegui_app

from vgil_ros.web.episodes.routes import add_episode_routes
from vgil_ros.web.episodes.store import EpisodeStore
from vgil_ros.web.pages.episodes.one import one_page
from vgil_ros.web.pages.episodes.table import table_page
from vgil_ros.web.site import Site


def episodes_pages(app: FastAPI, site: Site) -> None:
    """Put the pages, and the routes of their pictures, at their addresses."""
    store = EpisodeStore(site.settings.dataset_dir)
    add_episode_routes(app, store.folders, store.pictures)
    table_page(site, store)
    one_page(site, store)
    nicegui_app.on_shutdown(store.close)
