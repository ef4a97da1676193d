"""Every capture there is, beside ``tcpdump -r x -w - FILTER``: the same records come out.

The captures are those of this repository and, where somebody keeps more in ``shared/pcaps`` beside
it, those too.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from daemonlogger_py.engine.offline import FileSource
from daemonlogger_py.engine.protocol import Stop
from daemonlogger_py.errors import FilterError, SourceError

from ..pcaps.found import OWN, found
from ..pcaps.parse import Capture, parse
from .reading import drain, records_of, wakeable

FILES = [*found(), OWN / "not_pcap.txt"]
FILTERS = ["udp", "tcp port 80", "greater 200 or vlan", "ip6 or ip[8] < 64"]

pytestmark = pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")


def by_tcpdump(path: Path, text: str, like: Capture | None) -> tuple[Capture | None, str]:
    """What tcpdump makes of a capture, None if it refuses it, and what it complains about.

    It writes microseconds unless it is asked for what `like` has.
    """
    precision = "nano" if like is not None and like.nanosecond else "micro"
    with path.open("rb") as capture:  # through a descriptor: it may drop root before it opens
        done = subprocess.run(
            ["tcpdump", f"--time-stamp-precision={precision}", "-r", "-", "-w", "-", *text.split()],
            stdin=capture,
            capture_output=True,
            check=False,
        )
    complaint = "" if done.returncode == 0 else done.stderr.decode().splitlines()[-1]
    return (parse(done.stdout) if done.stdout else None), complaint


def by_us(path: Path, text: str) -> tuple[Capture | None, str]:
    """The same of ours."""
    fd = os.open(path, os.O_RDONLY)
    try:
        with wakeable() as (wake_fd, _):
            try:
                source = FileSource(fd, name="x", wake_fd=wake_fd, filter_text=text)
            except (SourceError, FilterError) as error:
                return None, str(error)
            taken, reason = drain(source)
            assert reason in (Stop.END, Stop.DAMAGED)
            found = parse(source.file_header + taken)
            assert found.records == records_of(source, taken)
            source.close()
            return found, source.failure or ""
    finally:
        os.close(fd)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_same_records(path: Path) -> None:
    ours, failure = by_us(path, "")
    theirs, complaint = by_tcpdump(path, "", ours)

    assert bool(failure) is bool(complaint), (failure, complaint)
    if theirs is None or ours is None:
        assert ours is theirs, (failure, complaint)
        return
    assert ours.records == theirs.records
    assert ours.linktype == theirs.linktype
    assert ours.snaplen == theirs.snaplen


@pytest.mark.parametrize("text", FILTERS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_same_records_of_a_filter(path: Path, text: str) -> None:
    ours, failure = by_us(path, text)
    theirs, complaint = by_tcpdump(path, text, ours)

    assert bool(failure) is bool(complaint), (failure, complaint)
    if theirs is not None and ours is not None:
        assert ours.records == theirs.records


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_our_own_reader_says_is_what_comes_out(path: Path) -> None:
    ours, failure = by_us(path, "")
    if ours is None or failure:
        return  # where a capture is no longer whole, libpcap and the reader may differ
    data = path.read_bytes()
    expected = parse(data)

    assert [r.data for r in ours.records] == [r.data for r in expected.records]
    assert ours.records == expected.records
    assert ours.nanosecond is expected.nanosecond
