from struct import Struct
from typing import final

INSTRUCTION: Struct
IN_MEMORY: set[int]
OPERATIONS: dict[int, tuple[int, int, bool]]
WITH_OPERAND: dict[int, int]

def understand(
    number: int, count: int, code: int, if_so: int, if_not: int, operand: int
) -> tuple[int, int, bool, int, int, int]: ...

@final
class Program:
    def __init__(self, code: bytes) -> None: ...
    def verdict(self, known: bytes, mask: bytes, prefix_bytes: int = 0) -> bool | None: ...
