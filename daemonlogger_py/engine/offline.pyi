from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.protocol import Counters

class FileSource:
    name: str
    failure: str | None
    linktype: int
    snaplen: int
    nanosecond: bool
    file_header: bytes
    live: bool
    def __init__(
        self,
        fd: int,
        *,
        name: str,
        wake_fd: int,
        filter_text: str = "",
        snaplen: int = 0,
        nanosecond: bool = False,
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
    def refilter(self, text: str) -> None: ...
    def finish(self) -> None: ...
    def close(self) -> None: ...
