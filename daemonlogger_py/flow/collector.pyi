from collections.abc import Callable, Container

from daemonlogger_py.flow.events import StreamEvent, StreamInfo
from daemonlogger_py.flow.ordered import OrderedSink

class Collector(OrderedSink):
    def __init__(
        self,
        wanted: Callable[[StreamInfo], bool] | None = None,
        *,
        event_bytes: int = 65536,
        prompt: bool = False,
        notes: bool = False,
        max_bytes: int | None = None,
        stream_bytes: int = 4194304,
        memory_bytes: int = 67108864,
        policy: str = "last",
    ) -> None: ...
    def take(self) -> list[StreamEvent]: ...
    def ignore_streams(self, numbers: Container[int]) -> None: ...
