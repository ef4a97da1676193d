"""The report as a document: whole at any time, valid, and never written through a link."""

import errno
import functools
import os
import re
import stat
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import daemonlogger_py
from daemonlogger_py.config.streams import Plugin
from daemonlogger_py.errors import StorageError
from daemonlogger_py.readers.inputs.stopping import Stopping
from daemonlogger_py.readers.stalls import StalledError
from daemonlogger_py.readers.streams import report as module
from daemonlogger_py.readers.streams.dfxml import fileobject
from daemonlogger_py.readers.streams.facts import Body, ClosedStream, Finished, PluginResult
from daemonlogger_py.readers.streams.report import (
    FAILED,
    INTERRUPTED,
    ROW_END,
    Counts,
    Report,
    finished_row,
)

SCHEMA = Path(__file__).parents[3] / "docs" / "report.xsd"
ROW = fileobject(
    b"out/", b"name", b"\1\2\3\4", b"\5\6\7\x08", macs=(b"\1" * 6, b"\2" * 6), stream_bytes=7,
    out_of_order=1, violations=1, length_bytes=9, captured_bytes=8, gaps=[(1, 3)],
    differing_bytes=1, with_gaps=True,
)  # fmt: skip
ROW_IPV6 = fileobject(b"", None, bytes(16), b"\xff" * 10 + bytes(6), first_ns=1)


STOPPING = Stopping()  # which nobody requests
report_at = functools.partial(Report, stopping=STOPPING)


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def read(path: Path) -> ET.Element:
    return ET.parse(path).getroot()


def rows(path: Path) -> list[ET.Element]:
    return read(path).findall("configuration/fileobject")


@functools.cache
def schema():
    return pytest.importorskip("xmlschema").XMLSchema(SCHEMA)


def validate(path: Path) -> None:
    schema().validate(path)


def test_it_is_a_document_from_the_start(tmp_path) -> None:
    path = tmp_path / "report.xml"
    report = report_at(str(path), command_line=("dlctl", "streams"))
    assert read(path).findtext("outcome") == "running"
    assert os.listdir(tmp_path) == ["report.xml"]
    validate(path)
    report.close()
    assert read(path).findtext("outcome") == "finished"
    validate(path)


def test_rows_come_in_order_and_counts_with_them(tmp_path) -> None:
    path = tmp_path / "report.xml"
    report = report_at(str(path), tdelta_ns=-1_500_000_000)
    report.append(ROW)
    report.append(ROW_IPV6 + ROW)
    report.counts = Counts(1, 2, 3, 4, 5, {"cut <short>": 6}, 7)
    report.close(INTERRUPTED)
    root = read(path)
    families = [row.find("tcpflow").get("family") for row in rows(path)]  # type: ignore[union-attr]
    assert families == ["2", "10", "2"]
    assert root.findtext("tdelta") == "-1.5"
    assert root.findtext("outcome") == "interrupted"
    names = ["open_fds_at_end", "max_open_flows", "total_flows", "flow_map_size", "total_packets"]
    assert [root.findtext(name) for name in names] == ["1", "2", "3", "4", "5"]
    assert root.findtext("late_bytes") == "7"
    oddity = root.find("oddities/oddity")
    assert oddity is not None
    assert oddity.attrib == {"name": "cut <short>", "count": "6"}
    validate(path)


def test_the_order_of_elements_is_that_of_tcpflow(tmp_path) -> None:
    path = tmp_path / "report.xml"
    report_at(str(path)).close()
    root = read(path)
    tcpflow = [
        "metadata", "creator", "configuration", "tdelta", "configuration", "summary",
        "open_fds_at_end", "max_open_flows", "total_flows", "flow_map_size", "total_packets",
        "rusage",
    ]  # fmt: skip
    assert [child.tag.rpartition("}")[2] for child in root] == [*tcpflow, "outcome"]
    assert [child.tag for child in root.iterfind("rusage/*")] == [
        "utime", "stime", "maxrss", "minflt", "majflt", "nswap", "inblock", "oublock", "clocktime",
    ]  # fmt: skip


def test_where_it_comes_from(tmp_path) -> None:
    path = tmp_path / "report.xml"
    report_at(str(path), command_line=("dlctl", "streams", "-o", "a b", "tcp & 'x'\x1b")).close()
    creator = read(path).find("creator")
    assert creator is not None
    assert creator.findtext("version") == daemonlogger_py.__version__
    environment = {child.tag: child.text for child in creator.iterfind("execution_environment/*")}
    assert environment["command_line"] == "dlctl streams -o 'a b' 'tcp & '\"'\"'x'\"'\"'\\x1b'"
    assert environment["uid"] == str(os.getuid())
    assert environment["host"] == os.uname().nodename
    libraries = {one.get("name"): one.get("version") for one in creator.iter("library")}
    assert libraries["python"] == ".".join(map(str, sys.version_info[:3]))
    assert re.match(r"\d", libraries["libpcap"] or "")
    assert creator.findtext("build_environment/compiler")


