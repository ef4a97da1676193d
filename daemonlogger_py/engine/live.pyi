from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.live_handle import LiveHandle
from daemonlogger_py.engine.protocol import Counters

class LiveSource(LiveHandle):
    failure: str | None
    live: bool
    def __init__(
        self,
        interface: str,
        *,
        wake_fd: int,
        filter_text: str = "",
        snaplen: int = 65535,
        promiscuous: bool = True,
        buffer_bytes: int = ...,
        tstamp_type: str | None = None,
        nanosecond: bool = False,
        direction: str = "inout",
        immediate: bool = False,
        flush: bool = False,
        prompt: bool = False,
    ) -> None: ...
    @property
    def record_bytes(self) -> int: ...
    @property
    def next_ns(self) -> int | None: ...
    def fill(
        self,
        buffer: Buffer,
        bytes_left: int,
        packets_left: int,
        until_ns: int,
        hold_ns: int,
        deadline_ns: int,
    ) -> int: ...
    def counters(self) -> Counters: ...
    def revive(self) -> bool: ...
    def finish(self) -> None: ...
    def close(self) -> None: ...
