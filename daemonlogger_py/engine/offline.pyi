from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.offline_handle import OfflineHandle
from daemonlogger_py.engine.protocol import Counters

class FileSource(OfflineHandle):
    failure: str | None
    live: bool
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
    def finish(self) -> None: ...
    def close(self) -> None: ...
