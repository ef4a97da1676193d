from daemonlogger_py.flow.ordered import OrderedSink
from daemonlogger_py.flow.sink import Sink
from daemonlogger_py.readers.streams.printing import Printing

class Console(Sink):
    def __init__(self, printing: Printing) -> None: ...

class OrderedConsole(OrderedSink):
    def __init__(
        self,
        printing: Printing,
        *,
        gaps: bool = False,
        stream_bytes: int = 4194304,
        memory_bytes: int = 67108864,
        policy: str = "last",
    ) -> None: ...
