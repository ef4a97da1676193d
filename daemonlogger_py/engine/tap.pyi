from collections.abc import Iterable
from typing import NamedTuple

from typing_extensions import Buffer as ReadableBuffer

from daemonlogger_py.engine.buffer import Buffer

class TapCounters(NamedTuple):
    sent: int
    sent_bytes: int
    too_large: int
    refused: int
    dropped: int
    missed: int
    cut: int

class Prepared(NamedTuple):
    header: bytes
    frame: bytes
    problem: str | None

def prepare(
    frame: ReadableBuffer, mtu: int, *, linktype: int = 1, cut: bool = False
) -> Prepared: ...
def due_times(times_ns: Iterable[int], pace: float) -> list[int]: ...

class Tap:
    interface: str
    mtu: int
    def __init__(
        self,
        interface: str,
        *,
        linktype: int,
        wake_fd: int,
        nanosecond: bool = False,
        pace: float | None = None,
        patient: bool = False,
    ) -> None: ...
    @property
    def down(self) -> bool: ...
    @property
    def failure(self) -> str | None: ...
    @property
    def remark(self) -> str | None: ...
    @property
    def refusal(self) -> str | None: ...
    def send(self, buffer: Buffer, from_offset: int, wait_ns: int) -> int: ...
    def revive(self) -> bool: ...
    def counters(self) -> TapCounters: ...
    def close(self) -> None: ...
