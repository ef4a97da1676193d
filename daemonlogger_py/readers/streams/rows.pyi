from daemonlogger_py.readers.streams.directories import Directories

class Rows:
    def __init__(self, directories: Directories, max_bytes: int | None, gaps: bool) -> None: ...