def test_a_user_without_a_name(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    path = tmp_path / "report.xml"
    report_at(str(path)).close()
    assert read(path).findtext("creator/execution_environment/username") == ""
    validate(path)


def test_it_is_written_once_a_second_or_when_there_is_much(tmp_path) -> None:
    clock = Clock()
    path = tmp_path / "report.xml"
    report = report_at(str(path), clock=clock)
    report.append(ROW)
    assert rows(path) == []
    clock.seconds += 1
    report.append()
    assert len(rows(path)) == 1
    many = module.BUFFER_BYTES // len(ROW) + 1
    for _ in range(many):
        report.append(ROW)
    assert len(rows(path)) == 1 + many
    report.append(ROW)
    assert read(path).findtext("outcome") == "running"
    report.close()
    report.close()
    assert len(rows(path)) == 2 + many
    assert read(path).findtext("rusage/clocktime") == "1.000000"


def test_a_tail_that_became_shorter_leaves_nothing_behind(tmp_path) -> None:
    clock = Clock()
    path = tmp_path / "report.xml"
    report = report_at(str(path), clock=clock)
    report.counts = Counts(oddities={"x" * 2000: 1})
    report.append(ROW)
    clock.seconds += 1
    report.append()
    report.counts = Counts()
    report.close()
    assert len(rows(path)) == 1
    assert b"xxx" not in path.read_bytes()


def test_one_that_was_there_is_replaced_and_never_written_into(tmp_path) -> None:
    path, other = tmp_path / "report.xml", tmp_path / "somebody's"
    other.write_text("precious")
    os.link(other, path)
    report_at(str(path)).close()
    assert other.read_text() == "precious"
    assert read(path).findtext("outcome") == "finished"


def test_a_symbolic_link_is_refused(tmp_path) -> None:
    path, other = tmp_path / "report.xml", tmp_path / "other"
    path.symlink_to(other)
    with pytest.raises(StorageError, match="is a symbolic link; accepted: "):
        report_at(str(path))
    assert not other.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [("gone/report.xml", "No such file or directory"), ("", "is no regular file")],
)
def test_where_none_can_be(tmp_path, name: str, message: str) -> None:
    with pytest.raises(StorageError, match=message) as error:
        report_at(str(tmp_path / name))
    assert repr(str(tmp_path / name)) in str(error.value)
    assert os.listdir(tmp_path) == []


def test_the_mode_is_what_the_umask_leaves(tmp_path) -> None:
    before = os.umask(0o027)
    try:
        report_at(str(tmp_path / "report.xml")).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "report.xml").stat().st_mode) == 0o640


def test_a_pipe_that_nobody_reads_is_waited_for_until_somebody_asks(tmp_path, stopping) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    threading.Timer(0.2, stopping.request).start()
    with pytest.raises(StalledError, match=r"stopped: nobody reads report '.*/pipe'"):
        Report(str(path), stopping=stopping)


@pytest.mark.usefixtures("impatient")
def test_a_pipe_whose_reader_takes_nothing_holds_up_nobody_who_is_asked(tmp_path, stopping) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    report = Report(str(path), stopping=stopping)
    threading.Timer(0.2, stopping.request).start()
    report.append(ROW * 400)
    with pytest.raises(StalledError, match=r"stopped: report '.*/pipe' was held up by its reader"):
        report.close()
    os.close(reading)


