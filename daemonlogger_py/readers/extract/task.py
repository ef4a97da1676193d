"""What an extraction looks for, the same for all savefiles, and the words in which it is found.

A time becomes a key: itself, or its complement for newest first, so that smaller keys are always
given out earlier. How one savefile is read is `work`'s.
"""

import struct
import sys
import threading
from collections.abc import Container
from typing import TYPE_CHECKING, NamedTuple

from daemonlogger_py.errors import DaemonloggerError, FilterError, SourceError
from daemonlogger_py.readers.archive import Directory
from daemonlogger_py.readers.extract.chunk import Chunk
from daemonlogger_py.readers.extract.format import Format, is_scanned
from daemonlogger_py.readers.extract.order import LAST_KEY
from daemonlogger_py.readers.extract.ranges import Ranges, Window
from daemonlogger_py.readers.extract.sidecars import Sidecars
from daemonlogger_py.savefile.catalog_rows import Entry
from daemonlogger_py.savefile.records import parse_file_header

if TYPE_CHECKING:
    from daemonlogger_py.readers.extract.judge import Judge
    from daemonlogger_py.readers.inputs.capture import Input
    from daemonlogger_py.readers.inputs.stopping import Stopping

ETHERNET, MATCHING_MIN = 1, 104  # LINKTYPE_*, pcap-linktype(7)
_HEADER = struct.Struct("=IHHiIII")
_MICROSECONDS, _NANOSECONDS = 0xA1B2C3D4, 0xA1B23C4D
# Ranges of savefiles that are read later, 40 bytes each; beyond that, sidecars are asked again.
KEPT_RANGES = 1_000_000


class Facts(NamedTuple):
    """What an output has to say about the packets of a capture before the first one."""

    linktype: int
    snaplen: int
    nanosecond: bool

    @classmethod
    def of_format(cls, format_: Format) -> "Facts":
        """What a classic savefile's header says."""
        return cls(format_.linktype, format_.snaplen, format_.nanosecond)

    @classmethod
    def of_entry(cls, entry: Entry) -> "Facts | None":
        """What the catalog says of a savefile; None where libpcap may take it for something else.

        Smaller numbers than LINKTYPE_MATCHING_MIN stand for other ones on some systems, but for
        Ethernet's, and a snaplen of none for the largest: pcap-common.c. See `Task.facts_of_entry`.
        """
        same = entry.linktype == ETHERNET or MATCHING_MIN <= entry.linktype <= 0xFFFF
        if not same or not 0 < entry.snaplen <= 0x7FFFFFFF:
            return None
        return cls(entry.linktype, entry.snaplen, entry.nanosecond)

    @classmethod
    def of_input(cls, input_: "Input") -> "Facts":
        """What libpcap says of a capture."""
        header = input_.file_header
        snaplen = int.from_bytes(header[16:20], sys.byteorder)
        linktype = int.from_bytes(header[20:24], sys.byteorder)
        return cls(linktype, snaplen, input_.nanosecond)


class Found(NamedTuple):
    """Packets that match. Among those of one time, the ones of a smaller sequence come first."""

    chunk: Chunk
    sequence: int
    facts: Facts


class Tools:
    """What one thread needs to read, whatever it reads."""

    def __init__(self) -> None:
        self.window = Window()
        self.judges: dict[bytes, Judge] = {}


class Task:
    """What is looked for, the same for all savefiles."""

    def __init__(
        self,
        filter_text: str,
        stopping: "Stopping",
        *,
        from_ns: int | None = None,
        to_ns: int | None = None,
        reverse: bool = False,
        sidecars: Sidecars | None = None,
        scans_all: bool = False,
        named: Container[tuple[str, str]] = (),
    ) -> None:
        self.filter_text = filter_text
        self.stopping = stopping
        self.from_ns = 0 if from_ns is None else max(0, from_ns)
        self.to_ns = LAST_KEY if to_ns is None else max(0, to_ns)
        self.reverse = reverse
        self.span_from_ns = from_ns
        self.span_to_ns = to_ns
        self.sidecars = sidecars
        self.named = named
        """Savefiles that were asked for one by one, by path of the directory and name."""
        self._scans_all = scans_all
        self._lock = threading.Lock()
        self._kept_ranges = 0
        self._facts: dict[Facts, Facts] = {}
        self._formats: dict[bytes, Format | DaemonloggerError] = {}

    def format_of(self, header: bytes) -> Format:
        """How savefiles with this header are read. Raises SourceError and FilterError."""
        found = self._formats.get(header)
        if found is None:
            try:
                found = Format(header, self.filter_text)
            except (SourceError, FilterError) as error:
                found = error
            self._formats[header] = found
        if isinstance(found, DaemonloggerError):
            raise type(found)(str(found))
        return found

    def facts_of(self, format_: Format) -> Facts:
        """What there is to say of packets of this format; the same object each time."""
        return self.shared(Facts.of_format(format_))

    def facts_of_entry(self, entry: Entry) -> Facts | None:
        """What the catalog says of a savefile, as libpcap takes it; None: it would refuse it.

        So no savefile has to be opened for what stands before the first packet of all.
        """
        facts = Facts.of_entry(entry)
        if facts is None:
            magic = _NANOSECONDS if entry.nanosecond else _MICROSECONDS
            try:
                header = _HEADER.pack(magic, 2, 4, 0, 0, entry.snaplen, entry.linktype)
                facts = Facts.of_format(self.format_of(header))
            except (struct.error, SourceError, FilterError):
                return None
        return self.shared(facts)

    def facts_of_header(self, header: bytes) -> Facts | None:
        """What there is to say of a savefile that begins with `header`; None: it would be refused.

        Also of one that libpcap reads: what it says is the same in either byte order.
        """
        found = parse_file_header(header)
        if found is None:
            return None
        if not is_scanned(header):
            magic = _NANOSECONDS if found.nanosecond else _MICROSECONDS
            header = _HEADER.pack(magic, 2, 4, 0, 0, found.snaplen, found.linktype)
        try:
            return self.facts_of(self.format_of(header))
        except (SourceError, FilterError):
            return None

    def shared(self, facts: Facts) -> Facts:
        """Equal facts as one object: there are as many as savefiles."""
        return self._facts.setdefault(facts, facts)

    def reads_all(self, directory: Directory) -> bool:
        """Whether savefiles of `directory` are not left out for their names and times alone.

        Sidecars know better, and who wants none of them wants to be sure.
        """
        return self._scans_all or (self.sidecars is not None and self.sidecars.has(directory))

    def keeps(self, ranges: Ranges | None) -> bool:
        """Whether there is memory to keep ranges of a savefile until it is read."""
        with self._lock:
            self._kept_ranges += 0 if ranges is None else len(ranges)
            return self._kept_ranges <= KEPT_RANGES

    def key(self, early_ns: int, late_ns: int) -> int:
        """The smallest key of packets between these times."""
        return LAST_KEY - late_ns if self.reverse else early_ns

    def last_key(self, early_ns: int, late_ns: int) -> int:
        """The largest one."""
        return LAST_KEY - early_ns if self.reverse else late_ns
