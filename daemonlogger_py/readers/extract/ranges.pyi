from collections.abc import Iterator
from typing import final

from daemonlogger_py.readers.extract.format import Format

@final
class Window: ...

@final
class Ranges:
    ordered: bool
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[tuple[int, int, int, int]]: ...
    @property
    def total_bytes(self) -> int: ...
    @property
    def early_ns(self) -> int: ...
    @property
    def late_ns(self) -> int: ...
    def add_rest(self, begin: int, size_bytes: int) -> None: ...
    @staticmethod
    def whole(
        size_bytes: int, *, early_ns: int = 0, late_ns: int = ..., ordered: bool = False
    ) -> Ranges: ...

def survey(
    fd: int,
    format: Format,  # noqa: A002
    window: Window,
    begin: int,
    size_bytes: int,
) -> Ranges: ...
