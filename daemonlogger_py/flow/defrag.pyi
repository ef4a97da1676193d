from typing import NamedTuple

from typing_extensions import Buffer as ReadableBuffer

SECOND_NS: int

class Fragments(NamedTuple):
    fragments: int
    completed: int
    atomic: int
    cut: int
    duplicate: int
    overlapping: int
    contradictory: int
    disputed: int
    oversize: int
    empty: int
    misaligned: int
    refused: int
    overlapped: int
    timed_out: int
    evicted: int
    pending: int
    held_bytes: int
    peak_bytes: int

class Defragmenter:
    def __init__(
        self,
        *,
        memory_bytes: int = 16777216,
        timeout_ns: int | None = None,
        max_datagrams: int = 4096,
    ) -> None: ...
    def counters(self) -> Fragments: ...
    def fragment(
        self,
        source: bytes,
        destination: bytes,
        protocol: int,
        identification: int,
        offset: int,
        more: bool,
        payload: ReadableBuffer,
        *,
        time_ns: int = 0,
        length: int | None = None,
    ) -> tuple[bytes, int, int] | None: ...
