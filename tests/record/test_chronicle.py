"""What is noted down of a recording, and that noting it never waits."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from daemonlogger_py.record import chronicle as module
from daemonlogger_py.record.chronicle import Chronicle
from daemonlogger_py.record.clocks import Jump
from daemonlogger_py.record.figures import kept_filter
from daemonlogger_py.record.openfile import Sealed
from daemonlogger_py.savefile.pinned import Pins

from .fakes import Told

NOBODY = 1 << 30  # no process has this number, and waiting for it is no error


class Noted:
    """A chronicle, and the end of its link that is the cataloger's."""

    def __init__(self, *, pins_known: bool = True) -> None:
        link, self.other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        link.settimeout(0)
        self.other.settimeout(0)
        self.told = Told()
        self.left: list[tuple[int, str]] = []
        self.chronicle = Chronicle(link, NOBODY, self.told, pins_known=pins_known, leave=self.leave)

    def leave(self, stopped_ns: int, why: str) -> None:
        self.left.append((stopped_ns, why))
        if self.left[:-1]:
            raise OSError(28, "No space left on device")

    def notes(self) -> list[dict[str, Any]]:
        """What came, without the times, which are those of now."""
        found = []
        while True:
            try:
                message = self.other.recv(1 << 16)
            except BlockingIOError:
                break
            if not message:
                break
            found.append(json.loads(message))
        assert all(abs(note.pop("at_ns") - time.time_ns()) < 60e9 for note in found)
        return found

    def answer(self, **message: object) -> None:
        self.other.send(json.dumps(message).encode())

    def pin(self, *spans: tuple[int, int], first: bool = True, more: bool = False) -> None:
        self.answer(pins=spans, first=first, more=more)


@pytest.fixture
def noted() -> Iterator[Noted]:
    made = Noted()
    yield made
    made.other.close()
    made.chronicle.close(None, 0)


def test_messages_that_belong_into_the_catalog_are_noted(noted: Noted) -> None:
    hear = noted.chronicle.hear
    hear("savefile", {"path": "/logs/t.100"})
    hear("prune", {"path": "/logs/t.50", "reason": "max files 2", "size_bytes": 5})
    hear("recovered", {"path": "/logs/t.90", "packets": 4, "torn_bytes": 3, "offset": 9})
    hear("dropped", {"new": 7, "total": 9})
    hear("refiltered", {"filter": "port 53"})
    hear("setting", {})
    hear("statistics", {"received": 5})

    assert noted.notes() == [
        {"note": "opened", "name": "t.100"},
        {"note": "pruned", "name": "t.50"},
        {"note": "recovered", "name": "t.90"},
        {"note": "dropped", "packets": 7},
        {"note": "refiltered", "filter": "port 53"},
    ]


def test_a_savefile_that_others_removed_is_a_gap(noted: Noted) -> None:
    detail = "t.100 was removed while it was written"
    hear, lost = noted.chronicle.hear, {"packets": 7, "from_ns": 1, "to_ns": 9, "detail": detail}
    hear("savefile_removed", {"path": "/logs/t.100"})
    hear("savefile_lost", {"path": "/logs/t.100", **lost})

    assert noted.notes() == [
        {"note": "pruned", "name": "t.100"},
        {"note": "gap", "kind": "lost", **lost},
    ]


def test_no_message_is_cut(noted: Noted) -> None:
    noted.chronicle.hear("refiltered", {"filter": "host 10.0.0.1 or " * 20_000})
    noted.chronicle.hear("savefile", {"path": "/logs/" + "t" * 70_000})
    noted.chronicle.hear("savefile", {"path": "/logs/t.100"})

    refiltered, missed, opened = noted.notes()
    assert refiltered["filter"] == kept_filter("host 10.0.0.1 or " * 20_000)
    assert (missed["note"], missed["count"]) == ("missed", 1)
    assert opened == {"note": "opened", "name": "t.100"}


