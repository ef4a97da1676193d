"""Captures for the tests of inputs, and what comes out of them.

The records come out in this machine's byte order with a header made up for them, so that the
parser of the tests, which shares no code with the project, reads them.
"""

import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.protocol import Stop
from daemonlogger_py.readers.inputs.capture import Complaint, Input
from daemonlogger_py.readers.inputs.opening import Inputs, Selection
from daemonlogger_py.readers.inputs.pump import Pump
from daemonlogger_py.readers.inputs.stopping import Stopping

from ...pcaps.make import Packet, classic, ethernet, ipv4, udp
from ...pcaps.parse import parse

EPOCH = 1_700_000_000
NS = 10**9


def packets(count: int, *, first: int = 0, size: int = 50, start_s: float = EPOCH) -> list[Packet]:
    """Numbered UDP packets, a millisecond apart."""
    return [
        Packet(
            int(start_s * NS) + number * 1_000_000,
            ethernet(ipv4(udp(number.to_bytes(4, "big") + bytes(size)), 17)),
        )
        for number in range(first, first + count)
    ]


def zstd_bomb(beginning: bytes, blocks: int) -> bytes:
    """A frame of zstd (RFC 8878): `beginning`, then so many times 128 KiB of NULs in 4 bytes."""
    size = 128 << 10
    raw = (len(beginning) << 3).to_bytes(3, "little") + beginning
    repeated = (size << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    last = (1).to_bytes(3, "little")
    return b"\x28\xb5\x2f\xfd" + b"\0\x38" + raw + blocks * repeated + last


@contextmanager
def most_memory() -> Iterator[Callable[[], int]]:
    """What Python's objects take at most, in bytes, until it is asked."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def capture(count: int, **places: float) -> bytes:
    """A classic capture of `packets`."""
    return classic(packets(count, **places))  # type: ignore[arg-type]


def number_of(data: bytes) -> int:
    """The number in one of `packets`."""
    return int.from_bytes(data[42:46], "big")


def numbers(input_: Input, records: bytes) -> list[int]:
    """The numbers of the packets in whole records of an input."""
    found = parse(input_.file_header + records)
    assert found.whole
    return [number_of(record.data) for record in found.records]


def read(input_: Input, capacity: int = 1 << 20) -> tuple[list[int], Stop]:
    """Everything an input has, and why that was all."""
    found: list[int] = []
    while True:
        buffer = Buffer(capacity)
        reason = input_.fill(buffer)
        found += numbers(input_, bytes(buffer))
        if reason not in (Stop.FULL, Stop.DEADLINE):
            return found, reason


def told(items: Iterable[Input | Complaint]) -> list[object]:
    """What items hold: (name, numbers) of an input and its ending, or a complaint."""
    result: list[object] = []
    for item in items:
        if isinstance(item, Complaint):
            result.append(item)
            continue
        found, reason = read(item)
        result.append((item.name, found))
        if complaint := item.ending(reason):
            result.append(complaint)
    return result


def pumped(selection: Selection, stopping: Stopping | None = None, **sizes: int) -> "Pumped":
    """Read all of a selection as a reader does."""
    lines: list[str] = []
    found: list[tuple[str, list[int]]] = []
    with stopping or Stopping() as ends, Inputs(selection, ends) as inputs:
        inputs.open()
        inputs.drop_privileges()
        with Pump(inputs, lines.append, **sizes) as pump:
            for buffer, input_ in pump:
                if not found or found[-1][0] != input_.name:
                    found.append((input_.name, []))
                found[-1][1].extend(numbers(input_, bytes(buffer)))
            return Pumped(found, lines, pump.failures, pump.bytes_read)


class Pumped:
    """What came: (name, numbers) of each input, lines told, failures."""

    def __init__(
        self, found: Sequence[tuple[str, list[int]]], lines: list[str], failures: int, read: int
    ) -> None:
        self.found = list(found)
        self.lines = lines
        self.failures = failures
        self.bytes_read = read

    @property
    def numbers(self) -> list[int]:
        return [number for _, part in self.found for number in part]
