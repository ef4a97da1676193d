from typing import NamedTuple

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.tap_sockets import TapSockets

class TapCounters(NamedTuple):
    sent: int
    sent_bytes: int
    too_large: int
    refused: int
    dropped: int
    missed: int
    cut: int

class Tap(TapSockets):
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
    def remark(self) -> str | None: ...
    @property
    def refusal(self) -> str | None: ...
    def send(self, buffer: Buffer, from_offset: int, wait_ns: int) -> int: ...
    def counters(self) -> TapCounters: ...
