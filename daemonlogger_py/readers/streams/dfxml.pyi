from collections.abc import Sequence

from _typeshed import ReadableBuffer

COMPILER: str
CYTHON: str

def escaped(data: ReadableBuffer) -> bytes: ...
def fileobject(
    prefix: bytes,
    name: bytes | None,
    source: bytes,
    destination: bytes,
    *,
    source_port: int = 0,
    destination_port: int = 0,
    macs: tuple[bytes, bytes] | None = None,
    first_ns: int = 0,
    last_ns: int = 0,
    stream_bytes: int = 0,
    packets: int = 0,
    out_of_order: int = 0,
    violations: int = 0,
    length_bytes: int = 0,
    captured_bytes: int | None = None,
    differing_bytes: int = 0,
    gaps: Sequence[tuple[int, int]] = (),
    syn: bool = True,
    with_gaps: bool = False,
) -> bytes: ...
