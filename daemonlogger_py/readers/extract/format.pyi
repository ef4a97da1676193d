from collections.abc import Iterable
from typing import final

from daemonlogger_py.engine.bpf import Filter

PLAIN_LINKTYPES: frozenset[int]

@final
class Format:
    filter: Filter
    accepts_all: bool
    header: bytes
    written: bytes
    linktype: int
    snaplen: int
    nanosecond: bool
    swapped: bool
    def __init__(self, header: bytes, filter_text: str) -> None: ...

def distinct_headers(dir_fd: int, names: Iterable[str]) -> list[bytes]: ...
def is_scanned(header: bytes) -> bool: ...
