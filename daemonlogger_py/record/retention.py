"""Which savefiles have to go, and why: pure arithmetic on what the ring and the volume say.

Nothing is deleted and no disk is asked here; ``record/prune.py`` does that. A plan takes as many
savefiles as needed and not one more: what each gives back is predicted from its allocated bytes,
so that one look at the volume is enough.

The file being written is never planned. Where limits still do not hold although every savefile
is planned, the plan says which.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from daemonlogger_py.config.recorder import RecorderConfig
from daemonlogger_py.record.ringfile import Savefile

NS_PER_SECOND = 1_000_000_000
VOLUME_FULL = "volume full"

# Percentages are kept to a millionth, so that 99.9 means 99.9 and not its nearest binary fraction.
_PERCENT = 1_000_000


class Savefiles(Protocol):
    """What a plan needs of a ring; ``record.ring.Ring`` is one."""

    @property
    def total_bytes(self) -> int:
        """Bytes in all savefiles, those being written included."""

    def __len__(self) -> int:
        """Count the savefiles, those being written included."""

    def oldest_first(self) -> Iterator[Savefile]:
        """Yield the savefiles that may be pruned by (epoch, serial)."""

    def modified_before(self, cutoff_ns: int) -> Iterator[Savefile]:
        """Yield the savefiles that may be pruned and were last modified before cutoff_ns."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the ring has to keep to; None is no limit, all others hold together."""

    max_files: int | None = None
    """Savefiles, the one being written included."""
    max_percent: float | None = None
    """Of the volume in use, 1 to 100."""
    max_bytes: int | None = None
    """Bytes of all savefiles, with what the one being written may still grow."""
    min_free_bytes: int | None = None
    min_free_percent: float | None = None
    max_age_s: int | None = None
    """Seconds since a savefile was last modified."""

    @property
    def needs_volume(self) -> bool:
        """Whether any limit is about the volume rather than the savefiles."""
        return (self.max_percent, self.min_free_bytes, self.min_free_percent) != (None, None, None)


@dataclass(frozen=True, slots=True)
class Volume:
    """The volume the savefiles are on."""

    total_bytes: int
    free_bytes: int
    """Available to this process: blocks reserved for root count as used."""


@dataclass(frozen=True, slots=True)
class Prune:
    """A savefile that has to go, and the limit that says so, as it stands in the log."""

    savefile: Savefile
    reason: str
    may_wait: bool = True
    """Whether another one would do as well; an age limit is about each savefile."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to prune, oldest first, and the limits that even then do not hold."""

    prunes: tuple[Prune, ...]
    unmet: tuple[str, ...]


def limits_of(config: RecorderConfig) -> Limits:
    """What the ring has to keep to, as asked for."""
    return Limits(
        max_files=config.max_files,
        max_percent=config.max_percent,
        max_bytes=config.max_bytes,
        min_free_bytes=config.min_free_bytes,
        min_free_percent=config.min_free_percent,
        max_age_s=config.max_age,
    )


def plan(
    savefiles: Savefiles,
    limits: Limits,
    volume: Volume | None,
    *,
    reserve_bytes: int,
    now_ns: int,
    opening: int = 0,
    frees_volume: bool = True,
) -> Plan:
    """Plan what has to go for all limits to hold.

    reserve_bytes is what the open file, or the one about to be opened, may still grow; opening is
    the number of files about to be opened (1 before a roll-over, 0 on a timer). volume may be None
    when no limit needs it, else ValueError.

    Without frees_volume (an archive on the same volume) a limit on the volume plans nothing, as
    nothing would be gained; it is then just unmet.
    """
    balance = _Balance(
        files=len(savefiles) + opening,
        ring_bytes=savefiles.total_bytes + reserve_bytes,
        free_bytes=(volume.free_bytes if volume else 0) - reserve_bytes,
    )
    bounds = _bounds(limits, volume)
    helped = [bound for bound in bounds if frees_volume or bound.min_free_bytes is None]
    prunes: list[Prune] = []
    aged: set[str] = set()
    if limits.max_age_s is not None:
        reason = f"older than {_duration(limits.max_age_s)}"
        for savefile in savefiles.modified_before(now_ns - limits.max_age_s * NS_PER_SECOND):
            prunes.append(Prune(savefile, reason, may_wait=False))
            aged.add(savefile.name)
            balance.give_up(savefile, frees_volume=frees_volume)
    if any(bound.broken(balance) for bound in helped):
        for savefile in savefiles.oldest_first():
            broken = next((bound for bound in helped if bound.broken(balance)), None)
            if broken is None:
                break
            if savefile.name not in aged:
                prunes.append(Prune(savefile, broken.reason))
                balance.give_up(savefile, frees_volume=frees_volume)
    prunes.sort(key=lambda prune: prune.savefile)
    return Plan(tuple(prunes), tuple(bound.reason for bound in bounds if bound.broken(balance)))


def plan_space(savefiles: Savefiles, wanted_bytes: int) -> Plan:
    """Plan what has to go for the volume to get wanted_bytes back now, whatever the limits."""
    prunes: list[Prune] = []
    missing_bytes = wanted_bytes
    if missing_bytes > 0:
        for savefile in savefiles.oldest_first():
            prunes.append(Prune(savefile, VOLUME_FULL))
            missing_bytes -= savefile.allocated_bytes
            if missing_bytes <= 0:
                break
    return Plan(tuple(prunes), (VOLUME_FULL,) if missing_bytes > 0 else ())


