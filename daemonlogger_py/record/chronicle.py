"""The recorder's end of the catalog: what happens is noted down by a process of its own.

Whoever tells something here never waits: a note is one datagram to `cataloger`'s process, which
alone touches the database, reads savefiles again and hashes them. What that process does not take
at once is kept, up to a limit; what is over it is counted. What that said of savefiles, the catalog
finds again in them; that what no savefile tells is missing is a gap in its ledger. Another process
guards it, and starts it anew when it was killed, with nothing lost (`catalog_guard`). When that one
ends too, it is said once, and recording goes on.

    recorder -> cataloger   one JSON object a message: {"note": what, "at_ns": when, ...}
    cataloger -> recorder   {"pins": [[from_ns, to_ns], ...], "first": bool, "more": bool};
                            {"say": [event, text]}

Both ends are trusted alike; `cataloger` runs with the same privileges, in the same sandbox.
"""

import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from select import POLLIN, poll
from typing import TYPE_CHECKING, Any

from daemonlogger_py.record.clocks import ClockWatch
from daemonlogger_py.record.figures import kept_filter
from daemonlogger_py.record.messages import Tell
from daemonlogger_py.record.openfile import Sealed
from daemonlogger_py.savefile.names import CATALOG
from daemonlogger_py.savefile.pinned import Pins

if TYPE_CHECKING:
    from daemonlogger_py.record.opening import Opened

NS_PER_SECOND = 1_000_000_000
# Notes that wait for the cataloger's process beside those in the socket: some megabytes.
MOST_WAITING = 8192
# What these say is in no savefile.
UNTOLD = ("dropped", "begins", "ends", "gap")
# Before the first savefile is pruned, pins have to be known; a database that is slow or locked
# must not hold up the recording for ever.
PINS_S = 5.0
CLOSE_S = 5.0
REAP_S = 0.2
ENDED = "catalog_ended"
# The database's log stays about this size (`catalog_store.WAL_PAGES`); in between two looks at the
# volume not many rows are written.
LOG_BYTES = 512 * 1024
ROWS_BYTES = 64 * 1024
# No message is longer, either way.
MESSAGE_BYTES = 1 << 16
# What the loop holds back for company is in the savefile this much later (see `recorder`).
HOLD_NS = NS_PER_SECOND


