"""What is told: text and JSON, and readers that are slow or gone."""

import fcntl
import json
import os
import re
import select
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.record import messages
from daemonlogger_py.record.messages import ERROR, INFO, WARNING, Messages, printable
from daemonlogger_py.service.syslog import Syslog

from ..service.receiver import Receiver

# Of the pipe, so that few messages fill it.
PIPE_BYTES = 4096


class Reader:
    """The reading end of a pipe that messages go into."""

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe2(os.O_CLOEXEC)
        fcntl.fcntl(self.write_fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def rest(self) -> str:
        """Everything until the writing end is closed, which this does."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1
        with open(self.read_fd, "rb", closefd=False) as pipe:
            return pipe.read().decode()

    def close(self) -> None:
        for fd in (self.read_fd, self.write_fd):
            if fd >= 0:
                os.close(fd)
        self.read_fd = self.write_fd = -1


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    made.close()


def test_text_is_told_as_it_is(reader: Reader) -> None:
    told = Messages(reader.write_fd)
    told.tell("setting", "[-] Ringbuffer active")
    told.tell("banner", "\n-*> DaemonLogger <*-\nVersion 1\n", version="1")
    told.tell("savefile", "Logging packets to ./t.1", path="./t.1")
    told.close()

    assert reader.rest() == (
        "[-] Ringbuffer active\n\n-*> DaemonLogger <*-\nVersion 1\n\nLogging packets to ./t.1\n"
    )


def test_json_is_one_object_a_line(reader: Reader) -> None:
    told = Messages(reader.write_fd, log_format="json")
    told.tell("banner", "\n-*> DaemonLogger <*-\nVersion 1\n", version="1")
    told.tell("roll", 'said "so"\u2028', why="size", size_bytes=1 << 40, paths=("a", "b"))
    told.close()

    banner, roll = [json.loads(line) for line in reader.rest().split("\n")[:-1]]
    assert banner.keys() == {"time", "event", "message", "version"}
    assert banner["event"] == "banner"
    assert banner["message"] == "-*> DaemonLogger <*-\nVersion 1"
    assert roll["message"] == 'said "so"'
    assert (roll["why"], roll["size_bytes"], roll["paths"]) == ("size", 1 << 40, ["a", "b"])


def test_time_is_utc_to_the_microsecond(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages.time, "time_ns", lambda: 1_228_873_098_000_042_999)
    told = Messages(reader.write_fd, log_format="json")
    told.tell("event", "text")
    told.close()

    assert json.loads(reader.rest())["time"] == "2008-12-10T01:38:18.000042Z"


def test_what_json_does_not_know_is_told_as_text(reader: Reader) -> None:
    told = Messages(reader.write_fd, log_format="json")
    told.tell("event", "text", error=OSError(5, "Input/output error"), kind=set())
    told.close()

    record = json.loads(reader.rest())
    assert record["error"] == "[Errno 5] Input/output error"
    assert record["kind"] == "set()"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_names_that_are_no_text(reader: Reader, log_format) -> None:
    """A directory's name may be any bytes."""
    told = Messages(reader.write_fd, log_format=log_format)
    told.tell("savefile", "Logging packets to \udce9/t.1", path="\udce9/t.1")
    told.close()
    os.close(reader.write_fd)
    reader.write_fd = -1
    with open(reader.read_fd, "rb", closefd=False) as pipe:
        data = pipe.read()

    if log_format == "json":
        assert json.loads(data)["path"] == "\udce9/t.1"
    else:
        assert data == b"Logging packets to \xe9/t.1\n"


def test_order_is_kept(reader: Reader) -> None:
    told = Messages(reader.write_fd)
    lines = [f"message {number}" for number in range(200)]
    for line in lines:
        told.tell("event", line)
    told.close()

    assert reader.rest().splitlines() == lines


def test_threads_tell_whole_lines(reader: Reader) -> None:
    collected: list[str] = []
    collector = threading.Thread(target=lambda: collected.append(collect(reader)))
    collector.start()
    told = Messages(reader.write_fd)

    def tell(name: str) -> None:
        for number in range(500):
            told.tell("event", f"{name}{number}" * 3)

    threads = [threading.Thread(target=tell, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told.close()
    os.close(reader.write_fd)
    reader.write_fd = -1
    collector.join()

    lines = collected[0].splitlines()
    for name in "abcd":
        mine = [line for line in lines if line.startswith(name)]
        assert mine == [f"{name}{number}" * 3 for number in range(500)]
    assert len(lines) == 2000


def collect(reader: Reader) -> str:
    with open(reader.read_fd, "rb", closefd=False) as pipe:
        return pipe.read().decode()


def test_nobody_waits_for_a_reader_and_what_is_left_out_is_counted(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "CAPACITY", 50)
    told = Messages(reader.write_fd)
    for number in range(3000):
        told.tell("event", f"{number:0200d}")  # returns although nobody reads
    collected: list[str] = []
    collector = threading.Thread(target=lambda: collected.append(collect(reader)))
    collector.start()
    told.close()
    os.close(reader.write_fd)
    reader.write_fd = -1
    collector.join()

    lines = collected[0].splitlines()
    left_out = [re.fullmatch(r"\[!\] (\d+) messages left out: nobody read them", x) for x in lines]
    numbers = [int(line) for line in lines if line.isdigit()]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 0
    assert len(numbers) + sum(int(match[1]) for match in left_out if match) == 3000
    assert sum(match is not None for match in left_out) >= 1


def test_what_is_left_out_is_told_in_json_too(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "CAPACITY", 5)
    told = Messages(reader.write_fd, log_format="json")
    for number in range(300):
        told.tell("event", f"{number:0200d}")
    collected: list[str] = []
    collector = threading.Thread(target=lambda: collected.append(collect(reader)))
    collector.start()
    told.close()
    os.close(reader.write_fd)
    reader.write_fd = -1
    collector.join()

    records = [json.loads(line) for line in collected[0].splitlines()]
    left_out = sum(r["left_out"] for r in records if r["event"] == "left_out")
    assert left_out > 0
    assert left_out + sum(r["event"] == "event" for r in records) == 300


def test_closing_does_not_wait_for_a_reader_for_ever(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "CLOSE_TIMEOUT_S", 0.01)
    told = Messages(reader.write_fd)
    for _ in range(100):
        told.tell("event", "x" * 1000)
    told.close()

    # Its thread still has the pipe: let it end before the descriptor is gone.
    for thread in threading.enumerate():
        if thread.name == "messages":
            while thread.is_alive():
                os.read(reader.read_fd, 1 << 20)
                thread.join(0.001)


def test_reader_that_is_gone_is_no_failure(reader: Reader) -> None:
    os.close(reader.read_fd)
    reader.read_fd = -1
    told = Messages(reader.write_fd)
    for _ in range(3):
        told.tell("event", "text")
    told.close()
    told.tell("event", "after the end")
    told.close()


def test_descriptor_that_is_closed_is_no_failure() -> None:
    fds = os.pipe2(os.O_CLOEXEC)
    for fd in fds:
        os.close(fd)
    told = Messages(fds[1])
    told.tell("event", "text")
    told.close()


def test_closing_without_a_message_and_twice(reader: Reader) -> None:
    told = Messages(reader.write_fd)
    told.close()
    told.close()

    assert reader.rest() == ""
    assert "messages" not in [thread.name for thread in threading.enumerate()]


def test_standard_error_is_where_it_goes(capfd: pytest.CaptureFixture[str]) -> None:
    told = Messages()
    told.tell("event", "text")
    told.close()

    assert capfd.readouterr() == ("", "text\n")


def test_terminal_is_not_steered_by_a_name() -> None:
    assert printable("a\x1b]0;t\x07\n[!] x\x9b2J") == "a\\x1b]0;t\\x07\\n[!] x\\x9b2J"
    assert printable("caf\u00e9 \udce9") == "caf\u00e9 \udce9"


def test_control_characters_do_not_reach_the_reader() -> None:
    read_fd, write_fd = os.pipe()
    messages = Messages(write_fd)
    messages.tell("x", "filter \x1b[2J\nline two")
    messages.close()

    assert os.read(read_fd, 4096) == b"filter \\x1b[2J\nline two\n"
    os.close(read_fd)
    os.close(write_fd)


def test_reader_that_is_busy_gets_everything_later() -> None:
    """A terminal may be non-blocking: full is not gone."""
    read_fd, write_fd = os.pipe2(os.O_NONBLOCK)
    messages = Messages(write_fd)
    lines = [f"{number:099d}" for number in range(2000)]
    for line in lines:
        messages.tell("x", line)
    got = b""
    with os.fdopen(read_fd, "rb", buffering=0) as reader:
        while len(got) < 100 * len(lines):
            select.select([reader], [], [], 20)
            got += reader.read(1 << 16)
    messages.close()
    os.close(write_fd)

    assert got.decode().splitlines() == lines


class Log:
    """Keeps the entries that it is given."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, str]] = []
        self.times_s: list[float] = []

    def log(self, severity: int, line: str, time_s: float, /) -> None:
        self.entries.append((severity, line))
        self.times_s.append(time_s)


def test_log_gets_one_entry_a_line() -> None:
    log = Log()
    told = Messages(log=log)
    told.tell("setting", "[-] Ringbuffer active")
    told.tell("banner", "\n-*> DaemonLogger <*-\nVersion 1\n", version="1")
    told.tell("prune", "[!] Ringbuffer: deleting \x1b[2J", path="x")
    told.tell("unmet", "[!] 3 files\nand more of it")
    told.tell("error", "t.1: No space left on device", exit_status=1)
    told.tell("empty", "\n \n")
    told.close()

    assert log.entries == [
        (INFO, "[-] Ringbuffer active"),
        (INFO, "-*> DaemonLogger <*-"),
        (INFO, "Version 1"),
        (WARNING, "[!] Ringbuffer: deleting \\x1b[2J"),
        (WARNING, "[!] 3 files"),
        (WARNING, "and more of it"),
        (ERROR, "t.1: No space left on device"),
    ]


def test_log_gets_json_whole() -> None:
    log = Log()
    told = Messages(log_format="json", log=log)
    told.tell("banner", "\n-*> DaemonLogger <*-\nVersion 1\n", version="1")
    told.tell("prune", "[!] Ringbuffer: deleting t.1", path="t.1")
    told.tell("error", "no", exit_status=1)
    told.close()

    assert [severity for severity, _ in log.entries] == [INFO, WARNING, ERROR]
    records = [json.loads(line) for _, line in log.entries]
    assert records[0]["message"] == "-*> DaemonLogger <*-\nVersion 1"
    assert records[1]["path"] == "t.1"
    assert records[2]["exit_status"] == 1


def test_log_is_told_when_it_was_said() -> None:
    log = Log()
    told = Messages(log=log, held=True)
    before_s = time.time()
    told.tell("event", "one")
    between_s = time.time()
    told.tell("event", "two")
    after_s = time.time()
    told.close()

    assert before_s <= log.times_s[0] <= between_s <= log.times_s[1] <= after_s


def test_nobody_waits_for_a_syslogd_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "CLOSE_TIMEOUT_S", 0.01)
    monkeypatch.setattr(messages, "CAPACITY", 50)
    with Receiver(str(tmp_path / "log")) as syslogd:
        log = Syslog(syslogd.address)
        told = Messages(log=log)
        for number in range(20_000):
            told.tell("event", f"message {number}")  # returns although nobody reads
        told.close()
        said = []
        (writer,) = [t for t in threading.enumerate() if t.name == "messages"]
        while writer.is_alive():
            said += syslogd.waiting()
            writer.join(0.001)
        said += syslogd.waiting()
    log.close()

    numbers = [int(line.rpartition(" ")[2]) for line in said if "left out" not in line]
    found = [re.search(r"\[!\] (\d+) messages left out", line) for line in said]
    left_out = [int(match[1]) for match in found if match]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + sum(left_out) == 20_000


def test_held_messages_wait(reader: Reader) -> None:
    """Threads do not come along where a process gives up its privileges."""
    told = Messages(reader.write_fd, held=True)
    told.tell("event", "one")
    told.tell("event", "two")
    assert "messages" not in [thread.name for thread in threading.enumerate()]
    assert not select.select([reader.read_fd], [], [], 0)[0]

    told.release()
    assert os.read(reader.read_fd, 4096) == b"one\ntwo\n"
    told.tell("event", "three")
    assert os.read(reader.read_fd, 4096) == b"three\n"
    told.close()


def test_releasing_starts_nothing_without_a_message(reader: Reader) -> None:
    told = Messages(reader.write_fd, held=True)
    told.release()
    assert "messages" not in [thread.name for thread in threading.enumerate()]
    told.tell("event", "one")
    told.close()

    assert reader.rest() == "one\n"


def test_what_is_held_at_the_end_is_written(reader: Reader) -> None:
    told = Messages(reader.write_fd, held=True)
    told.tell("event", "one")
    told.close()

    assert reader.rest() == "one\n"


def test_more_than_may_be_held_is_counted(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "CAPACITY", 2)
    told = Messages(reader.write_fd, held=True)
    for number in range(5):
        told.tell("event", str(number))
    told.close()

    assert reader.rest() == "0\n1\n[!] 3 messages left out: nobody read them\n"


def test_what_is_held_can_be_written_without_a_thread(reader: Reader) -> None:
    told = Messages(reader.write_fd, held=True)
    told.flush()
    told.tell("event", "one")
    told.flush()
    assert os.read(reader.read_fd, 4096) == b"one\n"
    assert "messages" not in [thread.name for thread in threading.enumerate()]

    told.tell("event", "two")
    told.release()
    told.close()
    assert reader.rest() == "two\n"