@pytest.mark.parametrize(
    ("begin", "end", "kind", "detail"),
    [
        ("stalled", "resumed", "disk_stalled", ""),
        ("volume_full", "volume_room", "disk_full", ""),
        ("interface_down", "interface_up", "interface_down", "without carrier"),
        ("interface_gone", "interface_back", "interface_down", ""),
    ],
)
def test_what_lasts_is_noted_twice(
    noted: Noted, begin: str, end: str, kind: str, detail: str
) -> None:
    noted.chronicle.hear(begin, {"interface": "eth0", "state": detail} if detail else {})
    noted.chronicle.hear(end, {"seconds": 3.0})

    assert noted.notes() == [
        {"note": "begins", "kind": kind, "detail": detail},
        {"note": "ends", "kind": kind},
    ]


def test_sealed_archived_and_recovered(noted: Noted) -> None:
    sealed = Sealed("t.100", "size", 5, 300, 1, 9, 2, 3)
    noted.chronicle.sealed(sealed)
    noted.chronicle.archived("t.100", "t.100.001")
    noted.chronicle.recovery_done()

    assert noted.notes() == [
        {"note": "sealed", **sealed._asdict()},
        {"note": "archived", "name": "t.100", "archived_as": "t.100.001"},
        {"note": "recovery_done"},
    ]


def test_how_it_goes_is_noted_with_how_much_is_safe(noted: Noted) -> None:
    begun_ns = time.time_ns()
    noted.chronicle.look({"received": 5}, all_written=False)
    noted.chronicle._safe_ns = begun_ns - 10 * 10**9  # a while ago
    noted.chronicle.look({"received": 6}, all_written=True)

    first, second = noted.notes()
    assert (first["figures"], second["figures"]) == ({"received": 5}, {"received": 6})
    assert begun_ns - 1.5e9 < second["safe_ns"] <= time.time_ns() - 1e9


def test_steps_of_the_clock_and_sleep_are_told_and_noted(
    noted: Noted, monkeypatch: pytest.MonkeyPatch
) -> None:
    jumps = [Jump("stepped", 50, 20, -30 * 10**9), Jump("slept", 60, 90, 600 * 10**9)]
    monkeypatch.setattr(noted.chronicle._clocks, "look", lambda: jumps)
    noted.chronicle.look({}, all_written=False)

    assert noted.notes()[:2] == [
        {
            "note": "gap",
            "kind": "clock_stepped",
            "from_ns": 20,
            "to_ns": 50,
            "detail": "back by 30.000 s",
        },
        {
            "note": "gap",
            "kind": "unknown",
            "from_ns": 60,
            "to_ns": 90,
            "detail": "the machine was suspended for 600.0 s",
        },
    ]
    assert noted.told.texts() == [
        "[!] The clock was set back by 30.0 s",
        "[!] The machine was suspended for 600.0 s: nothing was recorded",
    ]


def test_nobody_waits_for_a_cataloger_that_does_not_listen(
    noted: Noted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 100)
    began = time.monotonic()
    for number in range(5000):
        noted.chronicle.hear("savefile", {"path": f"t.{number}"})
        noted.chronicle.look({}, all_written=True)
    assert time.monotonic() - began < 10

    opened = [note["name"] for note in noted.notes() if note["note"] == "opened"]
    noted.chronicle.hear("savefile", {"path": "t.5000"})
    later = noted.notes()
    opened += [note["name"] for note in later if note["note"] == "opened"]
    missed = sum(note["count"] for note in later if note["note"] == "missed")
    assert opened[:-1] == [f"t.{number}" for number in range(len(opened) - 1)]
    assert opened[-1] == "t.5000"
    assert missed == 5001 - len(opened)
    assert missed > 0


