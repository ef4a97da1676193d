from daemonlogger_py.readers.index.sidecar import Sidecar
from daemonlogger_py.savefile.records import FileHeader

FORMAT: int
LINKTYPE_RESERVED: int

class UnindexableError(Exception): ...

def build(fd: int, name: str) -> Sidecar: ...
def indexable(head: bytes) -> FileHeader: ...
