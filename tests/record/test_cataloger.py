"""The catalog of a recording that is noted down: its rows, its gaps, and the line it tells."""

import gc
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from daemonlogger_py.config.recorder import RecorderConfig
from daemonlogger_py.record import census
from daemonlogger_py.record.catalog_store import Store
from daemonlogger_py.record.cataloger import Cataloger
from daemonlogger_py.record.journal import Journal
from daemonlogger_py.record.opening import LogDir
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import ARCHIVED, OPEN, RECOVERED, SEALED, Entry, Gap, Run
from daemonlogger_py.savefile.names import SavefileName

from .bench import WAIT_S
from .cataloging import NAMING, SECOND_NS, RingDirectory


class _KilledError(BaseException):
    """What a kill is to a thread."""


class Recording:
    """A cataloger at work on a thread, and notes for it as a recorder sends them."""

    def __init__(self, ring: RingDirectory, **settings: Any) -> None:
        self.ring = ring
        self.said: list[dict[str, Any]] = []
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.settimeout(0)
        config = RecorderConfig(
            interface="eth0", prefix="t", ring=True, max_files=9, roll_size=4096, **settings
        )
        source = SimpleNamespace(linktype=1, snaplen=65535, nanosecond=False)
        ready = SimpleNamespace(
            config=config,
            log_dir=LogDir(ring.fd, str(ring.path), NAMING, None, []),
            source=source,
            filter_text="port 53",
            since_ns=time.time_ns(),
        )
        self._ready = cast(Any, ready)
        self._theirs = theirs
        self._journal = Journal(1 << 16)
        self.start(again=False)

    def start(self, *, again: bool) -> None:
        self._cataloger = Cataloger(
            self._theirs, self._ready, self._journal, os.getppid(), again=again
        )
        self._thread = threading.Thread(target=self._run, daemon=True)  # also when a test fails
        self._thread.start()

    def _run(self) -> None:
        with suppress(_KilledError):
            self._cataloger.run()
            self._theirs.close()

    @contextmanager
    def killed_at(self, of: type, method: str) -> Iterator[None]:
        """Have what is noted in the `with` block end it as it calls a method, and wait for that."""

        def end(*_: object, **__: object) -> None:
            raise _KilledError

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(of, method, end)
            yield
            self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        del self._cataloger  # with its transaction, as a process would
        gc.collect()

    def note(self, note: str, *, at_s: float = 1000.0, **facts: object) -> None:
        message = {"note": note, "at_ns": round(at_s * SECOND_NS), **facts}
        self._link.send(json.dumps(message).encode())

    def seals(self, epoch: int, packets: int = 3, **facts: object) -> None:
        """Have a savefile begun, written and sealed."""
        self.note("opened", name=f"t.{epoch}", at_s=epoch)
        name = self.ring.leave(epoch, packets)
        noted = {"why": "size", "dropped": 0, "lost": 0, **facts}
        self.note("sealed", name=name.name, at_s=epoch + packets, **noted)

    def until(self, holds: Callable[[Catalog], bool]) -> None:
        """Wait until something holds of the catalog."""
        end = time.monotonic() + WAIT_S
        while True:
            assert time.monotonic() < end
            if self.ring.catalog_path.exists():
                with Catalog.open(str(self.ring.catalog_path)) as catalog:
                    if holds(catalog):
                        return
            time.sleep(0.01)

    def asks(self, *, until: Callable[[dict[str, Any]], bool] = bool) -> dict[str, Any]:
        """Ask how it goes, until something holds of the answer."""
        end = time.monotonic() + WAIT_S
        while True:
            with suppress(FileNotFoundError, ConnectionRefusedError):
                found = self._ask()
                if until(found):
                    return found
            assert time.monotonic() < end
            time.sleep(0.01)

    def _ask(self) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(WAIT_S)
            asking.connect(str(self.ring.path / "t.socket"))
            with asking.makefile("rb") as reading:
                return cast(dict[str, Any], json.loads(reading.read()))

    def listens(self) -> list[dict[str, Any]]:
        self._link.settimeout(WAIT_S)
        return [json.loads(self._link.recv(1 << 16))]

    def ends(self, why: str | None = "SIGTERM", **facts: object) -> None:
        """End it well, or without `why` as kill -9 does; the cataloger has ended then."""
        if why is not None:
            noted = {"why": why, "stopped_ns": 2000 * SECOND_NS, "lost": 0, "lost_from_ns": None}
            self.note("end", at_s=2001, **(noted | facts))
        self._link.close()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RingDirectory]:
    with RingDirectory(tmp_path) as made:
        monkeypatch.chdir(made.path)
        yield made


