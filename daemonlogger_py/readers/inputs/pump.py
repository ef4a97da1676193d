"""The thread that reads ahead, so that reading runs beside decoding.

Buffers go round: filled here from one input after the other, handed out in that order, and filled
again once the consumer asks for the next. Their number bounds the memory, whatever the input.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple, Self

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.protocol import Stop
from daemonlogger_py.readers.inputs.capture import HOLD_NS, Complaint, Input
from daemonlogger_py.readers.inputs.opening import Inputs

BUFFERS = 4
BUFFER_BYTES = 1 << 20
IDLE_S = 0.2
# A buffer that one long record made larger than this many times its size is not kept.
_OUTGROWN = 4

_GOING_ON = frozenset({Stop.FULL, Stop.SIZE, Stop.PACKETS, Stop.DEADLINE})


class _Filled(NamedTuple):
    """A buffer with records, where they come from, and how far reading is."""

    buffer: Buffer
    input: Input
    bytes_read: int


class _End(NamedTuple):
    """Nothing follows; `error` ended it, unless it is None."""

    error: BaseException | None


class Pump:
    """Reads `inputs`, which are open, from a thread of its own for the length of a `with` block.

    Iterating gives (buffer, input): records of `input.linktype`, valid until the next is asked for,
    or as long as it is kept.
    `tell` gets one line about each thing that is wrong with an input, in the consumer's thread and
    between what came before and after it; `failures` counts those that make the exit status 1.
    `idle` is called in that thread each time that nothing came for IDLE_S: on a quiet link there
    is still something to be done about the packets that came before.
    Errors that end everything (FilterError, MemoryError) are raised by the iteration.
    """

    def __init__(
        self,
        inputs: Inputs,
        tell: Callable[[str], None],
        *,
        idle: Callable[[], None] | None = None,
        buffers: int = BUFFERS,
        buffer_bytes: int = BUFFER_BYTES,
        hold_ns: int = HOLD_NS,
    ) -> None:
        self.failures = 0
        self.bytes_read = 0
        """Of `inputs.total_bytes()`, when the buffer last handed out was filled."""
        self._inputs = inputs
        self._tell = tell
        self._idle = idle
        self._buffer_bytes = buffer_bytes
        self._hold_ns = hold_ns
        # SimpleQueue: putting never blocks, not even in a signal handler.
        self._empty: SimpleQueue[Buffer | None] = SimpleQueue()
        self._ready: SimpleQueue[_Filled | Complaint | _End] = SimpleQueue()
        for _ in range(buffers):
            self._empty.put(Buffer(buffer_bytes))
        self._closing = False
        self._ended = False
        self._kept = False
        self._thread = threading.Thread(target=self._run, name="pump", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[tuple[Buffer, Input]]:
        """Hand out what was read, until nothing comes any more; once."""
        while not isinstance(item := self._next(), _End):
            if isinstance(item, Complaint):
                self._say(item)
                continue
            buffer, input_, self.bytes_read = item
            self._kept = False
            if not input_.refused:
                yield buffer, input_
            if not self._kept:
                self.give_back(buffer)
        self._ended = True
        if item.error is not None:
            raise item.error

    def keep(self) -> None:
        """Leave the buffer handed out last to the consumer, until it calls `give_back`."""
        self._kept = True

    def refuse(self, input_: Input, reason: str) -> None:
        """Read no more of this input, which the consumer cannot use, and say why."""
        input_.refused = True
        self._say(Complaint(reason))

    def close(self) -> None:
        """End the thread, also in the middle of an input; may be called twice."""
        self._closing = True
        # Behind its last word the thread has nothing that could be stopped.
        if not self._ended and self._thread.is_alive():
            self._inputs.stopping.request()
            self._empty.put(None)
        self._thread.join()

    def _next(self) -> _Filled | Complaint | _End:
        while self._idle is not None:
            with suppress(Empty):
                return self._ready.get(timeout=IDLE_S)
            self._idle()
        return self._ready.get()

    def _say(self, complaint: Complaint) -> None:
        self.failures += complaint.failed
        self._tell(complaint.text)

    def give_back(self, buffer: Buffer) -> None:
        """Take a kept buffer that is not needed any more; from any thread."""
        if buffer.capacity > _OUTGROWN * self._buffer_bytes:
            buffer = Buffer(self._buffer_bytes)
        buffer.clear()
        self._empty.put(buffer)

    def _run(self) -> None:
        error: BaseException | None = None
        items = iter(self._inputs)
        try:
            for item in items:
                if isinstance(item, Complaint):
                    self._ready.put(item)
                elif complaint := self._read(item):
                    self._ready.put(complaint)
        except BaseException as caught:  # for the thread that takes from `_ready` to raise
            error = caught
        finally:
            items.close()  # and with it the input that it stands at
            self._ready.put(_End(error))

    def _read(self, input_: Input) -> Complaint | None:
        """Read one input to its end, or to where reading stops."""
        stopping = self._inputs.stopping
        finishing = False
        while not input_.refused:
            if stopping.requested and not finishing:
                if not input_.live or self._closing:
                    return None
                # What the kernel has accepted until now belongs to what was asked for.
                finishing = True
                stopping.drain()
                input_.finish()
            buffer = self._empty.get()
            if buffer is None:
                return None
            if buffer.capacity < input_.record_bytes:
                buffer = Buffer(self._buffer_bytes + input_.record_bytes)
            reason = input_.fill(buffer, self._hold_ns)
            if buffer.packets:
                self._ready.put(_Filled(buffer, input_, self._inputs.bytes_read))
            else:
                self._empty.put(buffer)
            if reason is Stop.WAKE:
                stopping.drain()
            elif reason not in _GOING_ON:
                stopped = stopping.requested and not finishing
                return None if stopped else input_.ending(reason)
        return None
