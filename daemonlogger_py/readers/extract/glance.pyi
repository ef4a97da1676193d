from collections.abc import Sequence
from typing import final

ORDERLESS: frozenset[int]

@final
class Glance:
    savefiles: int
    blocks: int
    blocks_outside: int
    classes: int
    def __init__(self, text: str, from_ns: int, to_ns: int) -> None: ...
    def passes_over(self, dir_fd: int, savefiles: Sequence[tuple[str, int, int]]) -> list[bool]: ...
