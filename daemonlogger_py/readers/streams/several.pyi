from collections.abc import Sequence

from daemonlogger_py.flow.sink import Sink

class Several(Sink):
    def __init__(self, sinks: Sequence[Sink]) -> None: ...
