"""What the page says of a recorder, of a computer and of the last minutes, from plain texts and statuses."""

from __future__ import annotations

import io
import wave
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from vgil_ros.core.errors import VgilError
from vgil_ros.web.access.visitors import Role
from vgil_ros.web.history import History
from vgil_ros.web.host import GrowthWatch, HostWatch
from vgil_ros.web.link import ERROR, OK, STALE, WARN, NodeStatus
from vgil_ros.web.parts.sounds import TONES, sound
from vgil_ros.web.recording import SILENT, SoundWatch, banner, counter, progress, verdict
from vgil_ros.web.settings import WebSettings


def status(level: int = OK, message: str = "", **values: Any) -> NodeStatus:
    return NodeStatus(level, message, {key: str(value) for key, value in values.items()}, 0.1)


def test_the_banner_says_how_long_it_records_and_what_is_wrong() -> None:
    good = banner(status(state="recording", rows=250, rows_dropped=0), 50.0)
    assert (good.word, good.detail, good.recording) == ("recording", "5.0 s, 250 rows", True)
    bad = banner(status(WARN, "cam_high: silent", state="recording", rows=50, rows_dropped=2), 50.0)
    assert bad.detail == "1.0 s, 50 rows, 2 left out - cam_high: silent"


def test_the_banner_tells_ready_from_not_ready_and_silent() -> None:
    assert banner(status(state="idle"), 50.0).word == "ready"
    missing = banner(status(ERROR, "arm/puppet: silent", state="idle"), 50.0)
    assert (missing.word, missing.detail) == ("not ready", "arm/puppet: silent")
    assert banner(None, 50.0).word == banner(status(STALE, state="recording"), 50.0).word == SILENT


def test_the_counter_and_the_goal() -> None:
    assert (counter(status(episodes_done=3, episodes_wanted=0)), progress(status(episodes_done=3))) == ("3", None)
    goal = status(episodes_done=3, episodes_wanted=12)
    assert (counter(goal), progress(goal)) == ("3 of 12", 0.25)


def test_the_verdict_is_that_of_the_last_episode() -> None:
    assert verdict(status(state="idle")) is None
    found = verdict(status(last_verdict="bad", last_words="BAD: cam_high: frozen", last_episode="/d/episode_3.hdf5"))
    assert found is not None
    assert not found.good
    assert "frozen" in found.words


def test_a_sound_for_each_change_and_none_at_first_sight() -> None:
    watch = SoundWatch()
    assert watch.heard(status(state="recording", last_verdict="bad", last_words="a")) is None
    assert watch.heard(status(state="saving", last_verdict="bad", last_words="a")) == "stop"
    assert watch.heard(status(state="idle", last_verdict="ok", last_words="saved b")) == "saved"
    assert watch.heard(status(state="idle", last_verdict="ok", last_words="saved b")) is None
    assert watch.heard(status(state="recording", last_verdict="ok", last_words="saved b")) == "start"
    assert watch.heard(status(state="idle", last_verdict="lost", last_words="no row")) == "bad"
    assert watch.heard(None) is None


@pytest.mark.parametrize("name", TONES)
def test_sounds_are_whole_wav_files(name: str) -> None:
    with wave.open(io.BytesIO(sound(name))) as file:
        assert file.getnframes() == pytest.approx(16_000 * sum(seconds for _, seconds in TONES[name]), abs=5)
        assert max(file.readframes(file.getnframes())) > 0


def test_history_keeps_the_last_minutes_and_leaves_out_what_was_not_there() -> None:
    history = History(keep_s=10.0, every_s=1.0)
    for second in range(30):
        figures = {"a": float(second)} if second % 4 else {"b": 1.0}
        history.update(second / 2, partial(dict, figures))
    series = history.series("a", 15.0)
    assert all(-10.5 <= at <= 0.0 for at, _ in series)
    assert [value for _, value in series] == sorted(v for _, v in series)
    assert history.most("a") == 26.0
    assert history.most("c") is None


def test_the_computer_is_read_from_proc(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 400 kB\n")
    (tmp_path / "stat").write_text("cpu 100 0 100 800 0 0 0 0 0 0\n")
    watch = HostWatch(tmp_path)
    watch.read()
    (tmp_path / "stat").write_text("cpu 150 0 100 850 0 0 0 0 0 0\n")
    found = watch.read()
    assert found is not None
    assert found.cpu == pytest.approx(0.5 * found.cores)
    assert (found.memory, found.memory_total) == (600 * 1024, 1000 * 1024)
    assert HostWatch(tmp_path / "none").read() is None


def test_growth_is_that_of_the_file_being_recorded(tmp_path: Path) -> None:
    watch, part = GrowthWatch(tmp_path), tmp_path / "episode_0.hdf5.part"
    assert watch.read(0.0) is None
    part.write_bytes(bytes(1000))
    watch.read(1.0)
    part.write_bytes(bytes(7000))
    assert watch.read(4.0) == pytest.approx(2000.0)
    part.unlink()
    assert watch.read(5.0) == pytest.approx(2000.0)  # of the episode that was recorded last


def test_on_the_network_a_token_is_asked_for_and_alone_none() -> None:
    assert WebSettings().tokens() == {}
    made = WebSettings(host="0.0.0.0").tokens()
    assert sorted(role.value for role in made.values()) == ["look", "operate"]
    assert all(len(one) > 20 for one in made)
    assert WebSettings(host="0.0.0.0", operate_token="a" * 9, look_token="b" * 9).tokens() == {
        "a" * 9: Role.OPERATE,
        "b" * 9: Role.LOOK,
    }
    with pytest.raises(VgilError, match="allowed: two different ones"):
        WebSettings(host="0.0.0.0", operate_token="same", look_token="same").tokens()


@pytest.mark.parametrize(("settings", "words"), [({"port": 70000}, "allowed: 0"), ({"host": " "}, "host is empty")])
def test_wrong_settings_are_named(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(VgilError, match=words):
        WebSettings(**settings)
