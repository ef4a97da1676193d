"""What becomes of closed streams: rows in order, JSON, commands, and what failed."""

import os
import sys
from functools import partial

import pytest

from daemonlogger_py.config.streams import StreamsConfig
from daemonlogger_py.readers.streams import commands
from daemonlogger_py.readers.streams.aftermath import Aftermath
from tests.flow.segments import Side
from tests.readers.streams.stored import Stored

FRAMES = [
    frame
    for port in range(1, 6)
    for frame in (Side(port=port).syn(), Side(port=port).sends(0, b"%d" % port))
]
NAMES = [f"010.000.000.001.{port:05}-010.000.000.002.00080" for port in range(1, 6)]


class Told:
    def __init__(self, lines, tells_streams=False):
        self.tell = self.detail = lines.append
        self.tells_streams = tells_streams


class NotStopping:
    requested = False


class Rows:
    def __init__(self):
        self.rows = b""

    def append(self, rows=b""):
        self.rows += rows

    def names(self):
        return [part.split(b"<")[0].decode() for part in self.rows.split(b"<filename>")[1:]]


@pytest.fixture
def directory_fd(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def ended(tmp_path, directory_fd, told, frames=FRAMES, tells_streams=False, **options):
    """(rows, aftermath) of the frames once all is done."""
    config = StreamsConfig(outdir=str(tmp_path), **options)
    rows = Rows()
    aftermath = Aftermath(config, directory_fd, rows, Told(told, tells_streams), NotStopping())
    try:
        for batch in Stored(tmp_path, frames, feeds=3, tell_created=True).batches:
            aftermath.harvest(batch)
        aftermath.finish()
    finally:
        aftermath.close()
    return rows, aftermath


@pytest.mark.parametrize("options", [{}, {"md5": True}, {"http": True}], ids=str)
def test_rows_are_in_the_order_of_the_packets(tmp_path, directory_fd, options):
    told = []
    rows, aftermath = ended(tmp_path, directory_fd, told, **options)

    assert rows.names() == [f"{tmp_path}/{name}" for name in NAMES]
    assert (told, aftermath.failures) == ([], 0)
    assert rows.rows.count(b"<hashdigest") == (5 if options.get("md5") else 0)


@pytest.mark.parametrize("options", [{}, {"md5": True}], ids=str)
def test_a_report_without_streams(tmp_path, directory_fd, options):
    rows, aftermath = ended(tmp_path, directory_fd, [], report_streams=False, **options)

    assert (rows.rows, aftermath.failures) == (b"", 0)


def test_each_stream_is_told_of_if_asked_for(tmp_path, directory_fd):
    told = []
    rows, _ = ended(tmp_path, directory_fd, told, tells_streams=True)

    assert rows.names() == [f"{tmp_path}/{name}" for name in NAMES]
    assert [line.split(":")[0] for line in told] == [f"{tmp_path}/{name}" for name in NAMES]
    assert all(" packets, " in line for line in told)


def test_what_is_not_read_as_http_is_counted_and_told_with_its_stream(tmp_path, directory_fd):
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    other = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08"
    frames = [
        frame
        for port, data in ((1, reply), (2, reply + b"garbage" + reply), (3, other))
        for frame in (Side(port=port).syn(), Side(port=port).sends(0, data))
    ]
    told = []
    rows, aftermath = ended(tmp_path, directory_fd, told, frames=frames, http=True)

    assert (aftermath.unread_streams, aftermath.poor_bodies, aftermath.failures) == (1, 2, 0)
    assert rows.rows.count(b"<byte_runs problem='HTTP: what is in between, 7 bytes") == 1
    (line,) = [line for line in told if "7 bytes" in line]
    assert line.startswith(f"{tmp_path}/{NAMES[1]}: HTTP: ")


def test_a_command_is_run_for_each_file_and_its_failure_is_told(tmp_path, directory_fd):
    told = []
    seen = tmp_path / "seen"
    code = (
        f"import sys; open({str(seen)!r}, 'a').write(sys.argv[1] + '\\n');"
        " sys.exit('00003' in sys.argv[1])"
    )
    _, aftermath = ended(tmp_path, directory_fd, told, tcp_command=(sys.executable, "-c", code))

    assert sorted(seen.read_text().split()) == [f"{tmp_path}/{name}" for name in NAMES]
    assert aftermath.failures == 1
    assert [NAMES[2] in line for line in told] == [True]


@pytest.mark.parametrize(("stopping", "failures"), [(False, 0), (True, 5)])
def test_commands_are_given_up_only_after_a_stop(
    tmp_path, directory_fd, monkeypatch, stopping, failures
):
    monkeypatch.setattr(commands, "Patience", partial(commands.Patience, limit_s=0))
    monkeypatch.setattr(NotStopping, "requested", stopping)
    code = "import time; time.sleep(60 if '--wait' in __import__('sys').argv else 0.1)"
    wait = ("--wait",) if stopping else ()
    command = (sys.executable, "-c", code, *wait)
    _, aftermath = ended(tmp_path, directory_fd, [], tcp_command=command)

    assert aftermath.failures == failures


def test_a_descriptor_is_told_of_each_file(tmp_path, directory_fd):
    reader, writer = os.pipe()
    ended(tmp_path, directory_fd, [], tcp_alert_fd=writer)
    os.close(writer)
    with os.fdopen(reader) as alerts:
        lines = alerts.read().splitlines()

    # They are all open until the end of the input.
    assert lines == [f"{what}\t{tmp_path}/{name}" for what in ("open", "close") for name in NAMES]


def test_a_file_that_is_gone_is_told_and_its_row_stays(tmp_path, directory_fd):
    told = []
    config = StreamsConfig(outdir=str(tmp_path), md5=True)
    rows = Rows()
    aftermath = Aftermath(config, directory_fd, rows, Told(told), NotStopping())
    try:
        batches = Stored(tmp_path, FRAMES).batches
        (tmp_path / NAMES[1]).unlink()
        for batch in batches:
            aftermath.harvest(batch)
        aftermath.finish()
    finally:
        aftermath.close()

    assert aftermath.failures == 1
    assert NAMES[1] in told[0]
    assert rows.rows.count(b"</fileobject>") == 5
    assert rows.rows.count(b"<hashdigest") == 4
