from typing import final

from daemonlogger_py.readers.streams.directories import Directories

@final
class Rows:
    def __init__(self, directories: Directories, max_bytes: int | None, gaps: bool) -> None: ...
