"""``dlctl pin``, ``unpin`` and ``pins``: spans of time that the recorder of a ring does not prune.

Pins are rows of the ring's catalog, which the recorder reads at the next roll-over. Which savefiles
a pin holds is `savefile.pinned`'s to say. A pin that would hold more than the quota is refused.
"""

import os
import time
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple, Self

from daemonlogger_py.config.archive import PinConfig, PinsConfig, UnpinConfig, Where
from daemonlogger_py.errors import CatalogError, SourceError, UsageError
from daemonlogger_py.readers.archive import Archive, Directory, Member
from daemonlogger_py.readers.asides import NO_ASIDES, Asides, asides
from daemonlogger_py.readers.figures import counted, short_size, size, utc
from daemonlogger_py.readers.output import write_lines
from daemonlogger_py.readers.tables import Column, Row, on_terminal, show
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import END_NS, LARGEST, Pin
from daemonlogger_py.savefile.names import CATALOG, printable
from daemonlogger_py.savefile.pinned import earliest_ns, latest_ns, merged

FOR_PEOPLE = (
    Column("pin", right=True),
    Column("from"),
    Column("to"),
    Column("files", right=True),
    Column("bytes", right=True),
    Column("reason", folds=True),
)
FOR_PROGRAMS = (
    *FOR_PEOPLE[:3],
    Column("savefiles", right=True),
    Column("bytes", right=True),
    Column("pinned"),
    Column("reason"),
)


Span = tuple[int, int]  # [from_ns, to_ns), since 1970


class Held(NamedTuple):
    """What pins hold of a ring."""

    savefiles: int = 0
    size_bytes: int = 0

    def without(self, other: Self) -> Self:
        """What is left without `other`, which is part of it."""
        return self._replace(
            savefiles=self.savefiles - other.savefiles,
            size_bytes=self.size_bytes - other.size_bytes,
        )


def run(config: PinConfig | UnpinConfig | PinsConfig) -> int:
    """Pin, unpin or show pins, and return the exit status. Raises UsageError and CatalogError."""
    where = Where(rings=(config.ring,), prefix=config.prefix)
    with Archive(where, required=True) as archive:
        (directory,) = archive.directories
        savefiles = Savefiles(archive.members_of(directory), _asides(directory))
        if isinstance(config, PinsConfig):
            with _catalog(directory, write=False) as catalog:
                _show(catalog, savefiles, as_json=config.json)
        elif isinstance(config, PinConfig):
            with _catalog(directory, write=True) as catalog:
                write_lines(_pin(catalog, savefiles, config))
        else:
            with _catalog(directory, write=True) as catalog:
                write_lines(_unpin(catalog, savefiles, config.numbers))
    return 0


class Savefiles:
    """What pins go by, of each of `members`: 24 bytes a savefile, as a ring may have very many.

    What repairs keep `beside` them counts as the recorder counts it: with its savefile, and without
    one as a savefile.

    However many pins are asked about at once, the savefiles are gone through once.
    """

    def __init__(self, members: Iterable[Member], beside: Asides = NO_ASIDES) -> None:
        # What they may hold begins and ends then.
        self._earliest_ns = array("q")
        self._latest_ns = array("q")
        self._sizes_bytes = array("q")
        for member in members:
            size_bytes = member.size_bytes + beside.sizes_bytes.get(member.name, 0)
            self._add(member.epoch, member.modified_ns, size_bytes)
        for alone in beside.alone:
            self._add(*alone)

    def _add(self, epoch: int, modified_ns: int, size_bytes: int) -> None:
        # Spans of pins end before what does not fit.
        self._earliest_ns.append(min(earliest_ns(epoch, modified_ns), LARGEST))
        self._latest_ns.append(min(latest_ns(epoch, modified_ns), LARGEST))
        self._sizes_bytes.append(size_bytes)

    def held(self, pins: Iterable[Span]) -> Held:
        """What all the spans together hold of them; each savefile once."""
        spans = merged(pins)
        ends = [to_ns for _, to_ns in spans]
        savefiles = size_bytes = 0
        for first_ns, last_ns, its_bytes in self._each():
            at = bisect_right(ends, first_ns)
            if at < len(spans) and spans[at][0] <= last_ns:
                savefiles += 1
                size_bytes += its_bytes
        return Held(savefiles, size_bytes)

    def held_by_each(self, pins: Sequence[Span]) -> list[Held]:
        """What each of the spans holds of them, in their order; an empty one holds nothing."""
        before_ends = _Below(to_ns for _, to_ns in pins)
        before_beginnings = _Below(from_ns for from_ns, _ in pins)
        for first_ns, last_ns, its_bytes in self._each():
            before_ends.add(first_ns, its_bytes)
            before_beginnings.add(last_ns, its_bytes)
        begun, over = before_ends.sums(), before_beginnings.sums()
        return [
            begun[to_ns].without(over[from_ns]) if from_ns < to_ns else Held()
            for from_ns, to_ns in pins
        ]

    def _each(self) -> Iterator[tuple[int, int, int]]:
        return zip(self._earliest_ns, self._latest_ns, self._sizes_bytes, strict=True)


class _Below:
    """Counts savefiles, and their bytes, below each of some bounds."""

    def __init__(self, bounds: Iterable[int]) -> None:
        self._bounds = sorted(set(bounds))
        # Each between two bounds; the last above all of them.
        self._savefiles = [0] * (len(self._bounds) + 1)
        self._sizes_bytes = [0] * (len(self._bounds) + 1)

    def add(self, value: int, size_bytes: int) -> None:
        """Count a savefile for the bounds above `value`."""
        at = bisect_right(self._bounds, value)
        self._savefiles[at] += 1
        self._sizes_bytes[at] += size_bytes

    def sums(self) -> dict[int, Held]:
        """What was counted for each bound."""
        counts = map(Held, accumulate(self._savefiles), accumulate(self._sizes_bytes))
        return dict(zip(self._bounds, counts, strict=False))


