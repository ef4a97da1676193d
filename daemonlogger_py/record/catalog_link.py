"""The cataloger's end of its link to the recorder: notes come in, pins and messages go out.

A note is in the journal before it is taken from the link: at whatever moment this process is
killed, the next one finds it in one of them. What messages there are, and the recorder's end, is
`chronicle`'s. Nothing here waits.
"""

import socket
import time
from typing import Any, NamedTuple

from daemonlogger_py.record.chronicle import MESSAGE_BYTES
from daemonlogger_py.record.journal import Journal

SPANS_AT_ONCE = 1000
# Said anew every second: not worth keeping.
PASSING = "figures"


class Note(NamedTuple):
    """A note, read, and its number in the journal; 0: it is not in there."""

    number: int
    what: str
    at_ns: int
    facts: dict[str, Any]  # with these two
    data: bytes  # as it came


class Link:
    """The connected socket `link`, which does not block; the recorder is on the other end."""

    def __init__(self, link: socket.socket, journal: Journal) -> None:
        self.hung_up_ns: int | None = None
        """When the recorder ended, however it did, ns since 1970; None: it goes on."""
        self._link = link
        self._journal = journal
        self._earlier = [_read(number, data) for number, data in journal.notes()]
        # Who took it in may have been killed before it could take it from the link.
        self._last = self._earlier[-1].data if self._earlier else None
        self._pins: list[tuple[int, int]] | None = None  # as it knows them

    def fileno(self) -> int:
        """Readable when something came, or the recorder has ended."""
        return self._link.fileno()

    def notes(self) -> list[Note]:
        """What was noted since the last call; at first what an earlier process left unwritten."""
        found, self._earlier = self._earlier, []
        while self.hung_up_ns is None:
            try:
                data = self._link.recv(MESSAGE_BYTES, socket.MSG_PEEK)
            except BlockingIOError:
                break
            except ConnectionResetError:
                continue  # it ended with pins unread; what it noted before is still there
            except OSError:
                data = b""
            if not data:
                self.hung_up_ns = time.time_ns()
                break
            if data != self._last:
                found.append(self._taken_in(data))
            self._last = None
            self._link.recv(1)  # the rest of a message goes with it
        return found

    def _taken_in(self, data: bytes) -> Note:
        note = _read(0, data)
        return note if note.what == PASSING else note._replace(number=self._journal.add(data))

    def say(self, event: str, text: str) -> None:
        """Have the recorder tell `text`."""
        self._send({"say": [event, text]})

    def tell_pins(self, spans: list[tuple[int, int]]) -> bool:
        """Have the recorder keep these spans; False: it does not take them now."""
        if spans == self._pins:
            return True
        for at in range(0, max(1, len(spans)), SPANS_AT_ONCE):
            some, more = spans[at : at + SPANS_AT_ONCE], at + SPANS_AT_ONCE < len(spans)
            if not self._send({"pins": some, "first": at == 0, "more": more}):
                return False
        self._pins = spans
        return True

    def _send(self, message: dict[str, Any]) -> bool:
        import json

        try:
            self._link.send(json.dumps(message).encode())
        except OSError:  # it does not listen now, or is gone
            return False
        return True


def _read(number: int, data: bytes) -> Note:
    import json

    facts = json.loads(data)
    return Note(number, facts["note"], facts["at_ns"], facts, data)
