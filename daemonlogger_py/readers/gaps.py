"""What readers say of what was not recorded, and the gap that nobody could write down.

"Nothing matched" and "we were not recording" are different answers: every reader prints the gaps of
the span it covers. Which these are, the ledger in the catalog says; `archive` asks it.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from daemonlogger_py.errors import SourceError
from daemonlogger_py.readers.figures import counted, utc
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_end import ends
from daemonlogger_py.savefile.catalog_rows import Gap, Run
from daemonlogger_py.savefile.names import CATALOG, SOCKET, Naming
from daemonlogger_py.savefile.strays import parted

if TYPE_CHECKING:
    from daemonlogger_py.config.archive import Where
    from daemonlogger_py.readers.archive import Directory

MOST_LINES = 20
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_ANSWER_S = 1.0

_NOT_RECORDED = "not recorded"
# What a kind means for the packets of its span, and what it is called.
MEANING = {
    "stopped": (_NOT_RECORDED, "stopped"),
    "crashed": (_NOT_RECORDED, "the recorder was killed"),
    "dropped": ("incomplete", "dropped by the kernel"),
    "lost": ("incomplete", "lost by the recorder"),
    "disk_stalled": ("perhaps incomplete", "the disk stalled"),
    "disk_full": (_NOT_RECORDED, "the disk was full"),
    "interface_down": (_NOT_RECORDED, "the interface was down"),
    "clock_stepped": ("times are not to be relied on", "the clock was set"),
    "unknown": ("not known what was recorded", ""),
}


def is_unrecorded(gap: Gap) -> bool:
    """Whether nothing of its span was recorded: neither some of it, nor perhaps all."""
    what, _ = MEANING.get(gap.kind, (_NOT_RECORDED, gap.kind))
    return what == _NOT_RECORDED and gap.packets is None


class Untold:
    """Which gaps nobody was told of yet; keeps three numbers a ring, whatever comes."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}  # of a directory, by its place -> the highest one told
        self._ended: dict[int, int] = {}  # -> the last run of which that was told
        self._unwritten: dict[int, int] = {}  # -> when the last one began that no row has

    def of(self, gaps: Sequence[tuple["Directory", Gap]]) -> list[tuple["Directory", Gap]]:
        """Those of `gaps` that are new, and from now on are told.

        That a recorder ended may be known before it is written down, which may be done with
        another time: it is told once a run.
        """
        before = dict(self._numbers)
        found: list[tuple[Directory, Gap]] = []
        for directory, gap in gaps:
            place = id(directory)
            is_new = gap.number > before.get(place, 0) or not gap.number
            self._numbers[place] = max(self._numbers.get(place, 0), gap.number)
            if gap.kind in ("crashed", "stopped") and gap.run is not None:
                is_new = is_new and self._ended.get(place) != gap.run
                self._ended[place] = max(gap.run, self._ended.get(place, 0))
            elif not gap.number:
                is_new = gap.from_ns > self._unwritten.get(place, -1)
                self._unwritten[place] = max(gap.from_ns, self._unwritten.get(place, -1))
            if is_new:
                found.append((directory, gap))
        return found


def gap_lines(gaps: Sequence[tuple["Directory", Gap]], *, several: bool | None = None) -> list[str]:
    """What readers say of gaps on standard error, a line each, at most MOST_LINES.

    For instance ``[!] not recorded 2026-11-21T14:00:01Z to 14:02:11Z: stopped (SIGTERM)``.
    `several`: say in which ring; default: if they are not all of one.
    """
    if several is None:
        several = len({(directory.path, directory.prefix) for directory, _ in gaps}) > 1
    shown = gaps if len(gaps) <= MOST_LINES else gaps[: MOST_LINES - 1]
    lines = [_line(directory if several else None, gap) for directory, gap in shown]
    if len(shown) < len(gaps):
        more = len(gaps) - len(shown)
        lines.append(f"[!] and {counted(more, 'gap')} more: dlctl ls lists them")
    return lines


def ring_lines(ring: str, prefix: str | None, from_ns: int | None, to_ns: int | None) -> list[str]:
    """What a reader of packets says before it reads a span of a `ring`. Raises UsageError."""
    from daemonlogger_py.config.archive import Where

    return _lines_of(Where(rings=(ring,), prefix=prefix, from_ns=from_ns, to_ns=to_ns))