def gaps(ring: RingDirectory) -> list[Gap]:
    with Catalog.open(str(ring.catalog_path)) as catalog:
        return catalog.gaps()


def test_savefiles_of_a_recording(ring: RingDirectory) -> None:
    recording = Recording(ring)
    recording.seals(1000, packets=4, dropped=2)
    recording.seals(1100, lost=1)
    recording.note("opened", name="t.1200")
    recording.ends()

    first, second, third = ring.entries().values()
    assert (first.state, first.packets, first.dropped, first.lost) == (SEALED, 4, 2, 0)
    assert (first.first_ns, first.last_ns) == (1000 * SECOND_NS, 1003 * SECOND_NS)
    assert (first.opened_ns, first.sealed_ns) == (1000 * SECOND_NS, 1004 * SECOND_NS)
    assert (first.why, first.run, first.position) == ("size", 1, 1)
    assert (second.position, second.previous_chain, second.lost) == (2, first.chain, 1)
    assert (third.name, third.state, third.run) == ("t.1200", OPEN, 1)
    with Catalog.open(str(ring.catalog_path)) as catalog:
        assert list(catalog.check()) == []
        (run,) = catalog.runs()
    assert (run.interface, run.filter_text, run.why) == ("eth0", "port 53", "SIGTERM")
    assert run.pid == os.getppid()
    assert [path.name for path in ring.path.glob("t.socket")] == []


def test_pruned_and_archived_ones(ring: RingDirectory) -> None:
    recording = Recording(ring)
    for epoch in (1000, 1100, 1200):
        recording.seals(epoch)
    recording.until(lambda catalog: len(list(catalog.entries())) == 3)
    for name in ("t.1000", "t.1100"):
        (ring.path / name).unlink()
    recording.note("pruned", name="t.1000")
    recording.note("archived", name="t.1100", archived_as="t.1100")
    recording.ends()

    assert {name: entry.state for name, entry in ring.entries().items()} == {
        "t.1100": ARCHIVED,
        "t.1200": SEALED,
    }


def test_one_that_is_pruned_before_it_was_surveyed_is_not_in_it(ring: RingDirectory) -> None:
    recording = Recording(ring)
    recording.note("opened", name="t.1000")
    recording.note("sealed", name="t.1000", why="size", dropped=0, lost=0)
    recording.note("pruned", name="t.1000")
    recording.ends()

    assert ring.entries() == {}