class Chronicle:
    """Notes down what happens, for the process `pid` at the other end of `link`.

    With `pins_known`, nothing was pinned when it was started: there was no catalog. `leave` is
    given when (ns since 1970) and why the recording ended if that process may not write it.
    """

    def __init__(
        self,
        link: socket.socket,
        pid: int,
        tell: Tell,
        *,
        pins_known: bool,
        leave: Callable[[int, str], None] | None = None,
    ) -> None:
        self._link = link
        self._pid = pid
        self._tell = tell
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._missed = 0  # notes that nobody has been told of yet
        self._missed_from_ns: int | None = None  # since when some of UNTOLD are among them,
        self._missed_packets = 0  # which told of so many packets
        self._missed_last: dict[str, bytes] = {}  # by kind, the last of them that begins or ends it
        self._leave = leave
        self._gone = False
        self._failed = False  # what is noted may never be written
        self._end_said = False  # by the process itself
        self._closing = False
        self._reaped = False
        self._ended: tuple[str, int] | None = None
        self._failed_ns: int | None = None
        self._pins = Pins()
        self._pins_known = pins_known
        self._pins_coming: list[tuple[int, int]] = []
        self._clocks = ClockWatch()
        self._safe_ns = time.time_ns()

    # What happens; each on any thread.

    def hear(self, event: str, facts: dict[str, Any]) -> None:
        """Note down what a message to a person says, if it belongs into the catalog."""
        if event in _OF_EVENTS:
            note, noted = _OF_EVENTS[event](facts)
            self._note(note, **noted)
        elif event == "finishing" and self._ended is None:
            self._ended = str(facts["signal"]), time.time_ns()
        elif event == "savefile_cut":
            self._failed_ns = time.time_ns()

    def sealed(self, savefile: Sealed) -> None:
        """Note down a savefile that is complete."""
        self._note("sealed", **savefile._asdict())

    def archived(self, name: str, archived_as: str) -> None:
        """Note down a savefile that was moved to the archive, and is called otherwise there."""
        self._note("archived", name=name, archived_as=archived_as)

    def recovery_done(self) -> None:
        """Note that what an earlier recorder left is as it will stay."""
        self._note("recovery_done")

    def look(self, figures: dict[str, Any], *, all_written: bool) -> None:
        """Note how it goes, once a second: `figures` for those who ask the cataloger.

        `all_written`: what was received up to now, but for the last second, is in savefiles.
        """
        for jump in self._clocks.look():
            self._note_jump(jump.kind, jump.from_ns, jump.to_ns, jump.by_ns)
        now_ns = time.time_ns()
        if all_written:
            self._safe_ns = max(self._safe_ns, now_ns - HOLD_NS)
        self._note("figures", safe_ns=self._safe_ns, keep=False, figures=figures)
        self._listen()

    def _note_jump(self, kind: str, from_ns: int, to_ns: int, by_ns: int) -> None:
        seconds = by_ns / NS_PER_SECOND
        from_ns, to_ns = min(from_ns, to_ns), max(from_ns, to_ns)
        if kind == "slept":
            text = f"[!] The machine was suspended for {seconds:.1f} s: nothing was recorded"
            detail = f"the machine was suspended for {seconds:.1f} s"
            self._note("gap", kind="unknown", from_ns=from_ns, to_ns=to_ns, detail=detail)
        else:
            way = "forward" if by_ns > 0 else "back"
            text = f"[!] The clock was set {way} by {abs(seconds):.1f} s"
            detail = f"{way} by {abs(seconds):.3f} s"
            self._note("gap", kind="clock_stepped", from_ns=from_ns, to_ns=to_ns, detail=detail)
        self._tell(f"clock_{kind}", text, seconds=round(seconds, 3))

    # Pins

    def pins(self) -> Pins:
        """The spans that are pinned, as far as is known."""
        self._listen()
        return self._pins

    @property
    def pins_known(self) -> bool:
        """Whether `pins` are those of the catalog; until then something may be pinned."""
        return self._pins_known or self._gone

    def wait_for_pins(self) -> bool:
        """Wait, at most PINS_S, until pins are known; returns whether they are."""
        until = time.monotonic() + PINS_S
        while not self.pins_known and (left_s := until - time.monotonic()) > 0:
            self._wait_readable(left_s)
            self._listen()
        return self.pins_known

    # The end

    def close(self, why: str | None, lost: int) -> None:
        """Note the end, and wait for the process, at most CLOSE_S; then it goes on alone.

        `why` it ended, unless a signal said so before; `lost` packets in all. May be called twice.
        """
        if self._closing:
            return
        self._listen()
        self._closing = True
        said, at_ns = self._ended or ("done", time.time_ns())
        why = why or said
        self._note("end", why=why, stopped_ns=at_ns, lost=lost, lost_from_ns=self._failed_ns)
        until = time.monotonic() + CLOSE_S
        while self._send_waiting() and time.monotonic() < until:
            self._wait_readable(0.02)
        with suppress(OSError):
            self._link.shutdown(socket.SHUT_WR)
        while not self._gone and (left_s := until - time.monotonic()) > 0:
            self._wait_readable(left_s)
            self._listen()
        if not self._gone:
            text = f"[!] The catalog is not complete yet: process {self._pid} goes on with it"
            self._tell("catalog_unfinished", text, pid=self._pid)
            self._failed = True  # a service manager may not let it
        elif not self._reaped:
            self._reap(REAP_S)
        if self._failed and self._leave is not None:
            try:
                self._leave(at_ns, why)
            except OSError as error:
                text = f"[!] The catalog will call this recording crashed: {error.strerror}"
                self._tell("no_catalog_end", text)
        self._link.close()

    # The link

    def _note(self, note: str, /, *, keep: bool = True, **facts: object) -> None:
        """Send a note, or keep it until there is room; without `keep` a later one will do."""
        import json  # some milliseconds that the start need not pay

        data = json.dumps({"note": note, "at_ns": time.time_ns(), **facts}).encode()
        with self._lock:
            if self._gone:
                return
            if len(data) > MESSAGE_BYTES:
                self._miss(note, facts, data)
            elif not self._send(data) and keep:
                # Without its end, a recording would be taken for one that was killed.
                if len(self._waiting) < MOST_WAITING or note == "end":
                    self._waiting.append(data)
                    if note in ("begins", "ends"):  # what was missed of that kind is older
                        self._missed_last.pop(str(facts["kind"]), None)
                else:
                    self._miss(note, facts, data)

    def _miss(self, note: str, facts: dict[str, Any], data: bytes) -> None:
        """Count a note that is not sent; with the lock."""
        self._missed += 1
        if note in UNTOLD:
            from_ns = int(facts.get("from_ns", time.time_ns() - NS_PER_SECOND))
            before_ns = self._missed_from_ns
            self._missed_from_ns = from_ns if before_ns is None else min(from_ns, before_ns)
            self._missed_packets += int(facts.get("packets") or 0)
        if note in ("begins", "ends") and len(data) <= MESSAGE_BYTES:
            self._missed_last[str(facts["kind"])] = data

    def _send(self, data: bytes) -> bool:
        """Send what waits, then this; with the lock. False: there was no room."""
        try:
            self._flush()
            self._link.send(data)
        except BlockingIOError:
            return False
        except OSError:
            self._forget()
        return True

    def _flush(self) -> None:
        """Send what waits, and what was missed; with the lock. Raises OSError."""
        import json

        while self._waiting or self._missed:
            if not self._waiting:
                missed = {
                    "note": "missed",
                    "at_ns": time.time_ns(),
                    "count": self._missed,
                    "from_ns": self._missed_from_ns,
                    "packets": self._missed_packets or None,
                }
                # What lasts by now, or does no more: a gap is not left open for it.
                self._waiting += [json.dumps(missed).encode(), *self._missed_last.values()]
                self._missed, self._missed_from_ns, self._missed_packets = 0, None, 0
                self._missed_last.clear()
            self._link.send(self._waiting[0])
            self._waiting.popleft()

    def _send_waiting(self) -> bool:
        """Send what waits; returns whether some still does."""
        with self._lock:
            try:
                self._flush()
            except BlockingIOError:
                return True
            except OSError:
                self._forget()
        return False

    def _forget(self) -> None:
        """Drop what waits: the process ended, which is told by whoever listens next."""
        self._waiting.clear()
        self._missed_last.clear()
        self._missed = 0

    def _listen(self) -> None:
        """Take in what the process says; never waits."""
        said: list[tuple[str, str]] = []
        ended = False
        with self._lock:
            while not self._gone:
                try:
                    message = self._link.recv(MESSAGE_BYTES)
                except BlockingIOError:
                    break
                except ConnectionResetError:
                    continue  # it ended with notes unread; what it said before is still there
                except OSError:
                    message = b""
                if not message:
                    self._gone = ended = True
                    self._forget()
                    break
                self._take_in(message, said)
        for event, text in said:
            self._tell(event, text)
        self._end_said |= any(event == ENDED for event, _ in said)
        self._failed |= self._end_said or (ended and not self._closing)
        if ended and not self._closing and not self._end_said:
            self._tell(ENDED, "[!] The catalog is not kept any more: its process ended")
        if self._gone and not self._reaped:
            self._reap(0.0)

    def _take_in(self, message: bytes, said: list[tuple[str, str]]) -> None:
        import json

        found = json.loads(message)
        if "say" in found:
            event, text = found["say"]
            said.append((str(event), str(text)))
            return
        if found["first"]:
            self._pins_coming = []
        self._pins_coming += [(int(from_ns), int(to_ns)) for from_ns, to_ns in found["pins"]]
        if not found["more"]:
            pins = Pins(self._pins_coming)
            if pins != self._pins:  # the same object as long as nothing changes
                self._pins = pins
            self._pins_known = True

    def _wait_readable(self, seconds: float) -> None:
        waiter = poll()
        waiter.register(self._link, POLLIN)
        waiter.poll(max(1, int(seconds * 1000)))

    def _reap(self, wait_s: float) -> None:
        """Take its status, for which it may need a moment after its end of the link is closed."""
        until = time.monotonic() + wait_s
        try:
            while (ended := os.waitpid(self._pid, os.WNOHANG)) == (0, 0):
                if time.monotonic() >= until:
                    return
                time.sleep(0.001)
            self._failed |= ended[1] != 0
        except ChildProcessError:
            pass  # it is nobody's any more
        self._reaped = True


