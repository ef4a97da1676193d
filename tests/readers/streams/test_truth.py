"""Captures whose every stream and body is known, in all forms: right, or what is wrong is told.

`bench/streams_load.py` makes conversations with retransmissions, reordering and wrapping sequence
numbers, and tells the MD5 of each stream and of each HTTP body. The command must find them all
again, whatever form the capture has; where packets are missing or cut, nothing may differ in
silence.
"""

import hashlib
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.conversations import Traffic
from bench.streams_load import BodyTruth, Capture, StreamTruth, write_capture

from ...cli.command import run_command
from ...pcaps.make import Packet, classic
from . import variants

pytest.importorskip("httptools", reason="the read extra is not installed")

BYTES = 1_500_000
PLANS = 16
TRAFFIC = {
    "plain": Traffic(
        largest_bytes=20_000,
        retransmitted_permille=30,
        late_permille=30,
        wrapping_percent=20,
        difficult=True,
    ),
    "padded": Traffic(largest_bytes=20_000, padded=True),
}


class Row(NamedTuple):
    """A stream as the report has it."""

    name: str | None
    gaps: list[tuple[int, int]]
    begun: bool
    bodies: dict[str, tuple[str, ...]]  # file names, with what is doubtful about each

    @property
    def doubted(self) -> bool:
        return bool(self.gaps) or not self.begun


class Outcome:
    """What the command made of a capture."""

    def __init__(self, directory: Path, told: str) -> None:
        self.directory = directory
        self.told = told  # on standard error
        self.rows: dict[tuple[str, ...], Row] = {}
        for element in ET.parse(directory / "report.xml").getroot().iter("fileobject"):
            if (known := element.find("tcpflow")) is not None:
                ends = tuple(
                    known.attrib[name] for name in ("src_ipn", "srcport", "dst_ipn", "dstport")
                )
                assert ends not in self.rows, "one stream became two"
                self.rows[ends] = self._row(element, known)

    @staticmethod
    def _row(element: ET.Element, known: ET.Element) -> Row:
        gaps = [(int(gap.attrib["file_offset"]), int(gap.attrib["len"])) for gap in
                element.iter("gap")]  # fmt: skip
        bodies = {}
        for run in element.iter("byte_run"):
            name = run.findtext("fileobject/filename") or ""
            bodies[Path(name).name] = tuple(filter(None, [run.get("problem")]))
        name = element.findtext("filename")
        return Row(
            None if name is None else Path(name).name, gaps, "beginning" not in known.attrib, bodies
        )

    def row(self, truth: StreamTruth) -> Row | None:
        ends = truth.source, truth.source_port, truth.destination, truth.destination_port
        return self.rows.get(tuple(map(str, ends)))

    def read(self, name: str | None) -> bytes:
        return b"" if name is None else (self.directory / name).read_bytes()


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Capture]:
    directory = tmp_path_factory.mktemp("truth")
    return {
        name: write_capture(directory / f"{name}.pcap", BYTES, traffic, plans=PLANS)
        for name, traffic in TRAFFIC.items()
    }


