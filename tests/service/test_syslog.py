"""What a syslogd gets, by a socket that stands in for its own."""

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.service.syslog import MOST_BYTES, Syslog

from .receiver import PATIENCE_S, Receiver

INFO = 6
AT_S = 1_228_873_098.5  # 2008-12-10 01:38:18 UTC


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "log")


@pytest.fixture
def syslogd(path: str) -> Iterator[Receiver]:
    with Receiver(path) as receiver:
        yield receiver


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("utc")
def test_entry(syslogd: Receiver, path: str) -> None:
    log = Syslog(path)
    log.log(6, "Rolling over logfile...", AT_S)
    log.log(4, "[!] Ringbuffer: deleting t.1", AT_S)
    log.log(3, "caf\u00e9 \udce9", AT_S)
    log.close()

    head = f"Dec 10 01:38:18 daemonlogger[{os.getpid()}]: "
    assert syslogd.waiting() == [
        f"<30>{head}Rolling over logfile...",
        f"<28>{head}[!] Ringbuffer: deleting t.1",
        f"<27>{head}caf\u00e9 \udce9",
    ]


@pytest.mark.parametrize(
    ("zone", "date"), [("UTC", "Dec  1 23:30:00"), ("XST-2", "Dec  2 01:30:00")]
)
def test_time_is_local(
    syslogd: Receiver, path: str, monkeypatch: pytest.MonkeyPatch, zone: str, date: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    log = Syslog(path)
    log.log(INFO, "text", 1_228_174_200.0)
    log.close()
    monkeypatch.undo()
    time.tzset()

    assert syslogd.next().startswith(f"<30>{date} daemonlogger[")


def test_pid_is_that_of_the_process_that_speaks(
    syslogd: Receiver, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Syslog(path)
    monkeypatch.setattr(os, "getpid", lambda: 4242)
    log.log(INFO, "text", AT_S)
    log.close()

    assert " daemonlogger[4242]: text" in syslogd.next()


def test_path_is_needed_once(syslogd: Receiver, path: str) -> None:
    """As inside a chroot, where it leads nowhere."""
    log = Syslog(path)
    os.unlink(path)
    log.log(INFO, "text", AT_S)
    log.close()

    assert syslogd.next().endswith(": text")


def test_syslogd_that_is_started_anew(path: str) -> None:
    with Receiver(path) as first:
        log = Syslog(path)
        log.log(INFO, "one", AT_S)
        assert first.next().endswith(": one")
    with Receiver(path) as second:
        log.log(INFO, "two", AT_S)
        assert [line.partition(": ")[2] for line in second.waiting()] == ["two"]
    log.close()


def test_what_is_lost_meanwhile_is_counted(path: str) -> None:
    log = Syslog(path)
    assert log.connected is False
    for number in range(3):
        log.log(INFO, f"message {number}", AT_S)
    with Receiver(path) as syslogd:
        log.log(INFO, "at last", AT_S)
        log.log(INFO, "and on", AT_S)
        assert log.connected is True
        said = syslogd.waiting()
    log.close()
    log.close()

    assert [line.partition(": ")[2] for line in said] == [
        "[!] 3 messages lost: there was no syslogd",
        "at last",
        "and on",
    ]
    assert [line.partition(">")[0] for line in said] == ["<28", "<30", "<30"]


def test_syslogd_that_listens_for_streams(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen()
        log = Syslog(path)
        connection, _ = listener.accept()
        log.log(INFO, "one", AT_S)
        log.log(INFO, "two", AT_S)
        log.close()
        with connection.makefile("rb") as stream:
            entries = stream.read().split(b"\0")
        connection.close()

    assert [entry.partition(b": ")[2] for entry in entries] == [b"one", b"two", b""]


@pytest.mark.parametrize("filler", ["x", "\u00e9", "\u20ac", "\U0001f600"])
@pytest.mark.parametrize("more", range(4))
def test_line_is_cut_at_a_character(syslogd: Receiver, path: str, filler: str, more: int) -> None:
    log = Syslog(path)
    log.log(INFO, "y" * more + filler * MOST_BYTES, AT_S)
    log.close()
    said = syslogd.next()

    width = len(filler.encode())
    assert MOST_BYTES - width < len(said.encode()) <= MOST_BYTES
    assert re.fullmatch(rf"<30>.*: y{{{more}}}{filler}+\.\.\.", said)


def test_line_that_just_fits_is_whole(syslogd: Receiver, path: str) -> None:
    log = Syslog(path)
    log.log(INFO, "", AT_S)
    head = len(syslogd.next())
    log.log(INFO, "x" * (MOST_BYTES - head), AT_S)
    log.close()

    assert syslogd.next().endswith(": " + "x" * (MOST_BYTES - head))


def test_no_text_at_all_is_cut_too(syslogd: Receiver, path: str) -> None:
    """A name may be any bytes."""
    log = Syslog(path)
    log.log(INFO, "\udc80" * 2 * MOST_BYTES, AT_S)
    log.close()

    said = syslogd.next().encode(errors="surrogateescape")
    assert MOST_BYTES - 3 <= len(said) <= MOST_BYTES


def test_waiting_ends_with_the_syslogd_that_hangs(syslogd: Receiver, path: str) -> None:
    log = Syslog(path)
    done = threading.Event()

    def speak() -> None:
        for _ in range(5000):  # net.unix.max_dgram_qlen is some hundreds at most
            log.log(INFO, "text", AT_S)
        done.set()

    speaker = threading.Thread(target=speak)
    speaker.start()
    while not syslogd.waiting():
        time.sleep(0.001)
    syslogd.close()
    speaker.join(PATIENCE_S)
    log.close()

    assert done.is_set()