def _asides(directory: Directory) -> Asides:
    try:
        return asides(directory.dir_fd, directory.prefix or "")
    except OSError as error:
        raise SourceError(f"{directory.shown}: {error.strerror}") from None


def _catalog(directory: Directory, *, write: bool) -> Catalog:
    path = os.path.join(directory.path, f"{directory.prefix}{CATALOG}")
    if not os.path.lexists(path):
        raise CatalogError(
            f"{printable(path)}: not there, and pins are kept in it; a recorder makes it, as does"
            " dlctl verify --rebuild"
        )
    return Catalog.open(path, write=write)


def _pin(catalog: Catalog, savefiles: Savefiles, config: PinConfig) -> list[str]:
    with catalog.transaction():
        spans = _spans(catalog.pins())
        quota_bytes = catalog.pin_quota_bytes()
        if config.quota_bytes is not None:
            quota_bytes = config.quota_bytes or None
            catalog.set_pin_quota_bytes(quota_bytes)
        before = savefiles.held(spans)
        if config.from_ns is None or config.to_ns is None:
            return [_total(before, quota_bytes)]
        new = (config.from_ns, config.to_ns)
        together = savefiles.held([*spans, new])
        if quota_bytes is not None and together.size_bytes > quota_bytes:
            raise UsageError(
                f"not pinned: pins hold {_exactly(before.size_bytes)}, and would hold"
                f" {_exactly(together.size_bytes)}; accepted: at most the quota of"
                f" {_exactly(quota_bytes)}"
            )
        pin = catalog.pin(*new, config.reason, time.time_ns())
    return [f"pin {pin.number}: {_holds(savefiles.held([new]))}", _total(together, quota_bytes)]


def _unpin(catalog: Catalog, savefiles: Savefiles, numbers: Sequence[int]) -> list[str]:
    with catalog.transaction():
        known = {pin.number: pin for pin in catalog.pins()}
        for number in numbers:
            if number not in known:
                accepted = ", ".join(map(str, known)) or "nothing, as there are no pins"
                raise UsageError(f"pin {number}: not there; accepted: {accepted}")
        removed = [known[number] for number in numbers or known]
        for pin in removed:
            catalog.unpin(pin.number)
        left = _spans(catalog.pins())
        quota_bytes = catalog.pin_quota_bytes()
    lines = [
        f"pin {pin.number} removed: {_shown(pin.reason)}; {_holds(holding)}"
        for pin, holding in zip(removed, savefiles.held_by_each(_spans(removed)), strict=True)
    ]
    return [*lines, _total(savefiles.held(left), quota_bytes)]


def _show(catalog: Catalog, savefiles: Savefiles, *, as_json: bool) -> None:
    pins = catalog.pins()
    spans = _spans(pins)
    together = savefiles.held(spans)
    holding = savefiles.held_by_each(spans)
    quota_bytes = catalog.pin_quota_bytes()
    if as_json:
        write_lines(_json_lines(pins, holding, together, quota_bytes))
        return
    if pins and on_terminal():
        show(FOR_PEOPLE, map(_for_people, pins, holding))
    elif pins:
        show(FOR_PROGRAMS, map(_for_programs, pins, holding))
    write_lines([_total(together, quota_bytes)])


def _for_people(pin: Pin, holding: Held) -> Row:
    from_text, to_text = utc(pin.from_ns), _end(pin)
    if from_text[:11] == to_text[:11]:
        to_text = to_text[11:]  # of the same day
    return Row(
        (
            str(pin.number),
            from_text,
            to_text,
            f"{holding.savefiles:,}",
            short_size(holding.size_bytes),
            _shown(pin.reason),
        )
    )


def _for_programs(pin: Pin, holding: Held) -> Row:
    return Row(
        (
            str(pin.number),
            utc(pin.from_ns),
            _end(pin),
            str(holding.savefiles),
            str(holding.size_bytes),
            utc(pin.created_ns),
            _shown(pin.reason),
        )
    )


def _end(pin: Pin) -> str:
    return "-" if pin.to_ns == END_NS else utc(pin.to_ns)


def _json_lines(
    pins: Sequence[Pin], holding: Sequence[Held], together: Held, quota_bytes: int | None
) -> Iterator[str]:
    import json

    for pin, its in zip(pins, holding, strict=True):
        yield json.dumps(pin._asdict() | its._asdict())
    yield json.dumps({"pins": len(pins)} | together._asdict() | {"quota_bytes": quota_bytes})


def _spans(pins: Iterable[Pin]) -> list[Span]:
    return [(pin.from_ns, pin.to_ns) for pin in pins]


def _holds(holding: Held) -> str:
    if not holding.savefiles:
        return "no savefile of the ring is of that span"
    return f"{counted(holding.savefiles, 'savefile')}, {size(holding.size_bytes)}"


def _total(together: Held, quota_bytes: int | None) -> str:
    line = f"pins hold {counted(together.savefiles, 'savefile')}, {size(together.size_bytes)}"
    if quota_bytes is None:
        return f"{line}; no quota"
    over = ", which is exceeded" if together.size_bytes > quota_bytes else ""
    return f"{line}; quota {size(quota_bytes)}{over}"


def _exactly(size_bytes: int) -> str:
    return f"{size(size_bytes)} ({size_bytes} bytes)"


def _shown(reason: str) -> str:
    return reason if reason.isprintable() else repr(reason)
