"""Options of writing: counts, direct I/O, archive, whose files are pruned, messages, config."""

import json
import os
import re
import signal
import statistics
import time
from itertools import pairwise
from pathlib import Path

import pytest

from .conftest import MakeVolume, Record
from .load import Load, write_load
from .load import frames as load_frames
from .network import Link
from .peers import tcpdump_counts
from .recorder import PHRASES, Recorder, parse_totals
from .records import (
    assert_closed_at,
    assert_run,
    numbers_of,
    records,
    savefiles,
    walk,
    walk_all,
)
from .senders import Frames, replay, replaying
from .volume import Mounted

RATE = 20_000


def test_count_is_exact(link: Link, record: Record, logs: Path, thousands: Load) -> None:
    recorder = record("-c", "12345", "-s", "1m")
    with replaying(link, thousands, pps=200_000):
        assert recorder.ended() == 0, recorder.text
    assert_run(numbers_of(walk_all(savefiles(logs))), 0, 12_344)
    assert recorder.totals().written == 12_345


def test_max_files_without_ring(link: Link, record: Record, logs: Path, thousands: Load) -> None:
    recorder = record("-m", "3", "-s", "1m")
    with replaying(link, thousands, pps=200_000):
        assert recorder.ended() == 0, recorder.text
    walks = walk_all(savefiles(logs))
    assert len(walks) == 3
    assert_closed_at(walks, 1 << 20, last=True)
    numbers = numbers_of(walks)
    assert_run(numbers, 0, len(numbers) - 1)
    assert recorder.totals().written == len(numbers)


def direct_descriptors(recorder: Recorder) -> int:
    """Return how many of its open savefiles bypass the page cache, as the kernel tells."""
    found = 0
    for number, target in recorder.descriptors().items():
        if re.search(r"/daemonlogger\.pcap\.\d+", target):
            try:
                fdinfo = Path(f"/proc/{recorder.pid}/fdinfo/{number}").read_text()
            except FileNotFoundError:  # only opened for a moment, to let go of its cached pages
                continue
            flags = re.search(r"^flags:\s+([0-7]+)$", fdinfo, re.MULTILINE)
            assert flags
            found += bool(int(flags[1], 8) & os.O_DIRECT)
    return found


def record_exactly(
    link: Link, record: Record, directory: Path, load: Load, *flags: str
) -> tuple[Recorder, int]:
    """Record a load; every byte of every frame must be there. Returns direct files seen."""
    recorder = record(*flags, directory=directory)
    with replaying(link, load, pps=RATE) as sender:
        recorder.grows(lambda: len(savefiles(directory)), 2)
        # Looked at often: the flag is off while the tail of a buffer is written.
        direct = max(direct_descriptors(recorder) for _ in range(50))
        while not direct and sender.running():
            time.sleep(0.01)
            direct = direct_descriptors(recorder)
        sent = sender.sent()
    link.settle(sent)
    recorder.stop().account_for(sent)
    paths = savefiles(directory)
    walks = walk_all(paths)
    assert_run(numbers_of(walks), 0, sent - 1)
    assert_closed_at(walks, 1 << 20)
    kept = (packet.data for path in paths for packet in records(path))
    assert all(a == b for a, b in zip(kept, load_frames(sent), strict=True))
    assert tcpdump_counts(paths) == sent
    return recorder, direct


def test_direct_on_ext4(link: Link, record: Record, volume: MakeVolume, thousands: Load) -> None:
    disk = volume(64 << 20)
    _, direct = record_exactly(link, record, disk.path, thousands, "--direct", "-s", "1m")
    assert direct >= 1


def test_direct_at_full_rate(link: Link, record: Record, volume: MakeVolume, million: Load) -> None:
    disk = volume(300 << 20)
    recorder = record("--direct", "-s", "10m", directory=disk.path)
    sent = replay(link, million, count=400_000, pps=200_000)
    totals = recorder.stop()
    totals.account_for(sent)
    assert totals.written == sent
    walks = walk_all(savefiles(disk.path))
    assert_run(numbers_of(walks), 0, sent - 1)
    assert_closed_at(walks, 10 << 20)
    assert sum(found.size_bytes for found in walks) == totals.written_bytes


def test_without_direct_on_ext4(
    link: Link, record: Record, volume: MakeVolume, thousands: Load
) -> None:
    disk = volume(64 << 20)
    _, direct = record_exactly(link, record, disk.path, thousands, "-s", "1m")
    assert direct == 0