def begun(ready: "Opened", tell: Tell) -> Chronicle | None:
    """Start the catalog's process, in the middle of what this one has become by now.

    There may be no other thread yet. None, and that is said, where no process is to be had.
    """
    link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    # A signal in between would run the recorder's handlers in the child.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    recorder_pid = os.getpid()
    try:
        pid = os.fork()
        if pid == 0:
            _be_the_cataloger(theirs, ready, recorder_pid)
    except OSError as error:
        link.close()
        tell("catalog_failed", f"[!] No catalog: no process to be had: {error.strerror}")
        return None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()
    link.settimeout(0)
    leave = partial(_leave_end, ready)
    return Chronicle(link, pid, tell, pins_known=not _has_catalog(ready), leave=leave)


def _be_the_cataloger(link: socket.socket, ready: "Opened", recorder_pid: int) -> None:
    """In the child: never return to what the recorder was about to do."""
    done = False
    try:
        from daemonlogger_py.record.catalog_process import main

        done = main(link, ready, recorder_pid)
    finally:
        os._exit(0 if done else 1)


def _leave_end(ready: "Opened", stopped_ns: int, why: str) -> None:
    from daemonlogger_py.savefile.catalog_end import End, leave

    assert ready.log_dir is not None  # noqa: S101
    end = End(ready.since_ns, stopped_ns, why)
    leave(ready.log_dir.fd, f"{ready.config.prefix}{CATALOG}", end)


