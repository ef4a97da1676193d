from typing import NamedTuple

class Range(NamedTuple):
    begin: int
    end: int
    packets: int

class Salvage(NamedTuple):
    ranges: list[Range]
    size_bytes: int
    complete: bool

def salvage(fd: int, file_header: bytes | None = None) -> Salvage | None: ...