@pytest.mark.parametrize("kind", ["tmpfs", "ramfs"])
def test_direct_in_memory(
    link: Link, record: Record, memory: Path, thousands: Load, kind: str
) -> None:
    # ramfs refuses O_DIRECT; tmpfs did until Linux 6.6. The probe decides what is due.
    with Mounted(memory / kind, kind, options="mode=0755") as mounted:
        probe = mounted.path / "probe"
        try:
            os.close(os.open(probe, os.O_CREAT | os.O_WRONLY | os.O_DIRECT))
            refused = False
        except OSError:
            refused = True
        probe.unlink(missing_ok=True)
        recorder, direct = record_exactly(
            link, record, mounted.path, thousands, "--direct", "-s", "1m"
        )
        told = re.search(r"(?i)direct.*(refuse|buffered|not support)", recorder.text)
        assert bool(told) == refused, recorder.text
        assert bool(direct) != refused


def earlier_files(directory: Path, count: int) -> list[str]:
    """Write savefiles as an earlier run left them; return their names."""
    paths = [directory / f"daemonlogger.pcap.{1_100_000_000 + n}" for n in range(count)]
    return [write_load(path, 10).path.name for path in paths]


def test_prune_run_spares_earlier_runs(
    link: Link, record: Record, logs: Path, thousands: Load
) -> None:
    earlier = earlier_files(logs, 3)
    recorder = record("-r", "-m", "2", "-z", "-s", "1m")
    sent = replay(link, thousands, pps=RATE)
    recorder.stop().account_for(sent)
    names = [path.name for path in savefiles(logs)]
    assert names[:3] == earlier
    assert len(names) == 5
    numbers = numbers_of(walk_all(savefiles(logs)[3:]))
    assert_run(numbers, sent - len(numbers), sent - 1)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same-volume", "other-volume"])
def test_archive_takes_what_is_pruned(
    link: Link, record: Record, logs: Path, volume: MakeVolume, thousands: Load, elsewhere: bool
) -> None:
    archive = volume(64 << 20).path if elsewhere else logs / "archive"
    archive.mkdir(exist_ok=True)
    recorder = record("-r", "-m", "2", "-s", "1m", "-a", archive)
    sent = replay(link, thousands, pps=RATE)
    recorder.stop().account_for(sent)
    kept, moved = savefiles(logs), savefiles(archive)
    assert len(kept) == 2
    assert len(moved) == 13  # 15.5 MB in files of a mebibyte, less the two
    assert {path.name for path in archive.iterdir()} == {path.name for path in moved}
    walks = walk_all(moved + kept)
    assert_run(numbers_of(walks), 0, sent - 1)
    assert_closed_at(walks, 1 << 20)


def test_stats_interval(record: Record, frames: Frames) -> None:
    recorder = record("--stats-interval", "0.2")
    frames.send()
    position = 0
    for _ in range(6):
        said = recorder.says(PHRASES["received"], after=position)
        position = recorder.lines.index(said) + 1
    times = [line.time_ns for line in recorder.lines if re.search(PHRASES["received"], line.text)]
    between = [after - before for before, after in pairwise(times)]
    assert 0.1e9 < statistics.median(between) < 0.4e9, between
    assert recorder.stop().written == 1


def test_json_lines(link: Link, record: Record, logs: Path, thousands: Load) -> None:
    recorder = record("--log-format", "json", "-r", "-m", "3", "-s", "1m")
    sent = replay(link, thousands, pps=RATE)
    recorder.send(signal.SIGUSR1)
    recorder.send(signal.SIGINT)
    assert recorder.ended() == 0, recorder.text
    lines = [json.loads(line.text) for line in recorder.lines]
    assert all(isinstance(line, dict) for line in lines)
    said = "\n".join(line["message"] for line in lines)
    parse_totals(said).account_for(sent)
    for part in ("sniffing on interface vb", "Logging packets to", "Ringbuffer: deleting"):
        assert part in said
    names = [path.name for path in savefiles(logs)]
    assert len(names) == 3
    assert all(name in said for name in names)


def test_config_file_and_flags_that_win(
    link: Link, record: Record, logs: Path, memory: Path, thousands: Load
) -> None:
    target = logs / "target"
    target.mkdir()
    config = logs / "recorder.toml"
    config.write_text(
        f'interface = "vb"\nlog-dir = "{target}"\nprefix = "conf"\nring = true\n'
        'max-files = 9\nroll-size = "1m"\nsnaplen = 200\n'
    )
    recorder = record("--config", config, "-m", "2", interface=None, directory=None)
    sent = replay(link, thousands, pps=RATE)
    recorder.stop().account_for(sent)
    walks = walk_all(savefiles(target, "conf"))
    assert len(walks) == 2
    assert {found.snaplen for found in walks} == {200}
    assert_closed_at(walks, 1 << 20)


def test_filter_words(record: Record, logs: Path, frames: Frames) -> None:
    recorder = record("-c", "2", "udp", "and", "port", "5002")
    for port in (5001, 5002, 5003, 5002):
        frames.send(port=port)
    assert recorder.ended() == 0, recorder.text
    (only,) = savefiles(logs)
    assert list(walk(only).numbers) == [1, 3]
