"""The same streams as tshark and tcpflow find, for every capture at hand.

The captures are those of this repository, one that is made here, and, where somebody keeps more in
``shared/pcaps`` beside the repository, those as well. What tshark and tcpflow are known to do
otherwise is excluded by its cause, never by a capture's name; docs/streams.md tells of it.
"""

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path

import pytest

from ...cli.command import run_command
from ...flow.segments import ACK, FIN, SYN, Side, records, timed
from ...pcaps.found import found
from ...pcaps.make import file_header

pytestmark = pytest.mark.peers

FILES = found()
Ends = tuple[str, str, str, str]
AT_ONCE = 50  # streams that tshark is asked for in one run
MISSING = re.compile(rb"\[\d+ bytes missing in capture file\]\0?")


class Found:
    """The streams of a capture as `dlctl streams` stores them."""

    def __init__(self, path: Path, directory: Path) -> None:
        out = directory / "ours"
        run = run_command(
            "dlctl", "streams", "-q", "--tunnels", "--gaps", "-o", str(out), "-r", str(path),
            cwd=directory,
        )  # fmt: skip
        assert run.returncode in (0, 1), run.stderr
        assert "Traceback" not in run.stderr
        self.whole = run.returncode == 0
        # Of each direction: its streams, and whether all of each is known to be there.
        self.streams: dict[Ends, list[tuple[bytes, bool]]] = defaultdict(list)
        for element in ET.parse(out / "report.xml").getroot().iter("fileobject"):
            told = element.find("tcpflow")
            if told is None:
                continue
            name = element.findtext("filename")
            content = Path(name).read_bytes() if name else b""
            sure = {"gaps", "beginning", "differing_bytes"}.isdisjoint(told.attrib)
            ends = tuple(told.attrib[key] for key in ("src_ipn", "srcport", "dst_ipn", "dstport"))
            if content:
                self.streams[ends].append((content, sure))


def by_tshark(path: Path) -> dict[Ends, list[bytes]]:
    """What tshark follows; of each direction the streams that have bytes."""
    found: dict[Ends, dict[int, bytes]] = defaultdict(dict)
    more, first = True, 0
    while more:
        numbers = range(first, first + AT_ONCE)
        taps = [word for number in numbers for word in ("-z", f"follow,tcp,raw,{number}")]
        printed = tshark(path, "-q", *taps)
        # A stream that there is not has no addresses.
        more, first = bool(printed) and "Node 0: :0" not in printed, first + AT_ONCE
        for part in re.split(r"^={10,}$", printed, flags=re.MULTILINE):
            number = re.search(r"^Filter: tcp\.stream eq (\d+)$", part, re.MULTILINE)
            nodes = re.findall(r"^Node [01]: (.+):(\d+)$", part, re.MULTILINE)
            if number is None or not nodes:
                continue
            for side, prefix in ((0, ""), (1, "\t")):
                lines = re.findall(rf"^{prefix}((?:[0-9a-f]{{2}})+)$", part, re.MULTILINE)
                content = b"".join(map(bytes.fromhex, lines))
                (source, port), (other, other_port) = nodes[side], nodes[1 - side]
                ends = source.strip("[]"), port, other.strip("[]"), other_port
                if content:
                    found[ends][int(number[1])] = content
    return {ends: [by[number] for number in sorted(by)] for ends, by in found.items()}


def tshark(path: Path, *arguments: str) -> str:
    """Run it. It may complain of a capture, and has read as much of it as it could."""
    return subprocess.run(
        ["tshark", "-n", "-r", str(path), *arguments], capture_output=True, text=True, check=False
    ).stdout


def by_tcpflow(path: Path, directory: Path) -> dict[Ends, list[bytes]]:
    """What tcpflow stores, by the report it writes."""
    out = directory / "tcpflow"
    subprocess.run(
        ["tcpflow", "-q", "-o", str(out), "-r", str(path)], capture_output=True, check=False
    )
    try:
        root = ET.parse(out / "report.xml").getroot()
    except (OSError, ET.ParseError):  # it refused the capture
        return {}
    found: dict[Ends, list[bytes]] = defaultdict(list)
    for element in root.iter("fileobject"):
        told, name = element.find("tcpflow"), element.findtext("filename")
        if told is not None and name is not None and Path(name).exists():
            ends = tuple(told.attrib[key] for key in ("src_ipn", "srcport", "dst_ipn", "dstport"))
            found[ends].append(Path(name).read_bytes())
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture of what both peers get right: two families, loss repaired, ports used again."""
    frames = []
    for side in (Side(), Side(address="2001:db8::1", peer_address="2001:db8::2", isn=2**32 - 9)):
        peer = side.peer()
        start, answer = side.isn + 1, peer.isn + 1
        frames += [
            side.syn(),
            peer.sends(-1, b"", SYN | ACK, acknowledgment=start),
            side.sends(0, b"first, ", acknowledgment=answer),
            side.sends(14, b"third.", acknowledgment=answer),
            side.sends(7, b"second,", acknowledgment=answer),
            side.sends(7, b"second,", acknowledgment=answer),
            peer.sends(0, b"answer", acknowledgment=start + 20),
            side.sends(20, b"", FIN | ACK, acknowledgment=answer + 6),
            peer.sends(6, b"", FIN | ACK, acknowledgment=start + 21),
            side.sends(21, b"", acknowledgment=answer + 7),
        ]
    path = tmp_path_factory.mktemp("made") / "made.pcap"
    path.write_bytes(file_header() + records(timed(frames)))
    return path


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_a_capture_made_here_gives_what_tshark_follows(made: Path, tmp_path: Path) -> None:
    found = Found(made, tmp_path)

    contents = {ends: [content for content, _ in both] for ends, both in found.streams.items()}
    assert contents == by_tshark(made)
    assert b"first, second,third." in {content for one in contents.values() for content in one}


@pytest.mark.skipif(shutil.which("tcpflow") is None, reason="tcpflow is not installed")
def test_a_capture_made_here_gives_what_tcpflow_stores(made: Path, tmp_path: Path) -> None:
    found = Found(made, tmp_path)

    contents = {ends: [content for content, _ in both] for ends, both in found.streams.items()}
    assert contents == by_tcpflow(made, tmp_path)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_whole_streams_are_those_that_tshark_follows(path: Path, tmp_path: Path) -> None:
    found = Found(path, tmp_path)
    theirs = by_tshark(path)

    for ends, streams in found.streams.items():
        contents = theirs.get(ends, [])
        # tshark misses bytes that come before those of a SYN, where that comes late.
        gapped = any(MISSING.search(content) for content in contents)
        if all(sure for _, sure in streams) and not gapped:
            assert [content for content, _ in streams] == contents, ends
    if found.whole:
        # A stream that tshark alone has lacks bytes.
        for ends in theirs.keys() - found.streams.keys():
            assert any(MISSING.search(content) for content in theirs[ends]), ends
