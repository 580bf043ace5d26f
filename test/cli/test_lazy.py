"""Commands are imported when they are asked for: all of them are there, and a list needs little."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer
from support.paths import process_environment

from vgil_ros.cli import main
from vgil_ros.cli.episodes.listing import table
from vgil_ros.cli.lazy import LazyCommands

HEAVY = ("cv2", "torch", "pyarrow", "vgil_ros.core.contract", "rich.table")


def test_every_command_can_be_made_and_has_its_name() -> None:
    whole = typer.main.get_command(main.app)
    assert isinstance(whole.commands, LazyCommands)  # type: ignore[attr-defined]
    for name, command in whole.commands.items():  # type: ignore[attr-defined]
        assert command.name == name
        assert command.help, name
        for inner, below in getattr(command, "commands", {}).items():
            assert below.name == inner


def test_no_command_of_episodes_is_left_out() -> None:
    assert ["list", *main.TOGETHER] == list(main.EPISODES().commands)


@pytest.mark.parametrize("words", [("episodes", "list"), ("--version",)])
def test_a_list_imports_little(words: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> None:
    code = (
        "import sys; from vgil_ros.cli.main import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit as done: assert not done.code, done.code\n"
        f"print('loaded', [name for name in {HEAVY} if name in sys.modules])"
    )
    place = [str(tmp_path_factory.mktemp("none"))] if "list" in words else []
    command = [sys.executable, "-c", code, *words, *place]
    done = subprocess.run(command, capture_output=True, text=True, env=process_environment(), check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded []"


def test_a_table_keeps_every_word_and_prints_what_cannot_be_printed_as_blanks() -> None:
    rows = [("file", "T", "problems"), ("a\x1b[31m", "7", "x" * 60), ("bb", "10", "")]
    assert table(rows) == ["file     T  problems", f"a [31m   7  {'x' * 60}", "bb      10"]