def test_a_pipe_gets_it_in_one_go(tmp_path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
    reader.start()
    report = report_at(str(path))
    for _ in range(2000):
        report.append(ROW)
    report.close()
    reader.join()
    root = ET.fromstring(got[0])
    assert len(root.findall("configuration/fileobject")) == 2000
    assert root.findtext("outcome") == "finished"


def test_a_full_volume_leaves_a_document(tmp_path, monkeypatch) -> None:
    path = tmp_path / "report.xml"
    clock = Clock()
    report = report_at(str(path), clock=clock)
    report.append(ROW)
    clock.seconds += 1
    report.append()
    limit = path.stat().st_size + 100
    writing = os.pwrite

    def full(fd: int, data: memoryview, offset: int) -> int:
        if offset >= limit:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return writing(fd, data[: limit - offset], offset)

    monkeypatch.setattr(os, "pwrite", full)
    report.append(ROW * 100)
    with pytest.raises(StorageError, match="No space left on device"):
        report.close()
    assert len(rows(path)) == 1
    assert read(path).findtext("outcome") == FAILED
    report.close()


def test_a_process_that_is_killed_leaves_a_document(tmp_path) -> None:
    path = tmp_path / "report.xml"
    code = (
        "import os, sys; from daemonlogger_py.readers.streams.report import Report\n"
        "from daemonlogger_py.readers.inputs.stopping import Stopping\n"
        "report = Report(sys.argv[1], stopping=Stopping())\n"
        "for _ in range(6): report.append(bytes.fromhex(sys.argv[2]) * 500)\n"
        "os.kill(os.getpid(), 9)"
    )
    tree = str(Path(daemonlogger_py.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), ROW.hex()],
        env=os.environ | {"PYTHONPATH": tree},
        check=False,
        timeout=60,
    )
    assert done.returncode == -9
    assert 500 <= len(rows(path)) <= 3000
    assert read(path).findtext("outcome") == "running"
    validate(path)


CLOSED = ClosedStream(
    0, 0, "name", to_server=True, stream_bytes=7, row=ROW.removesuffix(ROW_END)
)  # fmt: skip


def test_nothing_found_out_adds_nothing() -> None:
    assert finished_row(Finished(CLOSED), "out/", Plugin("", "m", "f")) == ROW
    none = Finished(CLOSED, plugin=PluginResult(None))
    assert finished_row(none, "out/", Plugin("", "m", "f")) == ROW


def test_what_was_found_out(tmp_path) -> None:
    finished = Finished(
        CLOSED,
        md5="0" * 32,
        bodies=(Body(80, "n-HTTPBODY-001.html", 493), Body(600, "\udcff<", 5, ("cut", "'odd'"))),
        plugin=PluginResult("a <b> \0 \ud800 c", "cut & odd"),
    )
    path = tmp_path / "report.xml"
    report = report_at(str(path))
    report.append(finished_row(finished, "out/", Plugin("dir", "one.two", "look")))
    report.append(finished_row(Finished(CLOSED, plugin=PluginResult("")), "", Plugin("", "m", "f")))
    report.close()
    validate(path)
    row, empty = rows(path)
    assert [child.tag.rpartition("}")[2] for child in row] == [
        "filename", "filesize", "tcpflow", "gaps", "hashdigest", "byte_runs", "result",
    ]  # fmt: skip
    digest = row.find("hashdigest")
    assert digest is not None
    assert (digest.attrib, digest.text) == ({"type": "MD5"}, "0" * 32)
    bodies = [
        (run.attrib, run.findtext("fileobject/filename"), run.findtext("fileobject/filesize"))
        for run in row.iter("byte_run")
    ]
    assert bodies == [
        ({"file_offset": "80"}, "out/n-HTTPBODY-001.html", "493"),
        ({"file_offset": "600", "problem": "cut; 'odd'"}, "out/\\xff<", "5"),
    ]
    result = row.find("{http://afflib.org/tcpflow/}result")
    assert result is not None
    assert result.text == "a <b> \\x00 \\xed\\xa0\\x80 c"
    assert result.attrib == {
        "scanner": "python",
        "path": "dir",
        "module": "one.two",
        "function": "look",
        "problem": "cut & odd",
    }
    assert empty.find("{http://afflib.org/tcpflow/}result") is not None


@pytest.mark.parametrize("bodies", [(), (Body(80, "n-HTTPBODY-001", 493),)])
def test_what_was_not_read_is_told_where_bodies_would_be(tmp_path, bodies) -> None:
    path = tmp_path / "report.xml"
    report = report_at(str(path))
    report.append(finished_row(Finished(CLOSED, bodies=bodies, unread=("3 'odd' bytes", "5")), ""))
    report.close()
    validate(path)
    (row,) = rows(path)
    runs = row.find("byte_runs")
    assert runs is not None
    assert runs.attrib == {"problem": "3 'odd' bytes; 5"}
    assert len(runs) == len(bodies)


def test_a_row_without_bodies_and_digest_has_no_elements_for_them() -> None:
    row = finished_row(
        Finished(CLOSED, plugin=PluginResult(None, "it failed")), "", Plugin("", "m", "f")
    )
    assert b"byte_runs" not in row
    assert b"hashdigest" not in row
    assert b"problem='it failed'></tcpflow:result>" in row


def test_no_descriptor_is_left(tmp_path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        report_at(str(tmp_path / "report.xml")).close()
        with pytest.raises(StorageError):
            report_at(str(tmp_path / "gone" / "report.xml"))
    assert len(os.listdir("/proc/self/fd")) == before
