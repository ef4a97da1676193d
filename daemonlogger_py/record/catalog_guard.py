"""Starts the cataloger's process, waits for its end, and starts it anew when it was killed.

Forked before the recorder has threads, this process has none ever: it can fork at any time, which
the recorder itself could not. It holds the cataloger's end of the link and the journal, so that
notes wait where they are, and none is lost. It ends with its cataloger, once that has no more to
do; when the recorder ends, it is the cataloger who notices.
"""

import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from select import POLLHUP, POLLRDHUP, poll

from daemonlogger_py.record.journal import Journal

# One that dies more often than that will not live: what is wrong stays wrong.
MOST_DEATHS = 5
WITHIN_S = 60.0
# Before it is started anew, doubled with each death of those counted.
PAUSE_S = 0.1
DIED = "catalog_died"
ENDED = "catalog_ended"

Work = Callable[[Journal, bool], None]


class Guard:
    """Has a process of its own do `work`, which is given the journal and whether it goes on.

    `work` goes on where another one was killed; what it raises is its death too. `link` leads to
    the recorder.
    """

    def __init__(self, link: socket.socket, work: Work) -> None:
        self._link = link
        self._work = work
        self._journal = Journal()
        self._deaths: deque[float] = deque(maxlen=MOST_DEATHS)  # monotonic, s

    def run(self) -> bool:
        """Return when the work is done, or given up, and that is told; returns whether it is."""
        again = False
        while (why := self._one(again=again)) is not None:
            again = True
            now = time.monotonic()
            self._deaths.append(now)
            recent = [at for at in self._deaths if at > now - WITHIN_S]
            if len(recent) >= MOST_DEATHS:
                times = f"{len(recent)} times within {WITHIN_S:g} s"
                text = f"[!] The catalog is not kept any more: its process ended {times}, by {why}"
                self._say(ENDED, text)
                return False
            self._say(DIED, f"[!] The catalog's process ended, by {why}: it is started anew")
            self._pause(PAUSE_S * 2 ** (len(recent) - 1))
        return True

    def _one(self, *, again: bool) -> str | None:
        """Have it worked once; returns what ended it before its time."""
        try:
            pid = os.fork()
        except OSError as error:
            return error.strerror or str(error)
        if pid == 0:
            self._be_worker(again=again)
        _, status = os.waitpid(pid, 0)
        if status == 0:
            return None
        return _why(os.waitstatus_to_exitcode(status))

    def _be_worker(self, *, again: bool) -> None:
        """In the child: never return to what its guard was about to do."""
        status = 1
        try:
            self._work(self._journal, again)
            status = 0
        except Exception as error:
            text = f"[!] The catalog's process failed: {type(error).__name__}: {error}"
            self._say(DIED, text)
        finally:
            os._exit(status)

    def _pause(self, seconds: float) -> None:
        """Wait, but not for a recorder that has ended: somebody has to write that down."""
        waiter = poll()
        waiter.register(self._link, POLLHUP | POLLRDHUP)
        waiter.poll(seconds * 1000)

    def _say(self, event: str, text: str) -> None:
        import json

        with suppress(OSError):
            self._link.send(json.dumps({"say": [event, text]}).encode())


def _why(code: int) -> str:
    if code >= 0:
        return "an error"
    try:
        return signal.Signals(-code).name
    except ValueError:  # a real-time signal
        return f"signal {-code}"
