from typing import final

from daemonlogger_py.readers.streams.batch import Batch
from daemonlogger_py.readers.streams.files import Files

@final
class Writer:
    open_files: int
    def __init__(
        self,
        files: Files,
        number: int = 0,
        *,
        max_bytes: int | None = None,
        last_wins: bool = True,
        findx: bool = False,
        gaps: bool = False,
        tell_created: bool = False,
    ) -> None: ...
    def execute(self, batch: Batch) -> None: ...