@pytest.fixture(scope="module")
def said(
    captures: dict[str, Capture], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """The bytes of each stream of the plain capture, once they have proved to be right."""
    directory = tmp_path_factory.mktemp("said")
    found = streams([captures["plain"].path], directory)
    return {truth.file_name: found.read(truth.file_name) for truth in captures["plain"].streams}


def streams(paths: Sequence[Path], directory: Path, *options: str) -> Outcome:
    out = directory / "out"
    inputs = [word for path in paths for word in ("-r", str(path))]
    run = run_command("dlctl", "streams", "--gaps", *options, "-o", str(out), *inputs,
                      cwd=directory)  # fmt: skip
    assert run.returncode == 0, run.stderr
    return Outcome(out, run.stderr)


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def body_file(outcome: Outcome, body: BodyTruth) -> str | None:
    """The file that has a body, by its name."""
    row = outcome.row(body.stream)
    prefix = f"{body.stream.file_name}-HTTPBODY-{body.number:03}"
    for name in row.bodies if row else ():
        if name == prefix or name.startswith(f"{prefix}."):
            return name
    return None


def check_all_right(outcome: Outcome, capture: Capture) -> None:
    """Every stream and every body is there, and nothing else; nothing is doubted, or told."""
    assert outcome.told == ""
    files = {path.name for path in outcome.directory.iterdir()} - {"report.xml"}
    for truth in capture.streams:
        row = outcome.row(truth)
        assert row is not None
        assert (row.name, row.doubted) == (truth.file_name, False)
        assert md5(outcome.read(row.name)) == truth.md5, truth
    expected = {truth.file_name for truth in capture.streams}
    for body in capture.bodies:
        name = body_file(outcome, body)
        assert name is not None, body
        assert md5(outcome.read(name)) == body.md5, body
        expected.add(name)
    assert files == expected


def check_nothing_silent(outcome: Outcome, capture: Capture, said: dict[str, bytes]) -> int:
    """What is not right is told; returns how many streams are not."""
    damaged = 0
    for truth in capture.streams:
        row = outcome.row(truth)
        if row is None:
            damaged += 1  # whose it is cannot be known; that there was more can
            assert "packets end within their headers" in outcome.told, truth
            continue
        content = outcome.read(row.name)
        if md5(content) != truth.md5:
            damaged += 1
            assert row.doubted, truth
            check_rest(content, row, said[truth.file_name])
    for body in capture.bodies:
        name = body_file(outcome, body)
        if name is None or md5(outcome.read(name)) != body.md5:
            check_body_is_doubted(outcome, body, name)
    return damaged


def check_rest(content: bytes, row: Row, whole: bytes) -> None:
    """Outside of its gaps, a stream is what was said."""
    size = max([len(content), *(sum(gap) for gap in row.gaps)])
    found = bytearray(content.ljust(size, b"\0"))
    # Where the beginning was not captured, it begins later; its end is told by the other side.
    begin = len(whole) - size if not row.begun else 0
    assert begin >= 0
    expected = bytearray(whole[begin : begin + size])
    for offset, count in row.gaps:
        expected[offset : offset + count] = bytes(count)
    assert found == expected


def check_body_is_doubted(outcome: Outcome, body: BodyTruth, name: str | None) -> None:
    row = outcome.row(body.stream)
    other = outcome.row(
        StreamTruth(
            body.stream.destination,
            body.stream.destination_port,
            body.stream.source,
            body.stream.source_port,
            0,
            "",
        )
    )
    if row is not None and name is not None and row.bodies[name]:
        return
    # No file at all: the message was lost, or which request it answers.
    assert name is None or not (row and row.bodies[name]), body
    assert row is None or row.doubted or other is None or other.doubted, body


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_every_stream_and_body_is_right(
    captures: dict[str, Capture], traffic: str, tmp_path: Path
) -> None:
    outcome = streams([captures[traffic].path], tmp_path, "-a")

    check_all_right(outcome, captures[traffic])


@pytest.mark.parametrize("write", [variants.nanoseconds, variants.blocks, variants.big_endian])
def test_the_format_makes_no_difference(
    captures: dict[str, Capture], write: variants.Write, tmp_path: Path
) -> None:
    path = tmp_path / "other"
    path.write_bytes(write(variants.packets_of(captures["plain"].path)))

    check_all_right(streams([path], tmp_path, "-a"), captures["plain"])


@pytest.mark.parametrize("count", [2, 50])
def test_connections_go_on_in_the_next_savefile(
    captures: dict[str, Capture], count: int, tmp_path: Path
) -> None:
    packets = variants.packets_of(captures["plain"].path)
    paths = variants.in_savefiles(packets, tmp_path, count)

    check_all_right(streams(paths, tmp_path, "-a"), captures["plain"])


def test_order_makes_no_difference(captures: dict[str, Capture], tmp_path: Path) -> None:
    path = tmp_path / "mixed"
    path.write_bytes(classic(variants.mixed_up(variants.packets_of(captures["plain"].path), 5)))

    check_all_right(streams([path], tmp_path, "-a"), captures["plain"])


@pytest.mark.parametrize("snaplen", [40, 66, 96, 200, 1000])
def test_what_the_snaplen_cut_is_told(
    captures: dict[str, Capture], said: dict[str, bytes], snaplen: int, tmp_path: Path
) -> None:
    packets = variants.packets_of(captures["plain"].path)

    damaged = _damaged(variants.cut(packets, snaplen), captures["plain"], said, tmp_path)
    # A reply that is a head alone fits into 1000 bytes.
    assert damaged > len(said) // 3


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("permille", [10, 50])
def test_what_was_dropped_is_told(
    captures: dict[str, Capture],
    said: dict[str, bytes],
    permille: int,
    seed: int,
    tmp_path: Path,
) -> None:
    packets = variants.packets_of(captures["plain"].path)

    damaged = _damaged(variants.thinned(packets, permille, seed), captures["plain"], said, tmp_path)
    assert 0 < damaged < len(said)


def _damaged(
    packets: Sequence[Packet], capture: Capture, said: dict[str, bytes], directory: Path
) -> int:
    path = directory / "damaged"
    path.write_bytes(classic(packets))
    return check_nothing_silent(streams([path], directory, "-a"), capture, said)
