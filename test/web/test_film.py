"""The film of an episode, as the server knows it: what the browser told before a move does not undo the move."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("nicegui")

from nicegui import Client
from nicegui.events import GenericEventArguments
from nicegui.page import page

from vgil_ros.web.parts.film import Film


@pytest.fixture
def film() -> Film:
    with Client(page("/film")):
        return Film([], "", (1, 1), 100, 25.0)


def told(film: Film, *args: Any) -> None:
    """The browser says where it is."""
    listener = next(one for one in film._event_listeners.values() if one.type == "row")
    assert listener.handler is not None
    listener.handler(GenericEventArguments(sender=film, client=film.client, args=list(args)))


def test_a_row_from_before_the_last_move_is_not_believed(film: Film) -> None:
    told(film, 48, 0)
    assert film.row == 48
    film.go(0)
    told(film, 49, 0)
    assert film.row == 0
    film.step(10)
    told(film, 0, 1)
    assert film.row == 10
    told(film, 12, 2)
    assert film.row == 12


@pytest.mark.parametrize("nonsense", [(), ("x", 0), (5,), ({"row": 5}, 0)])
def test_what_no_film_says_is_not_taken(film: Film, nonsense: tuple[Any, ...]) -> None:
    told(film, *nonsense)
    assert film.row == 0


def test_it_ends_where_the_episode_does(film: Film) -> None:
    film.go(1 << 30)
    assert film.row == 99
    film.step(-200)
    assert film.row == 0
    told(film, 500, 2)
    assert film.row == 99
