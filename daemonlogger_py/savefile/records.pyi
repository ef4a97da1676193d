from typing import NamedTuple

MAGIC_MICROSECONDS: int
MAGIC_NANOSECONDS: int
MAGIC_MODIFIED: int

class FileHeader(NamedTuple):
    byte_order: str
    nanosecond: bool
    modified: bool
    major: int
    minor: int
    snaplen: int
    linktype: int
    @property
    def native(self) -> bool: ...
    @property
    def refused(self) -> bool: ...

class Walk(NamedTuple):
    packets: int
    end_offset: int
    size_bytes: int
    damage: str | None
    torn: bool
    first_ns: int
    last_ns: int
    earliest_ns: int = ...
    latest_ns: int = ...
    ordered: bool = ...

def parse_file_header(data: bytes) -> FileHeader | None: ...
def walk(fd: int) -> Walk: ...