class Full:
    """A chronicle whose cataloger is so far behind that no more notes wait."""

    def __init__(self, noted: Noted, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MOST_WAITING", 100)
        self._noted = noted
        for number in range(5000):
            noted.chronicle.hear("savefile", {"path": f"t.{number}"})

    def caught_up(self) -> list[dict[str, Any]]:
        """What comes of all that was noted, but for the savefiles."""
        found = self._noted.notes()
        while self._noted.chronicle._send_waiting():
            found += self._noted.notes()
        found += self._noted.notes()
        return [note for note in found if note["note"] != "opened"]


def test_since_when_what_no_savefile_tells_is_missed(
    noted: Noted, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Full(noted, monkeypatch)
    (savefiles,) = full.caught_up()
    assert (savefiles["note"], savefiles["from_ns"], savefiles["packets"]) == ("missed", None, None)

    full = Full(noted, monkeypatch)
    began_ns = time.time_ns()
    noted.chronicle.hear("dropped", {"new": 7, "total": 9})
    noted.chronicle.hear("dropped", {"new": 4, "total": 13})
    noted.chronicle.hear("savefile", {"path": "t.5000"})
    (missed,) = full.caught_up()
    assert (missed["note"], missed["packets"]) == ("missed", 11)
    # They were dropped at some time since the look before.
    assert began_ns - 1.1e9 < missed["from_ns"] < time.time_ns() - 0.9e9

    noted.chronicle.hear("dropped", {"new": 8, "total": 17})
    assert noted.notes() == [{"note": "dropped", "packets": 8}]


def test_what_lasts_when_notes_were_missed_is_said_afterwards(
    noted: Noted, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted.chronicle.hear("stalled", {})
    full = Full(noted, monkeypatch)
    noted.chronicle.hear("interface_gone", {})
    noted.chronicle.hear("interface_back", {})
    noted.chronicle.hear("interface_gone", {})
    noted.chronicle.hear("resumed", {})

    begins, missed, interface, stall = full.caught_up()
    assert begins == {"note": "begins", "kind": "disk_stalled", "detail": ""}
    assert missed["count"] > 4
    assert interface == {"note": "begins", "kind": "interface_down", "detail": ""}
    assert stall == {"note": "ends", "kind": "disk_stalled"}


def test_what_was_missed_is_not_said_behind_what_came_later(
    noted: Noted, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Full(noted, monkeypatch)
    noted.chronicle.hear("resumed", {})
    noted.chronicle._waiting.popleft()
    noted.chronicle.hear("stalled", {})

    stall, missed = full.caught_up()
    assert stall == {"note": "begins", "kind": "disk_stalled", "detail": ""}
    assert missed["note"] == "missed"


def test_pins_arrive_in_parts_and_stay_the_same_object(noted: Noted) -> None:
    assert noted.chronicle.pins() == Pins()
    noted.pin((1, 2), more=True)
    assert noted.chronicle.pins() == Pins()
    noted.pin((5, 9), first=False)
    pins = noted.chronicle.pins()
    assert pins.spans == [(1, 2), (5, 9)]
    noted.pin((5, 9), (1, 2))
    assert noted.chronicle.pins() is pins
    noted.pin()
    assert not noted.chronicle.pins()


def test_pins_are_waited_for_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PINS_S", 0.05)
    noted = Noted(pins_known=False)
    assert not noted.chronicle.pins_known
    assert not noted.chronicle.wait_for_pins()
    noted.pin((1, 2))
    assert noted.chronicle.wait_for_pins()
    assert noted.chronicle.pins().spans == [(1, 2)]
    noted.other.close()
    noted.chronicle.close(None, 0)


def test_what_the_cataloger_says_is_told(noted: Noted) -> None:
    noted.answer(say=["catalog_failed", "[!] No catalog: locked"])
    noted.chronicle.look({}, all_written=True)

    assert noted.told.all == [("catalog_failed", "[!] No catalog: locked", {})]


@pytest.mark.parametrize("words", [None, "[!] The catalog is not kept any more: MemoryError"])
def test_its_end_is_told_once_and_ends_nothing(noted: Noted, words: str | None) -> None:
    if words is not None:
        noted.answer(say=["catalog_ended", words])
        noted.chronicle.look({}, all_written=True)  # which may come before it has ended
    noted.other.close()
    for _ in range(3):
        noted.chronicle.hear("savefile", {"path": "t.1"})
        noted.chronicle.look({}, all_written=True)

    assert noted.told.events() == ["catalog_ended"]
    assert noted.chronicle.pins_known
    assert noted.told.texts()[0].startswith("[!] The catalog is not kept any more: ")


@pytest.mark.parametrize("words", [None, "[!] The catalog is not kept any more: MemoryError"])
@pytest.mark.parametrize("seen", [False, True])
def test_a_recorder_whose_catalog_is_not_kept_says_itself_how_it_ended(
    noted: Noted, words: str | None, seen: bool
) -> None:
    if words is not None:
        noted.answer(say=["catalog_ended", words])
    noted.other.close()
    if seen:
        noted.chronicle.look({}, all_written=True)
    before_ns = time.time_ns()
    noted.chronicle.hear("finishing", {"signal": "SIGTERM"})
    noted.chronicle.close(None, 0)

    ((stopped_ns, why),) = noted.left
    assert (before_ns <= stopped_ns <= time.time_ns(), why) == (True, "SIGTERM")
    assert noted.told.events() == ["catalog_ended"]


def test_that_it_cannot_say_so_is_told(noted: Noted) -> None:
    noted.left.append((0, "the disk is full by now"))
    noted.other.close()
    noted.chronicle.close(None, 0)

    assert noted.told.texts()[1:] == [
        "[!] The catalog will call this recording crashed: No space left on device"
    ]


def closed(noted: Noted, why: str | None, lost: int) -> dict[str, Any]:
    """Close with a cataloger that ends at once; returns the last note."""
    listener = noted.other.dup()

    def end() -> None:
        while message := listener.recv(1 << 16):
            last.append(json.loads(message))
        listener.close()

    last: list[dict[str, Any]] = []
    listener.settimeout(10)
    noted.other.close()
    thread = threading.Thread(target=end)
    thread.start()
    noted.chronicle.close(why, lost)
    thread.join()
    return last[-1]


def test_the_end_says_why(noted: Noted) -> None:
    before_ns = time.time_ns()
    noted.chronicle.hear("finishing", {"signal": "SIGTERM"})
    after_ns = time.time_ns()
    time.sleep(0.01)
    end = closed(noted, None, 0)

    assert (end["note"], end["why"], end["lost"]) == ("end", "SIGTERM", 0)
    assert before_ns <= end["stopped_ns"] <= after_ns  # nothing was recorded after the signal
    assert noted.told.all == []
    assert noted.left == []


def test_the_end_is_not_missed(noted: Noted, monkeypatch: pytest.MonkeyPatch) -> None:
    Full(noted, monkeypatch)
    noted.chronicle.hear("finishing", {"signal": "SIGTERM"})
    found: list[dict[str, Any]] = []
    listener = noted.other.dup()
    listener.settimeout(10)
    noted.other.close()
    send_waiting = noted.chronicle._send_waiting

    def read_on() -> None:
        while message := listener.recv(1 << 16):
            found.append(json.loads(message))
        listener.close()

    thread = threading.Thread(target=read_on)

    def once_it_is_noted() -> bool:
        if thread.ident is None:
            thread.start()
        return send_waiting()

    monkeypatch.setattr(noted.chronicle, "_send_waiting", once_it_is_noted)
    noted.chronicle.close(None, 0)
    thread.join()

    end, missed = found[-2:]
    assert (end["note"], end["why"], missed["note"]) == ("end", "SIGTERM", "missed")
    opened = sum(note["note"] == "opened" for note in found)
    assert missed["count"] == 5000 - opened > 0
    assert noted.left == []


def test_the_end_says_what_failed(noted: Noted) -> None:
    noted.chronicle.hear("savefile_cut", {"path": "t.1", "packets": 4})
    end = closed(noted, "/logs/t.1: Input/output error", 12)

    assert (end["why"], end["lost"]) == ("/logs/t.1: Input/output error", 12)
    assert end["lost_from_ns"] <= end["stopped_ns"]


def test_a_limit_that_was_reached_is_an_end_too(noted: Noted) -> None:
    assert closed(noted, None, 0)["why"] == "done"


def test_a_cataloger_that_takes_long_is_left_alone(
    noted: Noted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_S", 0.05)
    noted.chronicle.close(None, 0)

    assert noted.told.events() == ["catalog_unfinished"]
    assert noted.notes()[-1]["note"] == "end"


def test_the_catalog_s_log_grows_to_a_size_and_stays_it(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    config = SimpleNamespace(prefix="t")
    ready = cast(Any, SimpleNamespace(config=config, log_dir=SimpleNamespace(fd=fd)))
    found = [module.may_grow_bytes(ready)]
    for size in (100_000, module.LOG_BYTES, 2 * module.LOG_BYTES):
        (tmp_path / "t.catalog-wal").write_bytes(bytes(size))
        found.append(module.may_grow_bytes(ready) - module.ROWS_BYTES)
    os.close(fd)

    log = module.LOG_BYTES
    assert found == [log + module.ROWS_BYTES, log - 100_000, 0, 0]
