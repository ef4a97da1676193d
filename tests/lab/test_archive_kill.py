"""kill -9 of all who work on a ring's archive: what is found afterwards is what was recorded.

The recorder with its catalog, the indexer, an extraction, ``verify --rebuild`` and ``verify
--repair`` are killed at random moments of their run. No whole record may be lost, no search may
answer otherwise than a reading of the savefiles, and the next run puts in order what was left.
DAEMONLOGGER_LAB_FULL=1 kills 200 times.
"""

import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from .commands import finish, run
from .conftest import Record
from .load import FIRST_NS, STEP_US, TAG, TAG_OFFSET, Load, frame, sizes
from .network import Link
from .processes import descendants
from .records import assert_run, numbers_of, savefiles, walk_all
from .senders import replaying

pytestmark = pytest.mark.alone

PREFIX = "daemonlogger.pcap"
FILES, PACKETS_A_FILE = 6, 2000
FIRST_PORT, PORTS, RUN = 5001, 24, 300  # a port is used for RUN packets, then the next one
RATE = 100_000
RING = ("-r", "-m", "1000", "-s", "2m")
TRIES = 20

_record_header = struct.Struct("<IIII")


def dlctl() -> list[str]:
    """Return the command under test: the console script of this Python, else the module."""
    script = Path(sys.executable).with_name("dlctl")
    return [str(script)] if script.exists() else [sys.executable, "-m", "daemonlogger_py.cli.dlctl"]


def port_of(number: int) -> int:
    return FIRST_PORT + number // RUN % PORTS


class Made(NamedTuple):
    """A ring whose every record is known by the number of its packet."""

    folder: Path
    records: list[bytes]

    @property
    def paths(self) -> list[Path]:
        return savefiles(self.folder)

    def of_port(self, port: int) -> list[int]:
        return [number for number in range(len(self.records)) if port_of(number) == port]


