from typing import final

from daemonlogger_py.flow.sink import Sink
from daemonlogger_py.readers.streams.batch import Batch

@final
class Store(Sink):
    most_open_files: int
    gap_streams: int
    gap_bytes: int
    def __init__(
        self,
        *,
        store: bool = True,
        writers: int = 1,
        max_bytes: int | None = None,
        last_wins: bool = True,
        findx: bool = False,
        stream_rows: int = 4096,
        most_rows: int = 1048576,
    ) -> None: ...
    def take(self) -> Batch: ...
