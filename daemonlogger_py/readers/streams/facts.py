"""What passes between the stream store and post-processing: closed streams in, what was found out.

`post` takes ClosedStream and gives Finished; nothing here does anything.
"""

from typing import NamedTuple

from daemonlogger_py.protocols.gaps import Gap


class ClosedStream(NamedTuple):
    """A stream that is closed, whose file (if it has one) is complete and closed too."""

    number: int
    session: int  # both directions of a connection share it
    name: str | None  # of its file, relative to the output directory; None: it has none
    to_server: bool
    stream_bytes: int  # gaps included; the file may be shorter (-b, or lost at its end)
    gaps: tuple[Gap, ...] = ()  # ascending and apart
    syn: bool = True  # its beginning was seen
    why: str = "fin"  # "fin": it ended in order, every byte was seen
    other_open: bool = False  # the stream of the other direction will follow
    guessed: bool = False  # which side is the server
    source: str = ""
    destination: str = ""
    source_port: int = 0
    destination_port: int = 0
    first_ns: int = 0
    last_ns: int = 0
    vlans: tuple[int, ...] = ()
    packets: int = 0
    length_bytes: int = 0  # of all its frames, as they were sent
    captured_bytes: int = 0  # ... as they were captured
    differing_bytes: int = 0
    out_of_order: int = 0
    retransmissions: int = 0
    violations: int = 0
    row: bytes = b""  # its row of the report, as far as the store knows


class Body(NamedTuple):
    """A file that was made of an HTTP message of a stream."""

    file_offset: int  # of the body, as it was sent, in the stream
    filename: str  # relative to the output directory
    filesize: int
    problems: tuple[str, ...] = ()  # why it is not, or not for sure, the whole body


class PluginResult(NamedTuple):
    """What the Python function made of a stream."""

    text: str | None  # None: it returned nothing
    problem: str = ""  # why there is no text, or not all


class Finished(NamedTuple):
    """A closed stream, and what post-processing found out."""

    closed: ClosedStream
    md5: str = ""  # hexadecimal; "" without a file or if it was not asked for
    bodies: tuple[Body, ...] = ()
    notes: tuple[str, ...] = ()  # what could not be done or read, for people
    plugin: PluginResult | None = None
    failed: bool = False  # a file could not be read or written: notes say which
    unread: tuple[str, ...] = ()  # those of the notes that say what is missing from the bodies
