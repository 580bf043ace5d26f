"""The raw log's file: what the official reader finds in it, also when its writer is killed or its disk is full."""

from __future__ import annotations

import io
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("mcap")

from mcap.reader import make_reader
from mcap.records import Message
from mcap.stream_reader import StreamReader
from support.bags import messages as made
from support.bags.messages import START, Sent
from support.bags.written import mcap
from support.episodes import made_episodes as demo
from support.paths import process_environment
from typer.testing import CliRunner

from vgil_ros.cli.main import app
from vgil_ros.episodes import naming
from vgil_ros.episodes.errors import WriteFailed
from vgil_ros.episodes.raw_log import events, log_file, mcap_writer
from vgil_ros.episodes.raw_log.log_file import LogFile, LoggedTopic
from vgil_ros.episodes.raw_log.recovery import finish_log

TOPICS = (LoggedTopic("cam/image", "/r2/cam/image", made.IMAGE),)


def read(path: Path) -> list[tuple[str, int, bytes]]:
    """Every message, by the official reader with its checks."""
    with path.open("rb") as file:
        found = make_reader(file, validate_crcs=True).iter_messages(log_time_order=False)
        return [(channel.topic, message.log_time, message.data) for _, channel, message in found]


def whole(data: bytes) -> list[bytes]:
    """What the official reader finds in a file that may be cut off."""
    found: list[bytes] = []
    try:
        for record in StreamReader(io.BytesIO(data), validate_crcs=True).records:
            found += [record.data] if isinstance(record, Message) else []
    except Exception:
        pass
    return found


def test_the_official_reader_finds_every_message_with_its_definition(tmp_path: Path) -> None:
    sent = made.robot(1.0)
    path = mcap(tmp_path / "a.mcap", sent)
    assert read(path) == [(one.topic, one.arrival_ns, one.data) for one in sent]
    with path.open("rb") as file:
        reader = make_reader(file)
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        assert summary.statistics.message_count == len(sent)
        assert len(summary.chunk_indexes) > 3
        assert summary.statistics.message_start_time == sent[0].arrival_ns
        assert summary.statistics.message_end_time == sent[-1].arrival_ns
        schemas = {schema.name: schema.data.decode() for schema in summary.schemas.values()}
        assert "MSG: std_msgs/Header\n" in schemas[made.IMAGE]
        some = list(reader.iter_messages(topics=[made.MASTER]))
        assert len(some) == 100, "by the index"


def test_a_file_that_is_cut_anywhere_gives_its_whole_chunks(tmp_path: Path) -> None:
    sent = made.robot(0.5)
    data = mcap(tmp_path / "a.mcap", sent).read_bytes()
    shuffled, counts = random.Random(3), set()
    for at in sorted(shuffled.sample(range(600, len(data)), 40)):
        found = whole(data[:at])
        assert found == [one.data for one in sent[: len(found)]]
        counts.add(len(found))
        (tmp_path / "cut.mcap.part").write_bytes(data[:at])
        assert finish_log(tmp_path / "cut.mcap.part", tmp_path / "mended.mcap") == len(found)
        assert [message[2] for message in read(tmp_path / "mended.mcap")] == found
        (tmp_path / "mended.mcap").unlink()
    assert len(counts) > 3, "cut in several chunks"


def log(part: Path, **limits: int) -> LogFile:
    return LogFile(part, TOPICS, {"contract": "x"}, stop_free=limits.pop("stop_free", 0), **limits)


def test_a_log_is_named_as_its_episode_and_tells_how_it_came_about(tmp_path: Path) -> None:
    one = log(tmp_path / "episode_3.mcap.part")
    one.message("cam/image", START, b"\0" * 100)
    one.event(START + 1, events.encode("end", {"aborted": None}))
    one.end()
    one.close(naming.log_of(tmp_path / "episode_3.hdf5"))
    (image, event) = read(tmp_path / "episode_3.mcap")
    assert image == ("/r2/cam/image", START, b"\0" * 100)
    assert events.decode(event[2]) == {"event": "end", "aborted": None}
    assert not list(tmp_path.glob("*.part"))
    assert naming.claim(tmp_path).name == "episode_4.hdf5.part", "its number is taken"


def test_a_disk_that_is_too_slow_costs_messages_which_are_counted_and_never_any_time(tmp_path: Path) -> None:
    one = log(tmp_path / "a.mcap.part", queue_bytes=1 << 20)
    longest, data = 0.0, random.Random(1).randbytes(1 << 18)
    for k in range(200):
        began = time.thread_time()
        one.message("cam/image", START + k, data)
        longest = max(longest, time.thread_time() - began)
    assert one.lost > 100
    assert "messages are left out" in one.lost_words
    assert longest < 0.01
    until = time.monotonic() + 10
    while one._put_bytes != one._done_bytes and time.monotonic() < until:
        time.sleep(0.01)
    one.message("cam/image", START + 500, data)
    one.end()
    one.close(tmp_path / "a.mcap")
    found = read(tmp_path / "a.mcap")
    told = sum(events.decode(raw)["count"] for topic, _, raw in found if topic == events.TOPIC)
    assert told == one.lost == 201 - sum(topic != events.TOPIC for topic, _, _ in found)