def allowance(limits: Limits, volume: Volume | None) -> int | None:
    """Return the bytes the ring may ever use, were its volume otherwise empty; None: no limit.

    Never below 0. A roll size above this can never be met. ValueError as for ``plan()``.
    """
    ceilings = [] if limits.max_bytes is None else [limits.max_bytes]
    if limits.needs_volume:
        total_bytes = _required(volume).total_bytes
        ceilings += [total_bytes - floor for _, floor in _free_floors(limits, total_bytes)]
    return max(0, min(ceilings)) if ceilings else None


def names_of(limits: Limits, volume: Volume | None) -> list[str]:
    """Name the limits as plans name them. ValueError as for ``plan()``."""
    names = [bound.reason for bound in _bounds(limits, volume)]
    if limits.max_age_s is not None:
        names.append(f"older than {_duration(limits.max_age_s)}")
    return names


def room(
    limits: Limits,
    volume: Volume,
    *,
    files: int,
    ring_bytes: int,
    open_bytes: int,
    roll_bytes: int,
) -> int:
    """Return about how many bytes may still be written before the oldest savefile has to go.

    That is at a roll-over, where there has to be room for a whole savefile of roll_bytes more;
    files and ring_bytes include the one being written, which holds open_bytes. An age limit, which
    bytes say nothing of, is left aside.
    """
    usual_bytes = roll_bytes
    if files > 1:
        # Rolled over by time, savefiles are as large as they have been, and not as they may be.
        usual_bytes = min(roll_bytes, (ring_bytes - open_bytes) // (files - 1))
    until_roll_bytes = max(0, usual_bytes - open_bytes)
    left = [volume.free_bytes]
    if limits.max_bytes is not None:
        left.append(limits.max_bytes - roll_bytes - ring_bytes)
    if limits.max_files is not None:
        left.append(until_roll_bytes + (limits.max_files - files) * usual_bytes)
    left += [
        volume.free_bytes - floor - roll_bytes
        for _, floor in _free_floors(limits, volume.total_bytes)
    ]
    return min(volume.free_bytes, max(until_roll_bytes, min(left)))


def must_stay_free(total: int, max_percent: float) -> int:
    """Return how many of total (bytes or blocks) stay free when max_percent may be used.

    Rounded up, as the original prints it: 65 % of 1903879 blocks leaves 666358 free.
    """
    return _share(total, 100 * _PERCENT - round(max_percent * _PERCENT))


@dataclass(slots=True)
class _Balance:
    """The figures limits are about, as they would be with what is planned so far gone."""

    files: int
    ring_bytes: int
    free_bytes: int

    def give_up(self, savefile: Savefile, *, frees_volume: bool) -> None:
        self.files -= 1
        self.ring_bytes -= savefile.size_bytes
        if frees_volume:
            self.free_bytes += savefile.allocated_bytes


@dataclass(frozen=True, slots=True)
class _Bound:
    """One limit as bounds on a balance, and how it is called in the log."""

    reason: str
    max_files: int | None = None
    max_ring_bytes: int | None = None
    min_free_bytes: int | None = None

    def broken(self, balance: _Balance) -> bool:
        return (
            (self.max_files is not None and balance.files > self.max_files)
            or (self.max_ring_bytes is not None and balance.ring_bytes > self.max_ring_bytes)
            or (self.min_free_bytes is not None and balance.free_bytes < self.min_free_bytes)
        )


def _bounds(limits: Limits, volume: Volume | None) -> list[_Bound]:
    bounds = []
    if limits.max_files is not None:
        bounds.append(_Bound(f"max files {limits.max_files}", max_files=limits.max_files))
    if limits.max_bytes is not None:
        reason = f"max bytes {_size(limits.max_bytes)}"
        bounds.append(_Bound(reason, max_ring_bytes=limits.max_bytes))
    if limits.needs_volume:
        total_bytes = _required(volume).total_bytes
        bounds += [
            _Bound(reason, min_free_bytes=floor)
            for reason, floor in _free_floors(limits, total_bytes)
        ]
    return bounds


def _free_floors(limits: Limits, total_bytes: int) -> list[tuple[str, int]]:
    floors = []
    if limits.max_percent is not None:
        floor = must_stay_free(total_bytes, limits.max_percent)
        floors.append((f"{limits.max_percent:g}% max disk utilization", floor))
    if limits.min_free_bytes is not None:
        floors.append((f"min free {_size(limits.min_free_bytes)}", limits.min_free_bytes))
    if limits.min_free_percent is not None:
        floor = _share(total_bytes, round(limits.min_free_percent * _PERCENT))
        floors.append((f"min free {limits.min_free_percent:g}%", floor))
    return floors


def _required(volume: Volume | None) -> Volume:
    if volume is None:
        raise ValueError("these limits need the volume's figures")
    return volume


def _share(total: int, millionths_of_percent: int) -> int:
    return -(-total * millionths_of_percent // (100 * _PERCENT))


def _size(size_bytes: int) -> str:
    for suffix, shift in (("t", 40), ("g", 30), ("m", 20), ("k", 10)):
        if size_bytes and size_bytes % (1 << shift) == 0:
            return f"{size_bytes >> shift}{suffix}"
    return f"{size_bytes}"


def _duration(seconds: int) -> str:
    for suffix, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{suffix}"
    return f"{seconds}s"
