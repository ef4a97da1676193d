from typing import final

from daemonlogger_py.readers.streams.facts import ClosedStream

WHY: tuple[str | None, ...]

@final
class Batch:
    at_end: bool
    @property
    def operations_left(self) -> int: ...
    def created(self) -> list[str]: ...
    def rows(self, prefix: bytes, with_gaps: bool) -> bytes: ...
    def facts(self, prefix: bytes, with_gaps: bool) -> list[ClosedStream]: ...
