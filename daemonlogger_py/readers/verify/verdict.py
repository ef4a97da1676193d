"""What was found of one savefile or of one catalog, as a line of text and as a JSON object."""

import json
import time
from dataclasses import asdict, dataclass
from typing import Self

from daemonlogger_py.readers.figures import counted
from daemonlogger_py.savefile.names import printable
from daemonlogger_py.savefile.records import Walk

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found in one savefile; times are nanoseconds since 1970, None without packets."""

    path: str
    packets: int = 0
    size_bytes: int = 0
    end_offset: int = 0  # byte offset behind the last whole record
    first_ns: int | None = None  # of the first record
    last_ns: int | None = None  # of the last one
    damage: str | None = None  # None: records are whole
    faults: tuple[str, ...] = ()  # what does not agree with the catalog and the index
    note: str | None = None  # what else there is to say, or what was done about it

    @classmethod
    def of_walk(
        cls, path: str, found: Walk, *, faults: tuple[str, ...] = (), note: str | None = None
    ) -> Self:
        """Say what walking its records found."""
        return cls(
            path,
            packets=found.packets,
            size_bytes=found.size_bytes,
            end_offset=found.end_offset,
            first_ns=found.first_ns if found.packets else None,
            last_ns=found.last_ns if found.packets else None,
            damage=found.damage,
            faults=faults,
            note=note,
        )

    @property
    def whole(self) -> bool:
        """Whether the file holds whole records to its end, and is what it is said to be."""
        return self.damage is None and not self.faults

    def text(self) -> str:
        """The line for people."""
        # A name is whatever the disk holds: a terminal must not obey what is in it.
        parts = [counted(self.packets, "packet").replace(",", "")]
        if self.first_ns is not None and self.last_ns is not None:
            parts.append(f"{_utc(self.first_ns)} to {_utc(self.last_ns)}")
        if self.damage is not None or not self.faults:
            parts.append(self.damage or "whole")
        parts += map(printable, self.faults)
        if self.note is not None:
            parts.append(self.note)
        return f"{printable(self.path)}: {', '.join(parts)}"

    def as_json(self) -> str:
        """The line for programs; `faults` and `note` are in it where there are any."""
        fields = asdict(self)
        for name in ("faults", "note"):
            if not fields[name]:
                del fields[name]
        return json.dumps(fields | {"whole": self.whole})


@dataclass(frozen=True, slots=True)
class CatalogVerdict:
    """What was found in one catalog, or how it was made anew."""

    path: str
    faults: tuple[str, ...] = ()
    note: str | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.faults

    def text(self) -> str:
        """The line for people."""
        shown = printable(self.path)
        said = [printable(fault.removeprefix(f"{shown}: ")) for fault in self.faults]
        if self.note is not None:
            said.append(self.note)
        return f"{shown}: {'; '.join(said) or 'nothing is wrong with the catalog'}"

    def as_json(self) -> str:
        """The line for programs."""
        fields: dict[str, object] = {"path": self.path, "faults": list(self.faults)}
        if self.note is not None:
            fields["note"] = self.note
        return json.dumps(fields | {"whole": self.whole})


def _utc(time_ns: int) -> str:
    seconds, fraction_ns = divmod(time_ns, _NS)
    fraction = f"{fraction_ns:09d}" if fraction_ns % 1000 else f"{fraction_ns // 1000:06d}"
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{fraction}Z"
