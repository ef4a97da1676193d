"""The cataloger's end of its link to the recorder: notes come in, pins and messages go out.

What messages there are, and the recorder's end, is `chronicle`'s. Nothing here waits.
"""

import socket
import time
from typing import Any

SPANS_AT_ONCE = 1000
_MESSAGE_BYTES = 1 << 16


class Link:
    """The connected socket `link`, which does not block; the recorder is on the other end."""

    def __init__(self, link: socket.socket) -> None:
        self.hung_up_ns: int | None = None
        """When the recorder ended, however it did, ns since 1970; None: it goes on."""
        self._link = link
        self._pins: list[tuple[int, int]] | None = None  # as it knows them

    def fileno(self) -> int:
        """Readable when something came, or the recorder has ended."""
        return self._link.fileno()

    def notes(self) -> list[dict[str, Any]]:
        """What was noted since the last call."""
        import json

        found: list[dict[str, Any]] = []
        while self.hung_up_ns is None:
            try:
                message = self._link.recv(_MESSAGE_BYTES)
            except BlockingIOError:
                break
            except ConnectionResetError:
                continue  # it ended with pins unread; what it noted before is still there
            except OSError:
                message = b""
            if message:
                found.append(json.loads(message))
            else:
                self.hung_up_ns = time.time_ns()
        return found

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
