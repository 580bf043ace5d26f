"""Lists of episodes: what is looked at when, what is found by a search, in which order, and curves thinned out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.episodes import made_sets
from support.episodes.made_episodes import meta, write

pytest.importorskip("fastapi", reason="nicegui is not installed: pip install 'vgil_ros[web]'")
from vgil_ros.episodes.curation import operations
from vgil_ros.episodes.curation.journal import Journal
from vgil_ros.episodes.curation.labels import Label
from vgil_ros.episodes.reading.listing import list_episodes
from vgil_ros.web.episodes.listing import Listing
from vgil_ros.web.episodes.search import search_of
from vgil_ros.web.episodes.store import EpisodeStore
from vgil_ros.web.episodes.track import read_track, thinned
from vgil_ros.web.pages.episodes.table_rows import View, chosen, page_of, shown


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made_sets.write_clean(tmp_path / "set", 3, 0)
    with Journal(tmp_path / "set").held() as journal:
        operations.label(journal, [tmp_path / "set/episode_1.hdf5"], Label("failure", ("bad",), words={"note": "slip"}))
    return tmp_path / "set"


def looked(folder: Path) -> Listing:
    listing = Listing(folder)
    listing.refresh()
    while listing.pending:
        listing.look()
    return listing


def names(listing: Listing, text: str, sort: str = "name", *, descending: bool = False) -> list[str]:
    view = View(search=search_of(text), sort=sort, descending=descending)
    return [row.name for row in chosen(listing, view, lambda _: None)]


def test_a_list_says_what_vgil_episodes_list_says(folder: Path) -> None:
    assert [row.line for row in looked(folder).rows()] == list_episodes(folder)


def test_names_are_there_before_anything_is_read_and_those_on_screen_are_read_first(folder: Path) -> None:
    listing = Listing(folder)
    listing.refresh()
    assert [row.name for row in listing.rows()] == ["episode_0.hdf5", "episode_1.hdf5", "episode_2.hdf5"]
    assert listing.pending == 3
    listing.look(["episode_2.hdf5"], budget_s=0.0)
    assert [row.line is not None for row in listing.rows()] == [False, False, True]


def test_new_deleted_and_changed_files_show_and_others_are_not_read_again(folder: Path) -> None:
    listing = looked(folder)
    kept = listing.row("episode_0.hdf5")
    shutil.copyfile(folder / "episode_0.hdf5", folder / "episode_3.hdf5")
    with Journal(folder).held() as journal:
        operations.delete(journal, [folder / "episode_2.hdf5"])
        operations.label(journal, [folder / "episode_1.hdf5"], Label("success"))
    assert listing.refresh()
    assert [row.name for row in listing.rows() if row.line is None] == ["episode_1.hdf5", "episode_3.hdf5"]
    assert listing.row("episode_2.hdf5") is None
    assert listing.row("episode_0.hdf5") is kept
    assert not listing.refresh()


def test_a_part_is_listed_and_never_opened(folder: Path) -> None:
    (folder / "episode_3.hdf5.part").write_bytes(b"\0" * 100)
    listing = looked(folder)
    row = listing.row("episode_3.hdf5.part")
    assert row is not None
    told = shown(EpisodeStore(folder.parent), row)
    assert (told["href"], told["thumb"], told["verdict"]) == ("", "", "being recorded")


def test_a_link_that_leads_out_is_not_listed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    shutil.copyfile(folder / "episode_0.hdf5", tmp_path / "else/episode_0.hdf5")
    (folder / "episode_8.hdf5").symlink_to(tmp_path / "else/episode_0.hdf5")
    assert "episode_8.hdf5" not in [row.name for row in looked(folder).rows()]


def test_a_sentence_is_that_of_vgil_episodes_filter_and_words_are_words(folder: Path) -> None:
    listing = looked(folder)
    assert names(listing, "failure") == ["episode_1.hdf5"]
    assert names(listing, "success and length > 10 and not tag:bad") == ["episode_0.hdf5", "episode_2.hdf5"]
    assert names(listing, "tag:bad") == ["episode_1.hdf5"]
    assert names(listing, "slip") == ["episode_1.hdf5"]
    assert names(listing, "CUBE episode_2") == ["episode_2.hdf5"]
    assert names(listing, "no such words") == []
    assert search_of("length >").fault is not None
    assert search_of("cube").fault is None


def test_columns_sort_and_what_is_not_known_stands_last(folder: Path) -> None:
    listing = looked(folder)
    rows = {row.name: row.line.rows for row in listing.rows() if row.line is not None}
    assert names(listing, "", "rows") == sorted(rows, key=lambda name: rows[name] or 0)
    assert names(listing, "", "tags")[0] == "episode_1.hdf5"
    assert names(listing, "", "tags", descending=True)[0] == "episode_1.hdf5"
    assert names(listing, "", "name", descending=True) == sorted(rows, reverse=True)


def test_a_page_beyond_the_last_is_the_last(folder: Path) -> None:
    rows = looked(folder).rows()
    assert page_of(rows, View(page=9, per_page=2))[0] == 2
    assert [row.name for row in page_of(rows, View(page=9, per_page=2))[1]] == ["episode_2.hdf5"]
    assert page_of([], View()) == (1, [])


def test_a_track_tells_how_each_stream_came_to_a_row(tmp_path: Path) -> None:
    track = read_track(write(tmp_path, meta(), 6))
    assert (track.rows, track.rate_hz, track.cameras) == (6, 50.0, ("cam_b", "cam_a"))
    assert [word for _, word, _ in track.flag_words(2)] == ["nearest"] * 4
    assert track.held() == {}
    assert not track.missing.any()


@given(
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=400),
    st.integers(4, 60),
)
def test_a_thinned_curve_keeps_its_least_and_greatest(values: list[float], points: int) -> None:
    curve = np.array(values)
    told = thinned(curve, 0, len(curve) - 1, points)
    rows, kept = [row for row, _ in told], [value for _, value in told]
    assert len(told) <= max(points, 2)
    assert rows == sorted(set(rows))
    assert max(kept) == round(float(curve.max()), 5)
    assert min(kept) == round(float(curve.min()), 5)