def test_in_a_hurry_chunks_are_not_compressed_and_read_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "CHUNK_BYTES", 1 << 16)
    monkeypatch.setattr(log_file, "HURRY_BYTES", 1 << 18)
    one, data = log(tmp_path / "a.mcap.part"), [bytes([k]) * 30_000 for k in range(200)]
    for k, message in enumerate(data):
        one.message("cam/image", START + k, message)
    one.end()
    one.close(tmp_path / "a.mcap")
    assert [message for _, _, message in read(tmp_path / "a.mcap")] == data
    with (tmp_path / "a.mcap").open("rb") as file:
        summary = make_reader(file).get_summary()
        assert summary is not None
        assert {index.compression for index in summary.chunk_indexes} == {"", "zstd"}
    (tmp_path / "b.mcap.part").write_bytes((tmp_path / "a.mcap").read_bytes()[:-500])
    assert finish_log(tmp_path / "b.mcap.part", tmp_path / "b.mcap") == 200
    assert read(tmp_path / "b.mcap") == read(tmp_path / "a.mcap")


def test_a_disk_without_room_ends_the_log_and_keeps_what_is_whole(tmp_path: Path) -> None:
    one = log(tmp_path / "a.mcap.part", stop_free=1 << 60)
    one.message("cam/image", START, b"\0" * (log_file.CHUNK_BYTES + 1))
    one.end()
    with pytest.raises(WriteFailed, match=r"MiB free, less than the .*; the raw log ends here, the episode goes on"):
        one.close(tmp_path / "a.mcap")
    assert whole((tmp_path / "a.mcap.part").read_bytes()) == []
    assert finish_log(tmp_path / "a.mcap.part", tmp_path / "a.mcap") == 0


def test_a_log_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(WriteFailed, match=r"nowhere/a.mcap.part: cannot be made \(No such file or directory\)"):
        log(tmp_path / "nowhere" / "a.mcap.part")
    (tmp_path / "full.mcap.part").symlink_to("/dev/full")
    with pytest.raises(WriteFailed, match=r"cannot be made \(No space left on device\)"):
        log(tmp_path / "full.mcap.part")


KILLED = """
import sys, time
from pathlib import Path
from vgil_ros.episodes.raw_log.log_file import LogFile, LoggedTopic
log = LogFile(Path(sys.argv[1]), [LoggedTopic("a", "/a", "sensor_msgs/msg/Image")], {}, stop_free=0)
for k in range(10000):
    log.message("a", time.monotonic_ns(), bytes([k % 256]) * 1000)
    print(time.monotonic_ns(), flush=True)
    time.sleep(0.01)
"""


def test_a_killed_process_loses_a_second_at_most(tmp_path: Path) -> None:
    part = tmp_path / "episode_0.mcap.part"
    command = [sys.executable, "-c", KILLED, str(part)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=process_environment()) as process:
        assert process.stdout is not None
        for _ in range(170):
            last_ns = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    found = whole(part.read_bytes())
    assert found, "readable without an end"
    assert finish_log(part, tmp_path / "episode_0.mcap") == len(found)
    times = [log_ns for _, log_ns, _ in read(tmp_path / "episode_0.mcap")]
    assert 0 <= last_ns - times[-1] <= 1e9
    assert Sent(times[0], "/a", found[0]).data == b"\0" * 1000


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """Two episodes that a killed recorder left, with their logs."""
    for number in range(2):
        demo.write(tmp_path, demo.meta(), 5).rename(tmp_path / f"episode_{number}.hdf5.part")
        one = log(tmp_path / f"episode_{number}.mcap.part")
        one.message("cam/image", START, b"\0")
        one.end()
        one.close(tmp_path / "log")
        (tmp_path / "log").rename(tmp_path / f"episode_{number}.mcap.part")
    return tmp_path


def vgil_repair(folder: Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["episodes", "repair", str(folder)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_a_log_that_could_not_be_written_is_repaired_the_next_time(
    killed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = naming.publish

    def full(part: Path, final: Path) -> None:
        if final.suffix == naming.LOG:
            raise OSError(28, "No space left on device")
        own(part, final)

    with monkeypatch.context() as patch:
        patch.setattr(naming, "publish", full)
        code, text = vgil_repair(killed)
    assert code == 1
    for number in range(2):
        assert f"5 of 5 rows -> {killed / f'episode_{number}.hdf5'}; episode_{number}.hdf5.part removed" in text
        assert f"error: {killed / f'episode_{number}.mcap'}: cannot be written (No space left on device)" in text
    code, text = vgil_repair(killed)
    assert (code, text.count("1 messages ->")) == (0, 2)
    assert sorted(path.name for path in killed.iterdir()) == [
        f"episode_{number}.{kind}" for number in range(2) for kind in ("hdf5", "mcap")
    ]
    assert vgil_repair(killed) == (0, "nothing to repair\n")


def test_a_damaged_record_is_said_and_stops_nothing_else(killed: Path) -> None:
    damaged = killed / "episode_0.mcap.part"
    damaged.write_bytes(mcap_writer.MAGIC + mcap_writer._record(mcap_writer.SCHEMA, b"\x01\x00\xff\xff\xff\x00abc"))
    before = damaged.read_bytes()
    code, text = vgil_repair(killed)
    assert code == 1
    assert f"5 of 5 rows -> {killed / 'episode_0.hdf5'}" in text
    assert re.search(rf"error: {damaged}: holds a damaged record \(.*\); allowed: whole ones", text)
    assert f"1 messages -> {killed / 'episode_1.mcap'}" in text
    assert damaged.read_bytes() == before


def test_a_log_that_is_still_written_is_left_alone(tmp_path: Path) -> None:
    demo.write(tmp_path, demo.meta(), 3)
    one = log(tmp_path / "episode_0.mcap.part")
    code, text = vgil_repair(tmp_path)
    assert code == 1
    assert f"{one.part}: is still being recorded" in text
    one.end()
    one.close(tmp_path / "episode_0.mcap")
    assert read(tmp_path / "episode_0.mcap") == []
