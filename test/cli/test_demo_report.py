"""The demo's report: what it tells, and that a browser shows all of it."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.browser import browser, console_of_file, look

from vgil_ros.cli.demo.html import element, table
from vgil_ros.cli.demo.report import Acted, DemoReport, Recorded, render
from vgil_ros.episodes.video import VideoWriter
from vgil_ros.evaluation.metrics import Percentiles, Rollout, summarise
from vgil_ros.evaluation.plan import EvaluationPlan
from vgil_ros.evaluation.report import Machine, make_report
from vgil_ros.evaluation.thumbnails import ThumbnailSheet

needs_browser = pytest.mark.skipif(
    browser() is None, reason="no Chromium or Chrome here (apt-get install chromium); the report is not looked at"
)
ROLLOUTS = (
    Rollout(20000, True, 712.0, 4.0, 400, 231, {"max": 0.02, "p99": 0.01}, {}),
    Rollout(20001, False, 90.0, 2.0, 400, None, {"max": 0.03, "p99": 0.02}, {"velocity": 3}),
)


def moving(count: int) -> list[np.ndarray]:
    """Images (120, 160, 3) of a ball that rolls."""
    images = []
    for n in range(count):
        image = np.full((120, 160, 3), 60, np.uint8)
        cv2.circle(image, (10 + 4 * n, 60), 8, (240, 120, 40), -1)
        images.append(image)
    return images


def video(path: Path) -> None:
    with VideoWriter(path, 25.0) as made:
        for image in moving(30):
            made.add([image])


@pytest.fixture
def report(tmp_path: Path) -> DemoReport:
    """A report with all that it links to, beside it."""
    (tmp_path / "pick_place").mkdir()
    (tmp_path / "rollouts").mkdir()
    sheet = ThumbnailSheet()
    for rollout in ROLLOUTS:
        video(tmp_path / "rollouts" / f"seed_{rollout.seed}.mp4")
        sheet.add(rollout, moving(30))
    sheet.save(tmp_path / "rollouts" / "thumbnail_sheet.png")
    video(tmp_path / "pick_place" / "episode_0.mp4")
    cv2.imwrite(str(tmp_path / "pick_place" / "episode_0.png"), moving(1)[0])
    plan = EvaluationPlan("pick_place", episodes=2, seed=20000)
    machine = Machine(inference_ms=Percentiles(p50=11.6), seconds=20.0)
    evaluation = make_report(plan.settings, summarise(ROLLOUTS, 4.0), machine, policy="act", over_ros=True)
    return DemoReport(
        created="1 May 2030, 12:00",
        software="vgil_ros 0",
        machine="2 cores",
        recorded=(
            Recorded("pick_place/episode_0", "sim_single", "pick_place", 400, 8.0, True, True, ("held: 1 row",),
                     "pick_place/episode_0.png", "pick_place/episode_0.mp4"),
        ),
        acted=(Acted("sim_pick_place_act", 4.25, evaluation, "rollouts"),),
        commands=(("Record", "vgil launch <this> & that"),),
        seconds={"record": 20.0, "run the policy": 30.5},
    )  # fmt: skip


def test_it_tells_the_figures(report: DemoReport) -> None:
    text = re.sub(r"<[^>]+>", " ", render(report))
    for words in (
        "1 of 2",
        "return 712",
        "12 ms",
        "1 of 1",
        "4.2 MB",
        "tick 231 of 400",
        "velocity 3",
        "never",
        "50 s",
    ):
        assert words in text, words
    assert "95 %" in text
    assert text.count("\N{CHECK MARK}") == 2
    assert text.count("\N{BALLOT X}") == 1


def test_each_policy_has_its_own_part(report: DemoReport) -> None:
    first = report.acted[0]
    other = first.evaluation.model_copy(update={"task": "transfer_cube", "robot": "sim_aloha", "successes": 2})
    text = re.sub(r"<[^>]+>", " ", render(replace(report, acted=(first, Acted("handover", 7.1, other, "rollouts")))))
    for words in ("A policy does pick_place on sim_single", "A policy does transfer_cube on sim_aloha", "handover",
                  "7.1 MB", "1 of 2", "2 of 2"):  # fmt: skip
        assert words in text, words


def test_what_it_links_to_is_there_and_nothing_is_elsewhere(report: DemoReport, tmp_path: Path) -> None:
    page = render(report)
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(links) >= 8
    assert [link for link in links if link != "data:," and not (tmp_path / link).is_file()] == []
    assert "http" not in page


def test_text_is_escaped(report: DemoReport) -> None:
    assert "vgil launch &lt;this&gt; &amp; that" in render(report)
    assert str(element("a", "<b>", href='"')) == '<a href="&quot;">&lt;b&gt;</a>'
    assert "<td>a&amp;b</td>" in table(["x"], [["a&b"]])


@needs_browser
def test_a_browser_shows_it_without_an_error(report: DemoReport, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(render(report), encoding="utf-8")
    found = look(tmp_path / "report.html")
    assert found.console == []
    assert found.missing == []
    assert found.page["errors"] == []
    assert "A policy does pick_place on sim_single" in found.page["text"]
    assert [image for image in found.page["images"] if not image["width"]] == []
    assert len(found.page["videos"]) == 3
    for video in found.page["videos"]:
        assert video["error"] is None, video
        assert video["width"] == 160
        assert 1.0 < video["seconds"] < 1.4
        assert video["at"] > 0, "it plays"
    assert found.page["overflow"] <= 0, "no scrolling sideways"
    screenshot = tmp_path / "shown.png"
    assert console_of_file(tmp_path / "report.html", screenshot) == []
    shown = cv2.imread(str(screenshot))
    assert shown is not None
    assert shown.std() > 10, "not an empty page"


@needs_browser
def test_the_browser_test_sees_what_is_wrong(report: DemoReport, tmp_path: Path) -> None:
    (tmp_path / "rollouts" / "seed_20000.mp4").write_bytes(b"no film")
    (tmp_path / "rollouts" / "thumbnail_sheet.png").unlink()
    page = render(replace(report)).replace("</body>", "<script>console.error('broken');</script></body>")
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    found = look(tmp_path / "report.html")
    assert any("broken" in line for line in found.console)
    assert any("thumbnail_sheet.png" in line for line in found.missing)
    assert [video["src"] for video in found.page["videos"] if video["error"]] == ["rollouts/seed_20000.mp4"]
    assert [image["src"] for image in found.page["images"] if not image["width"]] == ["rollouts/thumbnail_sheet.png"]


def test_without_the_policy_it_says_so_in_words(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vgil_ros.cli.main", "demo", "--out", str(tmp_path / "out"), "--checkpoint", "no"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "the policy no is missing" in done.stderr
    assert "make train-demo" in done.stderr
    assert not (tmp_path / "out").exists(), "nothing is recorded in vain"
