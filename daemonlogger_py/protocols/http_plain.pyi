from mmap import mmap
from typing import Literal

def plain_head(
    data: bytes | bytearray | mmap, start: int, end: int, request: bool
) -> tuple[int, int, bytes, bytes, tuple[tuple[bytes, bytes], ...], str] | None: ...
def field(fields: tuple[tuple[bytes, bytes], ...], name: bytes) -> bytes: ...
def framing(
    fields: tuple[tuple[bytes, bytes], ...],
) -> tuple[Literal["chunked", "length", "close"], int]: ...
