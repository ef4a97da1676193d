from typing import final

from daemonlogger_py.readers.extract.chunk import Chunk
from daemonlogger_py.readers.extract.format import Format
from daemonlogger_py.readers.extract.ranges import Ranges

@final
class Scan:
    format: Format
    packets: int
    bytes_read: int
    broken: int
    def __init__(
        self,
        fd: int,
        format: Format,  # noqa: A002
        ranges: Ranges,
        *,
        from_ns: int = 0,
        to_ns: int = ...,
        reverse: bool = False,
    ) -> None: ...
    @property
    def front_ns(self) -> int: ...
    @property
    def done(self) -> bool: ...
    @property
    def offset(self) -> int: ...
    @property
    def torn(self) -> bool: ...
    @property
    def disagrees(self) -> bool: ...
    @property
    def damage(self) -> str | None: ...
    def chunk(self) -> Chunk: ...
    def step(self, chunk: Chunk) -> None: ...
    def replace(self, ranges: Ranges) -> None: ...
    def extend(self, size_bytes: int) -> None: ...
