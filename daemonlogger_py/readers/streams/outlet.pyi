from typing_extensions import Buffer as ReadableBuffer

from daemonlogger_py.readers.inputs.stopping import Stopping

class Outlet:
    def __init__(
        self,
        fd: int,
        semaphore: str | None = None,
        patience_s: float = 60,
        *,
        stopping: Stopping | None = None,
        name: str = "standard output",
    ) -> None: ...
    @property
    def fd(self) -> int: ...
    @property
    def semaphore(self) -> str | None: ...
    def put(self, data: ReadableBuffer) -> None: ...
