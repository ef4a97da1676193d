"""Extractions from beginning to end: the packets, their order, what is said, and the status."""

import fcntl
import gzip
import os
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
import zipfile
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemonlogger_py.config.archive import ExtractConfig, IndexConfig, VerifyConfig, Where
from daemonlogger_py.errors import FilterError, SourceError, StorageError, UsageError
from daemonlogger_py.readers import stalls
from daemonlogger_py.readers.archive import Member
from daemonlogger_py.readers.extract import run as extract_run
from daemonlogger_py.readers.extract import work
from daemonlogger_py.readers.extract.choice import Choice
from daemonlogger_py.readers.extract.chunk import Chunk
from daemonlogger_py.readers.extract.output import Output
from daemonlogger_py.readers.extract.run import Extraction, _temporary_file, check_filter, run
from daemonlogger_py.readers.extract.task import Facts, Found, Task
from daemonlogger_py.readers.index.indexing import run as index
from daemonlogger_py.readers.inputs.stopping import Stopping
from daemonlogger_py.readers.stalls import StalledError
from daemonlogger_py.readers.verify import run as verify

from ...pcaps.make import MICROSECONDS as MICRO
from ...pcaps.make import NANOSECONDS, Packet, classic, file_header, record
from ...pcaps.parse import parse
from .savefiles import EPOCH, MS, NS, extracted, in_order, numbered, records, ring

BEGIN_NS = EPOCH * NS
LATER_NS = BEGIN_NS + 1000 * NS
Parts = list[list[Packet]]


@pytest.fixture
def parts() -> Parts:
    """Four savefiles of a ring that overlap a little; one has no packets, one is out of order."""
    packets = numbered(4000)
    last = packets[2900:]
    last[5], last[700] = last[700], last[5]
    return [packets[:1000], packets[990:2000], [], [*packets[1995:2900], *last]]


def test_nowhere_to_put_what_is_out_of_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(StorageError, match="temporary file for packets out of order: No such file"):
        _temporary_file()


@pytest.fixture
def folder(tmp_path: Path, parts: Parts) -> Path:
    return ring(tmp_path / "ring", parts)


def where(*rings: Path, **span: int | None) -> Where:
    return Where(rings=tuple(map(str, rings)), **span)  # type: ignore[arg-type]


@pytest.fixture(params=[False, True], ids=["scanned", "indexed"])
def searched(request: pytest.FixtureRequest, folder: Path) -> Path:
    """The ring, with and without an index."""
    if request.param:
        assert index(IndexConfig(where(folder), progress=False, smallest_bytes=0)) == 0
    return folder


@pytest.mark.parametrize("memory_bytes", [1, 1 << 20])
def test_everything_in_order_with_its_duplicates(
    tmp_path: Path, searched: Path, parts: Parts, memory_bytes: int
) -> None:
    data = extracted(tmp_path, where(searched), memory_bytes=memory_bytes)

    assert data == file_header() + records(in_order(parts))


# Enough for several ranges: an index has blocks of 64 KiB, a survey regions of 4 MiB.
LARGE = [one._replace(data=one.data + bytes(30000)) for one in numbered(400)]