def _has_catalog(ready: "Opened") -> bool:
    assert ready.log_dir is not None  # noqa: S101
    try:
        os.stat(f"{ready.config.prefix}{CATALOG}", dir_fd=ready.log_dir.fd)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


_Noted = tuple[str, dict[str, Any]]


def may_grow_bytes(ready: "Opened") -> int:
    """By how much the catalog's files may grow before the volume is looked at again."""
    assert ready.log_dir is not None  # noqa: S101
    try:
        log = os.stat(f"{ready.config.prefix}{CATALOG}-wal", dir_fd=ready.log_dir.fd).st_size
    except OSError:
        log = 0
    return max(0, LOG_BYTES - log) + ROWS_BYTES


def _of_path(note: str) -> Callable[[dict[str, Any]], _Noted]:
    return lambda facts: (note, {"name": os.path.basename(str(facts["path"]))})


def _begins(kind: str, *, detail: str = "") -> Callable[[dict[str, Any]], _Noted]:
    return lambda facts: ("begins", {"kind": kind, "detail": str(facts.get(detail, ""))})


def _ends(kind: str) -> Callable[[dict[str, Any]], _Noted]:
    return lambda _: ("ends", {"kind": kind})


_OF_EVENTS: dict[str, Callable[[dict[str, Any]], _Noted]] = {
    "savefile": _of_path("opened"),
    "prune": _of_path("pruned"),
    "savefile_removed": _of_path("pruned"),
    "savefile_lost": lambda facts: (
        "gap",
        {
            "kind": "lost",
            "from_ns": facts["from_ns"],
            "to_ns": facts["to_ns"],
            "packets": facts["packets"],
            "detail": facts["detail"],
        },
    ),
    "recovered": _of_path("recovered"),
    "dropped": lambda facts: ("dropped", {"packets": facts["new"]}),
    "refiltered": lambda facts: ("refiltered", {"filter": kept_filter(str(facts["filter"]))}),
    "stalled": _begins("disk_stalled"),
    "resumed": _ends("disk_stalled"),
    "volume_full": _begins("disk_full"),
    "volume_room": _ends("disk_full"),
    "interface_down": _begins("interface_down", detail="state"),
    "interface_gone": _begins("interface_down"),
    "interface_up": _ends("interface_down"),
    "interface_back": _ends("interface_down"),
}
"""What a message's event and facts are to the catalog."""