def directory_lines(paths: Sequence[str], from_ns: int | None, to_ns: int | None) -> list[str]:
    """`ring_lines` of all rings in those of `paths` that are directories; of others, nothing."""
    from daemonlogger_py.config.archive import Where

    rings = [path for path in paths if os.path.isdir(path)]
    if not rings:
        return []
    try:
        return _lines_of(Where(paths=tuple(dict.fromkeys(rings)), from_ns=from_ns, to_ns=to_ns))
    except SourceError:
        return []  # whoever reads packets there will say so


def _lines_of(where: "Where") -> list[str]:
    from daemonlogger_py.readers.archive import Archive

    with Archive(where) as archive:
        lines = gap_lines(archive.gaps())
        return [*lines, *(complaint.text for complaint in archive.complaints)]


def unfinished(catalog: Catalog, to_ns: int | None) -> list[Gap]:
    """The gap since the last recorder ended, where only the next one will write it down."""
    last = catalog.last_run()
    if last is None or last.ended_ns is not None or (to_ns is not None and last.seen_ns >= to_ns):
        return []
    if lives(last) or answers(catalog.path):
        return []
    end = ends(catalog.path).get(last.started_ns)
    if end is not None:
        if to_ns is not None and end.stopped_ns >= to_ns:
            return []
        return [Gap(kind="stopped", from_ns=end.stopped_ns, run=last.number, detail=end.why)]
    return [Gap(kind="crashed", from_ns=last.seen_ns, run=last.number, detail="none runs now")]


def lasting(
    directory: "Directory", catalog: Catalog, from_ns: int | None, to_ns: int | None
) -> list[Gap]:
    """The gaps of a ring that touch [from_ns, to_ns), as far as nobody recorded meanwhile.

    One without a catalog may have, since the last recorder that kept it ended. Raises CatalogError
    and OSError.
    """
    gaps = [*catalog.gaps(from_ns, to_ns), *unfinished(catalog, to_ns)]
    if all(gap.to_ns is not None for gap in gaps):
        return gaps
    names = Naming(directory.prefix or "").listed(directory.dir_fd)
    return [
        part
        for gap in gaps
        for part in parted(gap, catalog, directory.dir_fd, names)
        if part is gap or _touches(part, from_ns, to_ns)
    ]


def _touches(gap: Gap, from_ns: int | None, to_ns: int | None) -> bool:
    early = from_ns is not None and gap.to_ns is not None and gap.to_ns < from_ns
    return not early and (to_ns is None or gap.from_ns < to_ns)


def _line(directory: "Directory | None", gap: Gap) -> str:
    what, why = MEANING.get(gap.kind, (_NOT_RECORDED, gap.kind))
    if gap.packets is not None:
        why = f"{counted(gap.packets, 'packet')} {why}".rstrip()
    detail = gap.detail if gap.detail.isprintable() else repr(gap.detail)
    if detail == why:
        detail = ""
    reason = f"{why} ({detail})" if why and detail else why or detail or "no reason is known"
    where = (
        "" if directory is None else f" in {os.path.join(directory.shown, directory.prefix or '')}"
    )
    return f"[!] {what} {_span(gap)}{where}: {reason}"


def _span(gap: Gap) -> str:
    begin = utc(gap.from_ns)
    if gap.to_ns is None:
        return f"since {begin}"
    end = utc(gap.to_ns)
    if end == begin:
        return f"at {begin}"
    same_day = begin[:11] == end[:11]
    return f"{begin} to {end[11:] if same_day else end}"


def lives(run: Run) -> bool:
    """Whether the process that began the run may still be there."""
    try:
        with open(_BOOT_ID, encoding="ascii") as file:
            boot_id = file.read().strip()
    except OSError:
        return True
    if run.boot_id.replace("-", "") != boot_id.replace("-", ""):
        return False
    return run.pid > 0 and os.path.exists(f"/proc/{run.pid}")


def answers(catalog_path: str) -> bool:
    """Whether a recorder's process listens beside the catalog; where that is not known, it does."""
    import socket

    directory, name = os.path.split(catalog_path.removesuffix(CATALOG) + SOCKET)
    try:
        dir_fd = os.open(directory or os.curdir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as one:
        one.settimeout(_ANSWER_S)
        try:
            os.stat(name, dir_fd=dir_fd)  # so that a name too long for an address is known too
            # By the directory's descriptor: a path of more than 108 bytes has no address.
            one.connect(f"/proc/self/fd/{dir_fd}/{name}")
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
        finally:
            os.close(dir_fd)
    return True
