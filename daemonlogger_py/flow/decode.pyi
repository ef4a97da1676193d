from typing import NamedTuple

from daemonlogger_py.flow.oddities import Oddity

class Decoded(NamedTuple):
    oddities: frozenset[Oddity]
    mac_source: bytes | None
    mac_destination: bytes | None
    vlans: tuple[int, ...]
    family: int
    transport: str
    protocol: int
    tunnels: int
    source: bytes
    destination: bytes
    source_port: int
    destination_port: int
    flags: int
    window: int
    sequence: int
    acknowledgment: int
    fragment_id: int
    fragment_offset: int
    more_fragments: bool
    payload: bytes
    payload_offset: int
    payload_bytes: int

def decoded(
    linktype: int,
    data: bytes,
    origlen: int | None = None,
    *,
    tunnels: bool = False,
    reassembled: bytes | None = None,
    reassembled_bytes: int | None = None,
) -> Decoded: ...
def decodes(linktype: int) -> bool: ...
