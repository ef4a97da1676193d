from typing import NamedTuple, final

from typing_extensions import Buffer as ReadableBuffer

from daemonlogger_py.flow.defrag import Fragments
from daemonlogger_py.flow.sink import Sink
from daemonlogger_py.flow.tcp import Segments

NEVER_NS: int
LINGER_NS: int
LINGER_FLOWS: int
MOST_FRAGMENT_BYTES: int
LEAST_FRAGMENT_BYTES: int
ODD_FRAGMENTS: tuple[str, ...]

class Counters(NamedTuple):
    packets: int
    outside: int
    not_ip: int
    tcp_packets: int
    stream_packets: int
    unprocessed: int
    fragments: int
    streams: int
    open_streams: int
    most_open_streams: int
    flows: int
    evicted_flows: int
    idle_flows: int
    split_streams: int
    before_syn_bytes: int
    late_bytes: int

@final
class Engine(Segments):
    def __init__(
        self,
        sink: Sink,
        *,
        tunnels: bool = False,
        datagrams: bool = False,
        skip_bytes: int = 16777216,
        idle_ns: int = 0,
        max_flows: int = 1000000,
        memory_bytes: int = 1073741824,
        purge: bool = True,
        first_ns: int = 0,
        until_ns: int = NEVER_NS,
        shift_ns: int = 0,
    ) -> None: ...
    def feed(
        self,
        records: ReadableBuffer,
        linktype: int,
        *,
        nanosecond: bool = False,
        only_known: bool = False,
    ) -> None: ...
    def finish(self, most: int | None = None) -> bool: ...
    def counters(self) -> Counters: ...
    def fragments(self) -> Fragments: ...
    def oddities(self) -> dict[str, int]: ...
