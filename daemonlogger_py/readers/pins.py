"""``dlctl pin``, ``unpin`` and ``pins``: spans of time that the recorder of a ring does not prune.

Pins are rows of the ring's catalog, which the recorder reads at the next roll-over. Which savefiles
a pin holds is `savefile.pinned`'s to say. A pin that would hold more than the quota is refused.
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from daemonlogger_py.config.archive import PinConfig, PinsConfig, UnpinConfig, Where
from daemonlogger_py.errors import CatalogError, UsageError
from daemonlogger_py.readers.archive import Archive, Directory, Member
from daemonlogger_py.readers.figures import counted, short_size, size, utc
from daemonlogger_py.readers.output import write_lines
from daemonlogger_py.readers.tables import Column, Row, on_terminal, show
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import END_NS, Pin
from daemonlogger_py.savefile.pinned import holds

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


class Held(NamedTuple):
    """What pins hold of a ring."""

    savefiles: int = 0
    size_bytes: int = 0


def run(config: PinConfig | UnpinConfig | PinsConfig) -> int:
    """Pin, unpin or show pins, and return the exit status. Raises UsageError and CatalogError."""
    where = Where(rings=(config.ring,), prefix=config.prefix)
    with Archive(where) as archive:
        (directory,) = archive.directories
        members = archive.members()
        if isinstance(config, PinsConfig):
            with _catalog(directory, write=False) as catalog:
                _show(catalog, members, as_json=config.json)
        elif isinstance(config, PinConfig):
            with _catalog(directory, write=True) as catalog:
                write_lines(_pin(catalog, members, config))
        else:
            with _catalog(directory, write=True) as catalog:
                write_lines(_unpin(catalog, members, config.numbers))
    return 0


def held(members: Iterable[Member], pins: Sequence[tuple[int, int]]) -> Held:
    """What the spans `pins`, each (from_ns, to_ns), hold of `members`; each savefile once."""
    sizes = [
        member.size_bytes
        for member in members
        if any(holds(*span, member.epoch, member.modified_ns) for span in pins)
    ]
    return Held(len(sizes), sum(sizes))


def _catalog(directory: Directory, *, write: bool) -> Catalog:
    path = os.path.join(directory.path, f"{directory.prefix}.catalog")
    if not os.path.lexists(path):
        raise CatalogError(
            f"{path}: not there, and pins are kept in it; a recorder makes it, as does dlctl verify"
            " --rebuild"
        )
    return Catalog.open(path, write=write)


def _pin(catalog: Catalog, members: Sequence[Member], config: PinConfig) -> list[str]:
    with catalog.transaction():
        spans = [(pin.from_ns, pin.to_ns) for pin in catalog.pins()]
        quota_bytes = catalog.pin_quota_bytes()
        if config.quota_bytes is not None:
            quota_bytes = config.quota_bytes or None
            catalog.set_pin_quota_bytes(quota_bytes)
        before = held(members, spans)
        if config.from_ns is None or config.to_ns is None:
            return [_total(before, quota_bytes)]
        new = (config.from_ns, config.to_ns)
        together = held(members, [*spans, new])
        if quota_bytes is not None and together.size_bytes > quota_bytes:
            raise UsageError(
                f"not pinned: pins hold {_exactly(before.size_bytes)}, and would hold"
                f" {_exactly(together.size_bytes)}; accepted: at most the quota of"
                f" {_exactly(quota_bytes)}"
            )
        pin = catalog.pin(*new, config.reason, time.time_ns())
    return [f"pin {pin.number}: {_holds(held(members, [new]))}", _total(together, quota_bytes)]


def _unpin(catalog: Catalog, members: Sequence[Member], numbers: Sequence[int]) -> list[str]:
    with catalog.transaction():
        known = {pin.number: pin for pin in catalog.pins()}
        for number in numbers:
            if number not in known:
                accepted = ", ".join(map(str, known)) or "nothing, as there are no pins"
                raise UsageError(f"pin {number}: not there; accepted: {accepted}")
        removed = [known[number] for number in numbers or known]
        for pin in removed:
            catalog.unpin(pin.number)
        left = [(pin.from_ns, pin.to_ns) for pin in catalog.pins()]
        quota_bytes = catalog.pin_quota_bytes()
    lines = [
        f"pin {pin.number} removed: {_shown(pin.reason)}; {_holds(_held_by(members, pin))}"
        for pin in removed
    ]
    return [*lines, _total(held(members, left), quota_bytes)]


def _show(catalog: Catalog, members: Sequence[Member], *, as_json: bool) -> None:
    pins = catalog.pins()
    together = held(members, [(pin.from_ns, pin.to_ns) for pin in pins])
    quota_bytes = catalog.pin_quota_bytes()
    if as_json:
        write_lines(_json_lines(pins, members, together, quota_bytes))
        return
    if pins and on_terminal():
        show(FOR_PEOPLE, [_for_people(pin, _held_by(members, pin)) for pin in pins])
    elif pins:
        show(FOR_PROGRAMS, [_for_programs(pin, _held_by(members, pin)) for pin in pins])
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
    pins: Sequence[Pin], members: Sequence[Member], together: Held, quota_bytes: int | None
) -> Iterator[str]:
    import json

    for pin in pins:
        yield json.dumps(pin._asdict() | _held_by(members, pin)._asdict())
    yield json.dumps({"pins": len(pins)} | together._asdict() | {"quota_bytes": quota_bytes})


def _held_by(members: Sequence[Member], pin: Pin) -> Held:
    return held(members, [(pin.from_ns, pin.to_ns)])


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
