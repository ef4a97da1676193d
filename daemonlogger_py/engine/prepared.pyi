from collections.abc import Iterable
from typing import NamedTuple

from typing_extensions import Buffer as ReadableBuffer

PROBLEMS: dict[int, str]

class Prepared(NamedTuple):
    header: bytes
    frame: bytes
    problem: str | None

def prepare(
    frame: ReadableBuffer, mtu: int, *, linktype: int = 1, cut: bool = False
) -> Prepared: ...
def due_times(times_ns: Iterable[int], pace: float) -> list[int]: ...
