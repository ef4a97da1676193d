from typing import NamedTuple, final

from daemonlogger_py.readers.extract.ranges import Ranges
from daemonlogger_py.readers.index.sidecar import Sidecar

class Selection(NamedTuple):
    ranges: Ranges
    classes_no: int
    classes_yes: int
    classes_unsure: int
    classes_unjudged: int
    blocks: int
    blocks_outside: int
    blocks_wanted: int
    damaged: bool

@final
class Judge:
    def __init__(self, code: bytes) -> None: ...
    def select(self, sidecar: Sidecar, from_ns: int = 0, to_ns: int = ...) -> Selection: ...
