"""What ``dlctl ls`` shows of one savefile and of one gap: to people, to programs, as JSON.

People see a table of at most 80 columns where names allow it: times of a day under its date, short
sizes. Programs see all of it in every line, as numbers, and "-" for what is not known.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Self

from daemonlogger_py.readers.archive import Member
from daemonlogger_py.readers.figures import short_size, utc
from daemonlogger_py.readers.inputs.ring import first_packet_ns
from daemonlogger_py.readers.tables import Column, Row
from daemonlogger_py.savefile.catalog_rows import Gap, Pin
from daemonlogger_py.savefile.names import printable
from daemonlogger_py.savefile.pinned import Pins, holds

FOR_PEOPLE = (
    Column("savefile", folds=True),
    Column("state"),
    Column("from"),
    Column("to"),
    Column("packets", right=True),
    Column("bytes", right=True),
    Column("drops", right=True),
    Column("pin"),
)
FOR_PROGRAMS = (*FOR_PEOPLE[:-1], Column("pinned"), Column("note"))
_SECOND_NS = 1_000_000_000
_DAY_NS = 86_400 * _SECOND_NS
_MOST_PINS_SHOWN = 3
_UNKNOWN = "-"
UNWALKED = "damaged or of another format: there may be other packets in it"
_STYLES = {"open": "green", "recovered": "yellow", "unknown": "dim"}
_ENTRY_FIELDS = (
    "packets", "last_ns", "ordered", "opened_ns", "sealed_ns", "dropped", "lost", "why", "position",
    "run", "linktype", "snaplen", "nanosecond",
)  # fmt: skip


class Listed(NamedTuple):
    """A savefile, when its first packet was received, and the pins that hold it."""

    member: Member
    first_ns: int | None
    pins: tuple[int, ...]

    @classmethod
    def of(cls, member: Member, pins: Sequence[Pin], together: Pins) -> Self:
        """Find out what the catalog, or the first record, says; `together` are all `pins`."""
        entry = member.entry
        if entry is not None:
            first_ns = entry.first_ns
        else:
            first_ns = first_packet_ns(member.directory.dir_fd, member.name)
        if not together.cover(member):  # nearly always, and one by one they may be many
            return cls(member, first_ns, ())
        holding = (
            pin.number
            for pin in pins
            if holds(pin.from_ns, pin.to_ns, member.epoch, member.modified_ns)
        )
        return cls(member, first_ns, tuple(holding))

    @property
    def begin_ns(self) -> int:
        """When it began, as far as that is known: gaps stand where they belong."""
        if self.first_ns is not None:
            return self.first_ns
        if self.member.directory.prefix is None:  # there is no time in its name
            return self.member.modified_ns
        return self.member.epoch * _SECOND_NS

    @property
    def last_ns(self) -> int | None:
        """When its latest packet was received."""
        return None if self.member.entry is None else self.member.entry.last_ns

    @property
    def drops(self) -> int | None:
        """What is missing of it, by whoever's fault."""
        entry = self.member.entry
        return None if entry is None else entry.dropped + entry.lost


def rows_for_people(things: Iterable[Listed | Gap]) -> Iterator[Row]:
    """A row a thing, and one with the date before the first of each day."""
    day = None
    for thing in things:
        begin_ns = thing.from_ns if isinstance(thing, Gap) else thing.begin_ns
        if begin_ns // _DAY_NS != day:
            day = begin_ns // _DAY_NS
            yield Row((f"{utc(begin_ns)[:10]} UTC", *([""] * (len(FOR_PEOPLE) - 1))), "bold")
        yield _gap_for_people(thing, day) if isinstance(thing, Gap) else _for_people(thing, day)


def rows_for_programs(things: Iterable[Listed | Gap], *, paths: bool) -> Iterator[Row]:
    """A row a thing, with its path instead of its name if `paths`."""
    for thing in things:
        if isinstance(thing, Gap):
            yield _gap_for_programs(thing)
        else:
            yield _for_programs(thing, paths=paths)


def json_line(thing: Listed | Gap) -> str:
    """One JSON object; bytes of a path that are no UTF-8 come as lone surrogates, escaped."""
    if isinstance(thing, Gap):
        return json.dumps({"type": "gap"} | thing._asdict())
    member, entry = thing.member, thing.member.entry
    return json.dumps(
        {
            "type": "savefile",
            "path": os.path.join(member.directory.path, member.name),
            "name": member.name,
            "state": member.state,
            "epoch": member.epoch,
            "serial": member.serial,
            "size_bytes": member.size_bytes,
            "modified_ns": member.modified_ns,
            "in_catalog": entry is not None,
            "first_ns": thing.first_ns,
            **{name: getattr(entry, name, None) for name in _ENTRY_FIELDS},
            "sha256": entry.sha256.hex() if entry is not None and entry.sha256 else None,
            "pins": thing.pins,
        }
    )


def _for_people(thing: Listed, day: int) -> Row:
    member, entry = thing.member, thing.member.entry
    return Row(
        (
            printable(member.name),
            member.state,
            _clock(thing.first_ns, day),
            _clock(thing.last_ns, day),
            _UNKNOWN if entry is None else f"{entry.packets:,}",
            short_size(member.size_bytes),
            _UNKNOWN if thing.drops is None else f"{thing.drops:,}",
            _pin_numbers(thing.pins),
        ),
        "yellow" if thing.drops or _is_unwalked(member) else _STYLES.get(member.state, ""),
    )


def _gap_for_people(gap: Gap, day: int) -> Row:
    what = gap.kind.replace("_", " ")
    return Row(
        (
            f"{what}: {printable(gap.detail)}" if gap.detail else what,
            "gap",
            _clock(gap.from_ns, day),
            _clock(gap.to_ns, day),
            "",
            "",
            "" if gap.packets is None else f"{gap.packets:,}",
            "",
        ),
        "red",
    )


def _for_programs(thing: Listed, *, paths: bool) -> Row:
    member, entry = thing.member, thing.member.entry
    return Row(
        (
            member.shown if paths else printable(member.name),
            member.state,
            _time(thing.first_ns),
            _time(thing.last_ns),
            _number(None if entry is None else entry.packets),
            str(member.size_bytes),
            _number(thing.drops),
            _pin_numbers(thing.pins) or _UNKNOWN,
            _note(member),
        )
    )


def _is_unwalked(member: Member) -> bool:
    return member.entry is not None and not member.entry.walked


def _note(member: Member) -> str:
    if member.entry is None:
        return "" if member.state == "open" else "not in the catalog"
    return UNWALKED if _is_unwalked(member) else ""


def _gap_for_programs(gap: Gap) -> Row:
    return Row(
        (
            f"({gap.kind})",
            "gap",
            _time(gap.from_ns),
            _time(gap.to_ns),
            _UNKNOWN,
            _UNKNOWN,
            _number(gap.packets),
            _UNKNOWN,
            printable(gap.detail),
        )
    )


def _clock(time_ns: int | None, day: int) -> str:
    """The time of the day, and how many days later that is."""
    if time_ns is None:
        return _UNKNOWN
    later = time_ns // _DAY_NS - day
    return utc(time_ns)[11:19] + (f"{later:+}d" if later else "")


def _time(time_ns: int | None) -> str:
    return _UNKNOWN if time_ns is None else utc(time_ns)


def _number(number: int | None) -> str:
    return _UNKNOWN if number is None else str(number)


def _pin_numbers(pins: Sequence[int]) -> str:
    shown = ",".join(map(str, pins[:_MOST_PINS_SHOWN]))
    more = len(pins) - _MOST_PINS_SHOWN
    return f"{shown},+{more}" if more > 0 else shown
