from typing import NamedTuple

from daemonlogger_py.flow.sink import Sink

class Ordering(NamedTuple):
    held_bytes: int
    peak_bytes: int
    holes: int
    missing_bytes: int
    given_up: int
    late_bytes: int
    differing_bytes: int

class OrderedSink(Sink):
    def __init__(
        self, *, stream_bytes: int = 4194304, memory_bytes: int = 67108864, policy: str = "last"
    ) -> None: ...
    def ordering(self) -> Ordering: ...