def make_ring(folder: Path, files: int = FILES) -> Made:
    """Write a ring of numbered packets."""
    folder.mkdir(exist_ok=True)
    count = files * PACKETS_A_FILE
    records = []
    for number, size in enumerate(sizes(count)):
        data = frame(number, size, port=port_of(number))
        second, micros = divmod(number * STEP_US, 10**6)
        head = _record_header.pack(FIRST_NS // 10**9 + second, micros, size, size)
        records.append(head + data)
    for place in range(files):
        name = f"{PREFIX}.{FIRST_NS // 10**9}" + (f".{place:03}" if place else "")
        part = records[place * PACKETS_A_FILE : (place + 1) * PACKETS_A_FILE]
        header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
        (folder / name).write_bytes(header + b"".join(part))
    return Made(folder, records)


@pytest.fixture
def made(logs: Path) -> Made:
    return make_ring(logs / "ring")


class Killer:
    """Kills a command at a random moment of the time it takes; the first run is to time it.

    It took longer than it will where the machine was busy: one that has ended before it is killed
    shortens the time for those after it.
    """

    def __init__(self, moments: random.Random, *command: str | Path, check: bool = True) -> None:
        self._moments = moments
        self._command = [str(word) for word in command]
        began = time.monotonic()
        run(*self._command, check=check)
        self._takes_s = time.monotonic() - began

    def kill(self, environment: dict[str, str] | None = None) -> None:
        """Start it and kill it, again and again until it has not ended by itself."""
        for _ in range(TRIES):
            if self.kills(*self._command, environment=environment):
                return
        raise AssertionError(f"it always ends within {self._takes_s} s")

    def kills(self, *command: str | Path, environment: dict[str, str] | None = None) -> bool:
        """Start one that takes as long, and kill it; returns whether it had not ended by then."""
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        try:
            # The later part of a run is where files are made; the earlier is the start of Python.
            moment_s = self._takes_s * self._moments.betavariate(3, 1.5)
            time.sleep(moment_s)
            killed = process.poll() is None
        finally:
            finish(process)
        if not killed:
            self._takes_s = moment_s
        return killed


def found_by(made: Made, words: str, *options: str | Path) -> list[int]:
    """Return the numbers of the packets that an extraction gives."""
    out = made.folder.parent / "found"
    run(*dlctl(), "extract", "--ring", made.folder, "-w", out, *options, *words.split())
    (found,) = walk_all([out])
    out.unlink()
    return list(found.numbers)


def assert_right(made: Made, moments: random.Random) -> None:
    """Assert that searches with whatever index there is find what was recorded."""
    port = FIRST_PORT + moments.randrange(PORTS)
    assert found_by(made, f"udp port {port}") == made.of_port(port)


def listed(folder: Path, kind: str = "savefile") -> list[dict[str, Any]]:
    """Return what `ls` says of savefiles, or of gaps."""
    said = run(*dlctl(), "ls", "--ring", folder, "--json").stdout
    return [row for row in map(json.loads, said.splitlines()) if row["type"] == kind]


def assert_listed(folder: Path) -> None:
    """Assert that `ls` knows each savefile as it is."""
    rows = {row["name"]: row for row in listed(folder)}
    for found in walk_all(savefiles(folder)):
        row = rows.pop(found.path.name)
        assert row["packets"] in (found.packets, None), row
    assert not rows


def assert_sound(folder: Path) -> None:
    """Assert that verify finds nothing wrong."""
    run(*dlctl(), "verify", "--ring", folder, "--no-progress")


def kills(full: bool, few: int, many: int) -> int:
    return many if full else few


@pytest.fixture
def moments() -> random.Random:
    return random.Random(20261121)


def test_an_indexer(made: Made, moments: random.Random, full: bool) -> None:
    folder = made.folder / f"{PREFIX}.index"
    victim = Killer(moments, *dlctl(), "index", "--ring", made.folder, "--rebuild")
    for number in range(kills(full, 4, 50)):
        for sidecar in sorted(folder.iterdir())[number % FILES :]:
            sidecar.unlink()
        victim.kill()
        assert_right(made, moments)
    run(*dlctl(), "index", "--ring", made.folder)
    assert {path.name for path in folder.iterdir()} == {f"{path.name}.npz" for path in made.paths}
    assert_sound(made.folder)
    assert_right(made, moments)


def test_an_extraction(
    made: Made,
    moments: random.Random,
    full: bool,
    logs: Path,
) -> None:
    before = {path.name: path.read_bytes() for path in made.paths}
    run(*dlctl(), "index", "--ring", made.folder)
    spill, out = logs / "spill", logs / "out"
    spill.mkdir()
    argv = [*dlctl(), "extract", "--ring", made.folder, "-w", out, "--memory", "1m", "--reverse"]
    victim = Killer(moments, *argv)
    for _ in range(kills(full, 3, 30)):
        victim.kill({"TMPDIR": str(spill)})
        assert list(spill.iterdir()) == []
        assert_right(made, moments)
    assert {path.name: path.read_bytes() for path in made.paths} == before


def test_an_interrupted_extraction_leaves_a_whole_file(made: Made, logs: Path) -> None:
    for moment in (0.15, 0.2, 0.3):
        out = logs / "out"
        argv = [*dlctl(), "extract", "--ring", str(made.folder), "--follow", "-w", str(out)]
        process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        try:
            deadline = time.monotonic() + 60
            while not out.exists() or not out.stat().st_size:
                assert time.monotonic() < deadline
                time.sleep(0.005)
            time.sleep(moment)
            process.terminate()
            process.communicate(timeout=60)
        finally:
            finish(process)
        (found,) = walk_all([out])
        assert_run(found.numbers, 0, found.packets - 1)
        out.unlink()


def test_a_catalog_made_anew(made: Made, moments: random.Random, full: bool) -> None:
    argv = [*dlctl(), "verify", "--ring", made.folder, "--rebuild", "--no-progress"]
    victim = Killer(moments, *argv)
    for number in range(kills(full, 3, 30)):
        if number % 3 == 0:
            for path in made.folder.glob(f"{PREFIX}.catalog*"):
                path.unlink()
        victim.kill()
        assert_listed(made.folder)
    run(*argv)
    assert_sound(made.folder)
    names = {path.name for path in made.folder.iterdir()}
    assert names - {path.name for path in made.paths} <= {
        f"{PREFIX}.catalog{ending}" for ending in ("", "-wal", "-shm", "-pages")
    }


def damage(made: Made, moments: random.Random) -> set[int]:
    """Damage half of the savefiles, one way or the other; return the numbers that still are whole.

    What follows a damaged header is whole as well: a repair has to find it again.
    """
    whole = set(range(len(made.records)))
    for place, path in enumerate(made.paths[::2]):
        first = 2 * place * PACKETS_A_FILE
        data = bytearray(path.read_bytes())
        if place % 2 == 0:
            hit = moments.randrange(PACKETS_A_FILE // 4, PACKETS_A_FILE // 2)
            at = 24 + sum(map(len, made.records[first : first + hit]))
            data[at : at + 16] = b"\xff" * 16  # a header that cannot be one
            whole.discard(first + hit)
        cut = moments.randrange(1, len(made.records[first + PACKETS_A_FILE - 1]))
        whole.discard(first + PACKETS_A_FILE - 1)
        path.write_bytes(data[:-cut])
    return whole


def whole_records(made: Made) -> set[int]:
    """Return the numbers of the whole records in any file of the ring, whatever its name."""
    found = set()
    pattern = re.compile(re.escape(TAG) + b"(.{8})", re.DOTALL)
    for path in made.folder.iterdir():
        if not path.is_file() or ".catalog" in path.name:
            continue
        data = path.read_bytes()
        for match in pattern.finditer(data):
            (number,) = struct.unpack("<Q", match[1])
            begin = match.start() - TAG_OFFSET - _record_header.size
            if begin >= 0 and number < len(made.records):
                record = made.records[number]
                if data[begin : begin + len(record)] == record:
                    found.add(number)
    return found


def test_a_repair(logs: Path, moments: random.Random, full: bool) -> None:
    def repair(ring: Made) -> list[str | Path]:
        return [*dlctl(), "verify", "--ring", ring.folder, "--repair", "--no-progress"]

    timed = make_ring(logs / "timed", 4)
    damage(timed, moments)
    victim = Killer(moments, *repair(timed), check=False)
    killed = rounds = 0
    while rounds < kills(full, 4, 50) or (not killed and rounds < TRIES):
        made = make_ring(logs / f"ring{rounds}", 4)
        whole = damage(made, moments)
        rounds += 1
        killed += victim.kills(*repair(made))
        assert whole_records(made) >= whole
        run(*repair(made), check=False)
        assert_sound(made.folder)
        assert found_by(made, "udp") == sorted(whole)
        assert whole_records(made) >= whole
    assert killed


def recorded_and_killed(
    link: Link, record: Record, logs: Path, load: Load, moment: float, whom: str
) -> list[Path]:
    """Record under load, kill somebody some time after its first data; return its files."""
    earlier = set(savefiles(logs))

    def mine() -> list[Path]:
        return [path for path in savefiles(logs) if path not in earlier]

    recorder = record(*RING)
    with replaying(link, load, pps=RATE):
        recorder.grows(lambda: sum(path.stat().st_size for path in mine()), 1 << 20)
        time.sleep(moment)
        # The first one guards the second, and would start another.
        recorder.grows(lambda: len(descendants(recorder.pid)), 2)
        dying = descendants(recorder.pid)[{"recorder": 2, "cataloger": 1}.get(whom, 0) :]
        for pid in dying:
            os.kill(pid, signal.SIGKILL)
        if whom == "catalog":
            recorder.says("catalog is not kept any more")
        if whom == "cataloger":
            recorder.says("is started anew")
        if whom in ("catalog", "cataloger"):
            recorder.stop()
        recorder.kill()
    return mine()


def test_a_recorder_and_its_catalog(
    link: Link, record: Record, logs: Path, million: Load, moments: random.Random, full: bool
) -> None:
    for crashes in range(1, 1 + kills(full, 4, 40)):
        whom = ("recorder", "both", "catalog", "cataloger")[crashes % 4]
        mine = recorded_and_killed(link, record, logs, million, moments.uniform(0, 0.7), whom)
        record(*RING).stop()
        # The killed run's packets are there without a hole, from its first one on.
        walks = walk_all(mine)
        numbers = numbers_of(walks)
        assert_run(numbers, 0, len(numbers) - 1)
        assert_sound(logs)
        assert_listed(logs)
        # What nobody could say is said by the next run; nothing that is there is called missing. A
        # recorder that only lost its catalog's process ended all the same, and says so.
        ended = "stopped" if whom.startswith("catalog") else "crashed"
        gaps = [row for row in listed(logs, "gap") if row["kind"] in ("stopped", "crashed")]
        assert gaps[-2]["kind"] == ended
        assert gaps[-2]["from_ns"] >= max(found.last_ns for found in walks), whom