@settings(max_examples=30, deadline=None)
@given(
    packets=st.integers(0, len(LARGE)),
    rest=st.sampled_from([b"", b"cut", record(LARGE[0])[:-1], b"\xff" * 16, b"\xff" * 90000]),
    more=st.integers(0, 200),
    cut_bytes=st.sampled_from([0, 1, 20, 30000]),
    newest=st.booleans(),
    with_index=st.booleans(),
    with_catalog=st.booleans(),
    use_index=st.booleans(),
    text=st.sampled_from(["", "tcp", "udp"]),
    max_packets=st.integers(1, 100),
)
def test_newest_first_gives_and_tells_the_same_of_damage(
    packets: int,
    rest: bytes,
    more: int,
    cut_bytes: int,
    newest: bool,
    with_index: bool,
    with_catalog: bool,
    use_index: bool,
    text: str,
    max_packets: int,
) -> None:
    """Behind whole records some damage, what may be records again, and perhaps a torn end."""
    with (
        TemporaryDirectory() as base,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr(work, "WHOLE_BYTES", 1 << 20)
        folder = ring(Path(base, "ring"), [[]] if newest else [[], numbered(3, start_ns=LATER_NS)])
        behind = classic(LARGE[packets : packets + more])[24:]
        data = classic(LARGE[:packets]) + rest + behind
        (folder / f"p.{EPOCH}").write_bytes(data[: max(24, len(data) - cut_bytes)])
        if with_catalog:
            verify(VerifyConfig(where(folder), rebuild=True, progress=False))
        if with_index:
            index(IndexConfig(where(folder), progress=False, smallest_bytes=0))
        told: list[list[str]] = []
        found: list[tuple[int, list[bytes]]] = []
        for how in ({}, {"reverse": True}, {"reverse": True, "max_packets": max_packets}):
            lines: list[str] = []
            patched.setattr(extract_run, "tell", lambda _, line, lines=lines: lines.append(line))
            out = Path(base, "out")
            asked = ExtractConfig(where(folder), text, str(out), use_index=use_index, **how)  # type: ignore[arg-type]
            status = run(asked)
            found.append((status, [one.data for one in parse(out.read_bytes()).records]))
            told.append(lines)
    (status, forth), (status_back, back), (_, few) = found
    assert back == forth[::-1]
    assert few == back[:max_packets]
    assert status_back == status
    assert told[1] == told[0]


savefiles = st.lists(st.lists(st.integers(0, 30), max_size=25), min_size=1, max_size=5)


@settings(max_examples=30)
@given(
    seconds=savefiles,
    asked=st.fixed_dictionaries(
        {
            "reverse": st.booleans(),
            "jobs": st.integers(1, 3),
            "memory_bytes": st.sampled_from([1, 1 << 20]),
            "max_packets": st.none() | st.integers(1, 30),
        }
    ),
    span=st.tuples(st.none() | st.integers(0, 31), st.none() | st.integers(0, 31)),
    with_index=st.booleans(),
    with_catalog=st.booleans(),
)
def test_any_order_in_any_savefile(
    seconds: list[list[int]],
    asked: dict[str, object],
    span: tuple[int | None, int | None],
    with_index: bool,
    with_catalog: bool,
) -> None:
    parts = [
        [one._replace(time_ns=BEGIN_NS + at * NS) for at, one in zip(times, made, strict=True)]
        for times, made in (
            (part, numbered(len(part), first=100 * n)) for n, part in enumerate(seconds)
        )
    ]
    from_ns, to_ns = (None if one is None else BEGIN_NS + one * NS for one in span)
    with TemporaryDirectory() as base:
        folder = ring(Path(base, "ring"), parts)
        if with_index:
            assert index(IndexConfig(where(folder), progress=False, smallest_bytes=0)) == 0
        if with_catalog:
            assert verify(VerifyConfig(where(folder), rebuild=True, progress=False)) == 0
        asked_where = where(folder, from_ns=from_ns, to_ns=to_ns)
        data = extracted(Path(base), asked_where, "udp", **asked)
    expected = [
        one
        for one in in_order(parts)
        if one.data[23] == 17
        and (from_ns is None or one.time_ns >= from_ns)
        and (to_ns is None or one.time_ns < to_ns)
    ]
    expected = expected[::-1] if asked["reverse"] else expected
    assert data == file_header() + records(expected[: asked["max_packets"]])  # type: ignore[misc]


def test_what_the_filter_accepts(tmp_path: Path, searched: Path, parts: Parts) -> None:
    data = extracted(tmp_path, where(searched), "tcp port 80")

    expected = [one for one in in_order(parts) if one.data[23] == 6]
    assert data == file_header() + records(expected)


def test_a_span(tmp_path: Path, searched: Path, parts: Parts) -> None:
    begin_ns, end_ns = BEGIN_NS + 980 * MS, BEGIN_NS + 2910 * MS
    data = extracted(tmp_path, where(searched, from_ns=begin_ns, to_ns=end_ns))

    expected = [one for one in in_order(parts) if begin_ns <= one.time_ns < end_ns]
    assert data == file_header() + records(expected)


@pytest.mark.parametrize("memory_bytes", [1, 1 << 20])
def test_newest_first(tmp_path: Path, searched: Path, parts: Parts, memory_bytes: int) -> None:
    data = extracted(tmp_path, where(searched), reverse=True, memory_bytes=memory_bytes)

    assert data == file_header() + records(in_order(parts)[::-1])


@pytest.mark.parametrize("reverse", [False, True])
def test_the_first_few(tmp_path: Path, searched: Path, parts: Parts, reverse: bool) -> None:
    data = extracted(tmp_path, where(searched), max_packets=1234, reverse=reverse)

    expected = in_order(parts)[::-1] if reverse else in_order(parts)
    assert data == file_header() + records(expected[:1234])


def test_several_rings_and_savefiles_are_merged(tmp_path: Path) -> None:
    one = [numbered(20, step_ns=2 * MS), numbered(20, first=20, start_ns=BEGIN_NS + NS)]
    other = [numbered(20, first=100, step_ns=3 * MS)]
    alone = numbered(30, first=200, step_ns=MS)
    rings = [ring(tmp_path / "one", one), ring(tmp_path / "other", other)]
    (tmp_path / "alone.pcap").write_bytes(classic(alone))
    (tmp_path / "alone.pcap.gz").write_bytes(gzip.compress(classic(alone)))
    asked = where(*rings)._replace(
        paths=(str(tmp_path / "alone.pcap"), str(tmp_path / "alone.pcap.gz"))
    )
    found = parse(extracted(tmp_path, asked)).records

    everything = in_order([*one, *other, alone, alone])
    assert sorted(map(tuple, found)) == sorted(
        (one.time_ns // NS, one.time_ns % NS // 1000, len(one.data), one.data) for one in everything
    )
    assert [(r.seconds, r.fraction) for r in found] == sorted(
        (r.seconds, r.fraction) for r in found
    )


def test_resolutions_are_joined_in_the_finer_one(tmp_path: Path) -> None:
    coarse, fine = numbered(3), numbered(3, first=3, start_ns=BEGIN_NS + 500_123)
    (tmp_path / "coarse").write_bytes(classic(coarse))
    (tmp_path / "fine").write_bytes(classic(fine, magic=NANOSECONDS, order=">"))
    paths = (str(tmp_path / "coarse"), str(tmp_path / "fine"))
    data = extracted(tmp_path, Where(paths=paths))

    expected = b"".join(record(one, magic=NANOSECONDS) for one in in_order([coarse, fine]))
    assert data == file_header(magic=NANOSECONDS) + expected


def test_linktypes_are_joined_in_pcapng_alone(tmp_path: Path) -> None:
    (tmp_path / "ethernet").write_bytes(classic(numbered(2)))
    (tmp_path / "raw").write_bytes(classic([Packet(BEGIN_NS, b"E" + bytes(19))], linktype=101))
    asked = Where(paths=(str(tmp_path / "ethernet"), str(tmp_path / "raw")))

    with pytest.raises(UsageError, match=r"several linktypes \(1, 101\)"):
        extracted(tmp_path, asked)
    data = extracted(tmp_path, asked, pcapng=True)
    kinds, at = [], 0
    while at < len(data):
        kinds.append((data[at], int.from_bytes(data[at + 8 : at + 12], "little")))
        at += int.from_bytes(data[at + 4 : at + 8], "little")
    # Two descriptions, then the packets by time with the number of theirs.
    assert kinds[1:] == [(1, 1), (1, 101), (6, 0), (6, 1), (6, 0)]


@pytest.fixture
def raw_behind(tmp_path: Path) -> Path:
    """A ring with its catalog, in which the linktype changes behind what is read ahead."""
    folder = ring(tmp_path / "ring", [numbered(1000), numbered(1000, start_ns=BEGIN_NS + NS)])
    raw = [Packet(BEGIN_NS + 2 * NS + at, b"E" + bytes(19)) for at in range(1000)]
    (folder / f"p.{EPOCH + 20}").write_bytes(classic(raw, linktype=101))
    assert verify(VerifyConfig(where(folder), rebuild=True, progress=False)) == 0
    return folder


@pytest.mark.parametrize("use_index", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("max_packets", [None, 10])
def test_a_linktype_that_only_the_catalog_told_of(
    tmp_path: Path, raw_behind: Path, use_index: bool, reverse: bool, max_packets: int | None
) -> None:
    with pytest.raises(UsageError, match=r"several linktypes \(1, 101\)"):
        extracted(
            tmp_path,
            where(raw_behind),
            use_index=use_index,
            reverse=reverse,
            max_packets=max_packets,
            memory_bytes=1,
            jobs=1,
        )


def test_of_raw_ip_the_catalog_tells_resolution_and_snaplen(tmp_path: Path) -> None:
    parts = [
        [Packet(BEGIN_NS + at * NS + n * 1001, b"E" + bytes(19)) for n in range(500)]
        for at in range(3)
    ]
    folder = ring(tmp_path / "ring", [])
    for at, (magic, snaplen) in enumerate([(MICRO, 100), (MICRO, 0), (NANOSECONDS, 100)]):
        data = classic(parts[at], magic=magic, linktype=101)[24:]
        header = file_header(magic=magic, snaplen=snaplen, linktype=101)
        (folder / f"p.{EPOCH + 10 * at}").write_bytes(header + data)
    without = extracted(tmp_path, where(folder))
    assert verify(VerifyConfig(where(folder), rebuild=True, progress=False)) == 0

    header = file_header(magic=NANOSECONDS, linktype=101)
    assert without[:24] == header
    for how in ({}, {"memory_bytes": 1, "jobs": 1}, {"use_index": False}):
        assert extracted(tmp_path, where(folder), **how) == without
    assert extracted(tmp_path, where(folder), max_packets=5, jobs=1)[:24] == header


def test_no_linktype_follows_that_nothing_had_said(tmp_path: Path) -> None:
    """What is said of savefiles before the first packet is what a pcap file holds."""
    with Stopping() as stopping:
        output = Output(str(tmp_path / "out"), [], stopping=stopping)
        extraction = Extraction(ExtractConfig(Where()), Task("", stopping), [], output)
        extraction.know(Facts(1, 96, False))
        extraction.begin_output()
        extraction.add(Found(Chunk(nanosecond=False), 1, Facts(1, 65535, False)), 0)
        with pytest.raises(UsageError, match="linktype 101 follow those of 1"):
            extraction.add(Found(Chunk(nanosecond=False), 1, Facts(101, 96, False)), 1)
        output.close()


def test_several_linktypes_in_one_archive(tmp_path: Path) -> None:
    path = tmp_path / "two.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("raw.pcap", classic([Packet(BEGIN_NS, b"E" + bytes(19))], linktype=101))
        archive.writestr("ethernet.pcap", classic(numbered(2)))
    with pytest.raises(UsageError, match=r"several linktypes \(1, 101\)"):
        extracted(tmp_path, Where(paths=(str(path),)))


@pytest.mark.parametrize("with_catalog", [False, True])
def test_one_that_is_compressed_before_its_turn(
    tmp_path: Path, folder: Path, parts: Parts, with_catalog: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if with_catalog:
        assert verify(VerifyConfig(where(folder), rebuild=True, progress=False)) == 0
    chosen = extract_run.Choice.take

    def then_compressed(self: Choice, members: Iterable[Member]) -> None:
        chosen(self, members)
        for path in sorted(folder.glob("p.1*"))[:2]:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()

    monkeypatch.setattr(extract_run.Choice, "take", then_compressed)
    assert extracted(tmp_path, where(folder)) == file_header() + records(in_order(parts))


def test_pcapng_holds_the_same_packets(tmp_path: Path, folder: Path, parts: Parts) -> None:
    found = parse(extracted(tmp_path, where(folder), "udp", pcapng=True))

    expected = [one for one in in_order(parts) if one.data[23] == 17]
    assert [one.data for one in found.records] == [one.data for one in expected]
    assert found.times_ns() == [one.time_ns for one in expected]


def test_pcapng_does_not_depend_on_which_thread_was_first(tmp_path: Path) -> None:
    """Some is spilled before it is known how many descriptions there will be."""
    paths = []
    for at in range(4):
        packets = numbered(1000, size=1400)
        packets = [packets[(n * 619) % 1000] for n in range(1000)]
        path = tmp_path / f"{at}.pcap"
        path.write_bytes(classic(packets, snaplen=65535 - at))
        paths.append(str(path))
    asked = Where(paths=tuple(paths))
    enough = extracted(tmp_path, asked, pcapng=True)

    for jobs in (1, 4, 4, 4):
        assert enough == extracted(tmp_path, asked, pcapng=True, memory_bytes=1 << 16, jobs=jobs)


def test_nothing_matched_says_what_is_recorded(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert extracted(tmp_path, where(folder), "host 203.0.113.9") == file_header()
    told = capsys.readouterr().err
    assert "no packet matched; savefiles reach from 2023-11-14T22:13:20Z" in told
    assert "without a catalog, whether all of that was recorded is not known" in told

    for path in folder.iterdir():
        os.utime(path, ns=(BEGIN_NS, BEGIN_NS))
    later = where(folder, from_ns=BEGIN_NS + 10**6 * NS)
    assert extracted(tmp_path, later) == file_header()
    told = capsys.readouterr().err
    assert "no packet matched; nothing is recorded of that time by the names and times of 4" in told
    assert "; dlctl verify --rebuild tells for sure" in told

    assert verify(VerifyConfig(where(folder), rebuild=True, progress=False)) == 0
    capsys.readouterr()
    assert extracted(tmp_path, later) == file_header()
    assert "nothing is recorded of that time\n" in capsys.readouterr().err


def test_packets_outside_of_the_times_of_their_savefile(tmp_path: Path) -> None:
    """A clock is an hour ahead for a minute, in a savefile between two others."""
    ahead = numbered(30, start_ns=BEGIN_NS + 3600 * NS)
    around = numbered(100, start_ns=BEGIN_NS + 10 * NS)
    between = [*around[:50], *ahead, *around[50:]]
    parts = [numbered(10), between, numbered(10, start_ns=BEGIN_NS + 20 * NS)]
    folder = ring(tmp_path / "ring", parts)
    for at, path in enumerate(sorted(folder.iterdir())):
        os.utime(path, ns=(BEGIN_NS + 10 * at * NS, BEGIN_NS + 10 * at * NS))
    from_ns = BEGIN_NS + 1800 * NS
    expected = file_header() + records(ahead)
    itself = Where(paths=(str(folder / f"p.{EPOCH + 10}"),), from_ns=from_ns)

    assert extracted(tmp_path, where(folder, from_ns=from_ns)) == file_header()
    assert extracted(tmp_path, where(folder, from_ns=from_ns), use_index=False) == expected
    assert extracted(tmp_path, itself) == expected
    assert verify(VerifyConfig(where(folder), rebuild=True, progress=False)) == 0
    assert extracted(tmp_path, where(folder, from_ns=from_ns)) == expected


def test_damage_is_told_and_what_is_whole_is_given(
    tmp_path: Path, folder: Path, parts: Parts, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / f"p.{EPOCH}"
    data = path.read_bytes()
    path.write_bytes(data[:-10])
    found = extracted(tmp_path, where(folder), status=1)

    expected = in_order([parts[0][:-1], *parts[1:]])
    assert found == file_header() + records(expected)
    assert f"p.{EPOCH} is damaged: a record is cut short at byte offset" in capsys.readouterr().err


def test_a_bit_that_changed_in_an_indexed_savefile(
    tmp_path: Path, folder: Path, parts: Parts, capsys: pytest.CaptureFixture[str]
) -> None:
    assert index(IndexConfig(where(folder), progress=False, smallest_bytes=0)) == 0
    path = folder / f"p.{EPOCH}"
    status = path.stat()
    data = bytearray(path.read_bytes())
    middle = 24 + len(records(parts[0][:500]))
    data[middle + 8] ^= 1  # a captured length
    path.write_bytes(data)
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
    found = extracted(tmp_path, where(folder), "udp", status=1)

    scanned = extracted(tmp_path, where(folder), "udp", status=1, use_index=False)
    assert found == scanned
    assert "its index is of another savefile: not used" in capsys.readouterr().err


def test_one_that_cannot_be_read_alone_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no capture\n" * 10)
    out = tmp_path / "out"

    with pytest.raises(SourceError, match="text"):
        run(ExtractConfig(Where(paths=(str(tmp_path / "text"),)), output=str(out)))
    assert not out.exists()


@pytest.mark.parametrize("text_first", [False, True])
def test_of_several_that_cannot_be_read_the_first_decides(
    tmp_path: Path,
    text_first: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whichever a thread came to first: here that is the last one."""
    paths = [str(tmp_path / "a"), str(tmp_path / "b")]
    text, usb = paths if text_first else paths[::-1]
    Path(text).write_text("no capture\n" * 10)
    Path(usb).write_bytes(classic(numbered(1), linktype=189))
    note = Extraction._note

    def last_first(extraction: Extraction, ended: list[work.Work]) -> None:
        kept.extend(ended)
        if len(kept) == len(paths):
            note(extraction, sorted(kept, key=lambda one: -one.number))

    kept: list[work.Work] = []
    monkeypatch.setattr(Extraction, "_note", last_first)
    out = str(tmp_path / "out")
    with pytest.raises(SourceError if text_first else FilterError):
        run(ExtractConfig(Where(paths=tuple(paths)), "ip host 192.0.2.1", out))
    assert paths[1] in capsys.readouterr().err


def test_one_among_others_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text").write_text("no capture\n" * 10)
    (tmp_path / "capture").write_bytes(classic(numbered(3)))
    paths = (str(tmp_path / "text"), str(tmp_path / "capture"))
    data = extracted(tmp_path, Where(paths=paths), status=1)

    assert data == classic(numbered(3))
    assert f"{tmp_path / 'text'}: not a savefile" in capsys.readouterr().err


def test_a_filter_that_is_none_opens_nothing(tmp_path: Path, folder: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(FilterError, match="nonsense"):
        run(ExtractConfig(where(folder), "nonsense nonsense", str(out)))

    assert not out.exists()
    check_filter("type mgt")  # of one linktype only


def test_stats_tell_what_was_read(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extracted(tmp_path, where(folder), "tcp", stats=True, memory_bytes=1)
    told = capsys.readouterr().err

    assert "401 packets of 4,015 packets read" in told
    assert "4 savefiles read, 0 skipped" in told


def test_a_savefile_that_is_read_is_never_the_output(folder: Path) -> None:
    path = folder / f"p.{EPOCH}"
    before = path.read_bytes()
    with pytest.raises(UsageError, match="is read as"):
        run(ExtractConfig(where(folder), output=str(path)))

    assert path.read_bytes() == before


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "daemonlogger_py.cli.dlctl", "extract", *arguments]


def test_a_reader_that_has_enough_ends_it_quietly(folder: Path) -> None:
    with subprocess.Popen(
        command("--ring", str(folder)), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_a_closed_standard_output_is_an_error_that_is_told(folder: Path) -> None:
    asked = command("--ring", str(folder))
    done = subprocess.run(
        ["sh", "-c", '"$0" "$@" >&-', *asked], check=False, stderr=subprocess.PIPE
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"dlctl: -w -: standard output is closed")
    assert done.stderr.count(b"\n") == 1


def signalled(number: int, reading: int | None = None) -> threading.Thread:
    """A thread that sends this signal once it is handled, and the pipe is full."""

    def full() -> bool:
        count = bytearray(4)
        if reading is not None:
            fcntl.ioctl(reading, termios.FIONREAD, count)
        return reading is None or int.from_bytes(count, sys.byteorder) > 1 << 15

    def send() -> None:
        end_s = time.monotonic() + 60
        while (signal.getsignal(number) is before or not full()) and time.monotonic() < end_s:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.parametrize("how", [[], ["--follow"], ["--reverse"], ["--pcapng", "-j", "1"]])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_reader_that_takes_nothing_does_not_keep_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: list[str], number: signal.Signals
) -> None:
    monkeypatch.setattr(stalls, "PATIENCE_S", 0.3)
    packets = numbered(3000, size=400)
    folder = ring(tmp_path / "ring", [packets[:2000], packets[2000:]])
    reading, writing = os.pipe()
    before = os.dup(1)
    os.dup2(writing, 1)
    os.close(writing)
    options: dict[str, Any] = {
        "follow": "--follow" in how,
        "reverse": "--reverse" in how,
        "pcapng": "--pcapng" in how,
    }
    sender = signalled(number, reading)
    try:
        with pytest.raises(StalledError, match="held up by its reader") as told:
            run(ExtractConfig(where(folder), memory_bytes=1 << 20, **options))
    finally:
        os.dup2(before, 1)
        os.close(before)
        sender.join()
    assert told.value.exit_status == 128 + number
    data = b""
    while more := os.read(reading, 1 << 16):
        data += more
    os.close(reading)
    everything = extracted(
        tmp_path, where(folder), reverse=options["reverse"], pcapng=options["pcapng"]
    )
    if not options["follow"]:  # which says a larger snaplen
        assert data == everything[: len(data)]
    assert data[24:] == everything[24 : len(data)]
    assert len(data) > 4096


@pytest.mark.parametrize("follow", [False, True])
def test_nor_does_a_fifo_that_nobody_reads(tmp_path: Path, folder: Path, follow: bool) -> None:
    os.mkfifo(tmp_path / "fifo")
    sender = signalled(signal.SIGTERM)
    with pytest.raises(StalledError, match=r"nobody reads -w .*fifo") as told:
        run(ExtractConfig(where(folder), output=str(tmp_path / "fifo"), follow=follow))
    sender.join()
    assert told.value.exit_status == 128 + signal.SIGTERM


def test_a_fifo_that_somebody_reads(tmp_path: Path, folder: Path, parts: Parts) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    taken: list[bytes] = []
    thread = threading.Thread(target=lambda: taken.append(fifo.read_bytes()))
    thread.start()
    assert run(ExtractConfig(where(folder), output=str(fifo))) == 0
    thread.join()
    assert taken == [file_header() + records(in_order(parts))]
    assert fifo.is_fifo()


def test_a_signal_leaves_whole_packets(tmp_path: Path) -> None:
    """The output is a pipe that is read slowly, so that the signal comes in the middle."""
    packets = numbered(60_000, size=400)
    folder = ring(tmp_path / "ring", [packets[:30_000], packets[30_000:]])
    with subprocess.Popen(
        command("--ring", str(folder), "--memory", "1m"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as process:
        assert process.stdout is not None
        data = b""
        while len(data) < 100_000 and (more := process.stdout.read(65536)):
            data += more
        process.send_signal(signal.SIGTERM)
        rest, told = process.communicate()
        data += rest

    found = parse(data)
    assert found.whole
    assert [one.data for one in found.records] == [
        one.data for one in packets[: len(found.records)]
    ]
    assert len(found.records) < len(packets)
    assert process.returncode == 128 + signal.SIGTERM
    assert b"stopped by SIGTERM" in told