def test_gaps_of_a_recording(ring: RingDirectory) -> None:
    recording = Recording(ring)
    recording.note("opened", name="t.1000")
    recording.note("dropped", packets=5, at_s=1010)
    recording.note("begins", kind="interface_down", detail="down", at_s=1020)
    recording.note("ends", kind="interface_down", at_s=1030)
    span = {"from_ns": 1040 * SECOND_NS, "to_ns": 1050 * SECOND_NS}
    recording.note("gap", kind="clock_stepped", detail="forward by 10.000 s", **span)
    recording.ends("no space", lost=7, lost_from_ns=1990 * SECOND_NS)

    found = [(gap.kind, gap.from_ns // SECOND_NS, gap.packets, gap.savefile) for gap in gaps(ring)]
    assert found == [
        ("dropped", 1009, 5, "t.1000"),
        ("interface_down", 1020, None, "t.1000"),
        ("clock_stepped", 1040, None, "t.1000"),
        ("lost", 1990, 7, "t.1000"),
        ("stopped", 2000, None, None),
    ]


def test_a_killed_recorder_is_noticed_at_once(ring: RingDirectory) -> None:
    now_s = time.time() - 100
    recording = Recording(ring)
    recording.note("opened", name=f"t.{int(now_s)}")
    ring.leave(int(now_s), packets=3)
    safe = {"safe_ns": int(now_s) * SECOND_NS, "figures": {"received": 3, "written_bytes": 9}}
    recording.note("figures", **safe)
    recording.ends(None)

    (gap,) = gaps(ring)
    assert (gap.kind, gap.to_ns) == ("crashed", None)
    # What was recorded last proves that it recorded until then.
    assert gap.from_ns >= (int(now_s) + 2) * SECOND_NS


def test_what_an_earlier_recorder_left_is_taken_in(ring: RingDirectory) -> None:
    old, torn = ring.leave(1000), ring.leave(1100)
    with ring.catalog() as catalog:
        run = catalog.begin_run(Run(started_ns=1000 * SECOND_NS, seen_ns=1001 * SECOND_NS))
        entry = Entry(torn.name, 1100, 0, OPEN, 0, 0, opened_ns=7, run=run)
        catalog.put(entry)
        catalog.put(entry._replace(name="t.900", epoch=900))  # pruned without a word
    recording = Recording(ring)
    # Until what was torn is mended.
    recording.asks(until=lambda status: status["catalog_behind"] == 2)
    recording.note("recovered", name=torn.name)
    recording.note("recovery_done")
    recording.until(lambda catalog: sum(e.state != OPEN for e in catalog.entries()) == 2)
    recording.ends()

    found = ring.entries()
    assert [*found] == [old.name, torn.name]
    assert (found[old.name].state, found[old.name].run) == (SEALED, None)
    recovered = found[torn.name]
    assert (recovered.state, recovered.why, recovered.opened_ns) == (RECOVERED, "killed", 7)
    crashed = gaps(ring)[0]
    # From the last packet that the other one recorded.
    assert (crashed.kind, crashed.from_ns, crashed.run) == ("crashed", 1102 * SECOND_NS, run)
    assert crashed.to_ns is not None


def test_what_somebody_removed_is_a_gap(ring: RingDirectory) -> None:
    names = [ring.leave(epoch) for epoch in (1000, 1100, 1200)]
    with ring.catalog() as catalog:
        for name in names:
            catalog.seal(census.surveyed(ring.fd, name))
    (ring.path / names[1].name).unlink()
    recording = Recording(ring)
    recording.until(lambda catalog: catalog.entry(names[1].name) is None)
    recording.ends()

    (gap,) = [gap for gap in gaps(ring) if gap.kind == "unknown"]
    assert (gap.from_ns, gap.to_ns) == (1100 * SECOND_NS, 1102 * SECOND_NS)
    assert gap.packets == 3
    assert gap.detail == "t.1100 is gone, and no recorder said that it pruned it"


def test_pins_are_told_as_they_change(ring: RingDirectory) -> None:
    recording = Recording(ring)
    assert recording.listens() == [{"pins": [], "first": True, "more": False}]
    with ring.catalog() as catalog:
        number = catalog.pin(5, 9, "why", 1).number
    assert recording.listens()[0]["pins"] == [[5, 9]]
    with ring.catalog() as catalog:
        catalog.unpin(number)
    assert recording.listens()[0]["pins"] == []
    recording.ends()


def test_who_asks_is_told_how_it_goes(ring: RingDirectory) -> None:
    recording = Recording(ring)
    before = recording.asks()
    figures = {
        "received": 50,
        "written_bytes": 700,
        "ring_files": 1,
        "ring_bytes": 700,
        "savefile_bytes": 700,
    }
    for second in range(3):
        counted = figures | {"received": 50 + 10 * second}
        recording.note("figures", safe_ns=0, figures=counted, at_s=1000 + second)
    found = recording.asks(until=lambda status: status.get("received") == 70)
    recording.ends()

    assert (before["interface"], before["filter"]) == ("eth0", "port 53")
    assert before["pid"] == os.getppid()
    assert (found["rate_packets"], found["rate_bytes"]) == (10, 0)
    assert found["limits"] == ["max files 9"]
    assert found["room_bytes"] == 4096 - 700 + 8 * 4096
    assert (found["catalog_behind"], found["missed_messages"]) == (0, 0)


def test_notes_that_were_missed_are_made_up_for_by_a_census(ring: RingDirectory) -> None:
    recording = Recording(ring)
    recording.note("recovery_done")
    recording.until(lambda catalog: len(catalog.runs()) == 1)
    ring.leave(1000)
    recording.note("missed", count=2, from_ns=None, packets=None)
    recording.until(lambda catalog: len(list(catalog.entries())) == 1)
    recording.asks(until=lambda status: status["missed_messages"] == 2)
    recording.ends()

    assert [gap.kind for gap in gaps(ring)] == ["stopped"]


def test_what_no_savefile_tells_of_notes_that_were_missed_is_a_gap(ring: RingDirectory) -> None:
    recording = Recording(ring)
    recording.note("missed", count=3, from_ns=1005 * SECOND_NS, packets=12_345, at_s=1010)
    recording.ends()

    unknown, _ = gaps(ring)
    assert (unknown.kind, unknown.packets) == ("unknown", 12_345)
    assert (unknown.from_ns, unknown.to_ns) == (1005 * SECOND_NS, 1010 * SECOND_NS)
    assert unknown.detail == ("the catalog's process was behind: not all that was dropped is known")


def test_a_catalog_that_is_removed_is_made_again(
    ring: RingDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemonlogger_py.record.catalog_store.RETRY_S", 0.01)
    recording = Recording(ring)
    recording.note("recovery_done")
    recording.seals(1000)
    recording.until(lambda catalog: len(list(catalog.entries())) == 1)
    for path in ring.path.glob("t.catalog*"):
        path.unlink()
    recording.seals(1100)
    recording.until(lambda catalog: sum(e.state == SEALED for e in catalog.entries()) == 2)
    recording.ends()

    assert [*ring.entries()] == ["t.1000", "t.1100"]
    assert [gap.kind for gap in gaps(ring)] == ["stopped"], gaps(ring)


def test_the_end_is_written_before_what_is_still_to_be_hashed(
    ring: RingDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    surveyed = census.surveyed

    def slow(dir_fd: int, name: SavefileName, *, sealed: bool) -> Entry:
        assert gate.wait(WAIT_S)
        return surveyed(dir_fd, name, sealed=sealed)

    monkeypatch.setattr(census, "surveyed", slow)
    recording = Recording(ring)
    recording.seals(1000)
    recording.seals(1100)
    threading.Timer(0.0, recording.ends).start()
    recording.until(lambda catalog: any(gap.kind == "stopped" for gap in catalog.gaps()))
    assert {entry.state for entry in ring.entries().values()} == {OPEN}
    gate.set()
    recording._thread.join(WAIT_S)

    assert [(entry.state, entry.run) for entry in ring.entries().values()] == [(SEALED, 1)] * 2


def noted_much(recording: Recording) -> None:
    """Note what is no row by itself, or would be two rows if it was written twice."""
    recording.note("opened", name="t.1000", at_s=1000)
    recording.note("dropped", packets=5, at_s=1010)
    recording.note("begins", kind="interface_down", detail="down", at_s=1020)
    recording.note("ends", kind="interface_down", at_s=1030)
    span = {"from_ns": 1040 * SECOND_NS, "to_ns": 1050 * SECOND_NS}
    recording.note("gap", kind="clock_stepped", detail="forward by 10.000 s", **span)
    recording.note("begins", kind="disk_full", detail="", at_s=1060)
    recording.note("refiltered", filter="port 80")


# Before and after what was noted is in the database.
@pytest.mark.parametrize(("of", "method"), [(Store, "commit"), (Journal, "keep")])
def test_killed_it_goes_on_and_nothing_is_missing_or_there_twice(
    ring: RingDirectory, of: type, method: str
) -> None:
    recording = Recording(ring)
    recording.until(lambda catalog: bool(catalog.runs()))
    with recording.killed_at(of, method):
        noted_much(recording)
        recording.note("recovery_done")
    # Who is not there is told all the same.
    recording.note("dropped", packets=2, at_s=1070)
    recording.start(again=True)
    recording.note("ends", kind="disk_full", at_s=1080)
    recording.seals(1000)
    assert recording.asks()["filter"] == "port 80"
    recording.ends()

    found = [(gap.kind, gap.from_ns // SECOND_NS, gap.packets) for gap in gaps(ring)]
    assert found == [
        ("dropped", 1009, 5),
        ("interface_down", 1020, None),
        ("clock_stepped", 1040, None),
        ("disk_full", 1060, None),
        ("dropped", 1069, 2),
        ("stopped", 2000, None),
    ]
    assert {gap.kind: gap.to_ns for gap in gaps(ring)}["disk_full"] == 1080 * SECOND_NS
    assert {gap.savefile for gap in gaps(ring)} == {"t.1000", None}
    with Catalog.open(str(ring.catalog_path)) as catalog:
        assert [(run.number, run.why) for run in catalog.runs()] == [(1, "SIGTERM")]


def test_killed_with_savefiles_still_to_be_hashed(
    ring: RingDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(census, "surveyed", lambda *_, **__: threading.Event().wait())  # never done
        recording = Recording(ring)
        recording.seals(1000, packets=4, dropped=2)
        recording.seals(1100, lost=1)
        recording.until(lambda catalog: all(entry.why for entry in catalog.entries()))
        with recording.killed_at(Store, "open"):
            pass
    recording.start(again=True)
    recording.ends()

    first, second = ring.entries().values()
    assert (first.state, first.packets, first.dropped, first.why) == (SEALED, 4, 2, "size")
    assert (first.opened_ns, first.sealed_ns) == (1000 * SECOND_NS, 1004 * SECOND_NS)
    assert (second.state, second.lost, second.run, second.position) == (SEALED, 1, 1, 2)


def test_killed_after_the_recorder_it_ends_the_run_all_the_same(ring: RingDirectory) -> None:
    recording = Recording(ring)
    recording.until(lambda catalog: bool(catalog.runs()))
    with recording.killed_at(Store, "commit"):
        recording.note("end", why="SIGINT", stopped_ns=5, lost=0, lost_from_ns=None)
        recording._link.close()
    recording.start(again=True)
    recording._thread.join(WAIT_S)

    with Catalog.open(str(ring.catalog_path)) as catalog:
        assert [(run.ended_ns, run.why) for run in catalog.runs()] == [(5, "SIGINT")]
        assert [(gap.kind, gap.from_ns) for gap in catalog.gaps()] == [("stopped", 5)]


def test_killed_before_it_had_begun(ring: RingDirectory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "attempt", lambda *_: False)  # what it has is locked
        recording = Recording(ring)
        with recording.killed_at(Store, "open"):
            recording.note("dropped", packets=5, at_s=1010)
    recording.start(again=True)
    recording.ends()

    assert [(gap.kind, gap.packets) for gap in gaps(ring)] == [("dropped", 5), ("stopped", None)]


def test_what_pruned_itself_while_nobody_wrote_is_no_hole(ring: RingDirectory) -> None:
    recording = Recording(ring)
    for epoch in (1000, 1100, 1200):
        recording.seals(epoch)
    recording.until(lambda catalog: sum(e.state == SEALED for e in catalog.entries()) == 3)
    with recording.killed_at(Store, "commit"):
        (ring.path / "t.1100").unlink()  # out of order: the first one was being read
        recording.note("pruned", name="t.1100")
    recording.start(again=True)
    recording.ends()

    assert [*ring.entries()] == ["t.1000", "t.1200"]
    assert [gap.kind for gap in gaps(ring)] == ["stopped"]


def test_what_did_not_fit_into_the_journal_is_said_to_be_unknown(ring: RingDirectory) -> None:
    recording = Recording(ring)
    recording.until(lambda catalog: bool(catalog.runs()))
    with recording.killed_at(Store, "commit"):
        recording.note("gap", kind="unknown", from_ns=5, to_ns=6, detail="x" * (1 << 15))
    recording.start(again=True)
    recording.ends()

    assert [gap.detail for gap in gaps(ring)][-2:] == [
        "SIGTERM",
        "the catalog's process was killed: not all that was dropped is known",
    ]
