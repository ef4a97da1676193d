"""Which savefiles of an archive have to be looked at for a span of time.

What the catalog says of a savefile is exact, and what a sidecar says is too: those that have one
are kept, for it to decide about. A ring that has neither is judged by what the kernel and the
recorder left on it: a savefile was opened in the second that its name says, and written for the
last time when the file system says. Where the first packets do not bear that out, as in a ring of
other people's captures, nothing is left out; nor is what was asked for by its own name. Of packets
in between that are outside of these times, as where a clock was set forth and back, only a catalog
or an index knows.
"""

from collections.abc import Callable, Container, Iterator, Sequence
from itertools import groupby

from daemonlogger_py.readers.archive import Directory, Member
from daemonlogger_py.readers.inputs.ring import SLACK_NS, first_packet_ns

_NS = 1_000_000_000


def needed(
    members: Sequence[Member],
    from_ns: int | None,
    to_ns: int | None,
    reads_all: Callable[[Directory], bool],
    named: Container[tuple[str, str]] = (),
) -> tuple[list[Member], int]:
    """Those that may hold packets of [from_ns, to_ns), in their order.

    The number besides counts those that were left out for their names and times alone, which is
    done neither where `reads_all` says so of a directory, nor to those `named`, by path of the
    directory and name.
    """
    if from_ns is None and to_ns is None:
        return [member for member in members if not _is_empty(member)], 0
    chosen: list[Member] = []
    passed_over = 0
    for _, group in groupby(members, key=lambda member: id(member.directory)):
        of_one = list(group)
        unknown = [member for member in of_one if member.entry is None]
        directory = of_one[0].directory
        judged = [one for one in unknown if (directory.path, one.name) not in named]
        by_times = bool(judged) and directory.prefix is not None and not reads_all(directory)
        span = _Span(from_ns, to_ns) if by_times and _as_recorded(unknown) else None
        for member in of_one:
            if member.entry is not None:
                if _holds(member, from_ns, to_ns):
                    chosen.append(member)
            elif (
                span is not None
                and span.leaves_out(member)
                and (directory.path, member.name) not in named
            ):
                passed_over += 1
            else:
                chosen.append(member)
    return chosen, passed_over


class _Span:
    """The span asked for, and which savefiles were not being written in it."""

    def __init__(self, from_ns: int | None, to_ns: int | None) -> None:
        self._from_ns = from_ns
        self._to_ns = to_ns

    def leaves_out(self, member: Member) -> bool:
        if self._from_ns is not None and member.modified_ns + SLACK_NS < self._from_ns:
            return member.state != "open"
        return self._to_ns is not None and member.epoch * _NS - SLACK_NS >= self._to_ns


def _is_empty(member: Member) -> bool:
    entry = member.entry
    # Not ordered: its records could not be walked, as those of another format.
    return entry is not None and entry.packets == 0 and entry.ordered


def _holds(member: Member, from_ns: int | None, to_ns: int | None) -> bool:
    entry = member.entry
    if entry is None or entry.first_ns is None or entry.last_ns is None:
        return not _is_empty(member)
    if to_ns is not None and entry.first_ns >= to_ns:
        return False
    return from_ns is None or entry.last_ns >= from_ns


def _as_recorded(members: Sequence[Member]) -> bool:
    """Whether all of them look as a recorder leaves them, live and with one clock."""
    return all(
        opened_ns - SLACK_NS <= first_ns <= written_ns + SLACK_NS
        and written_ns <= next_ns + SLACK_NS
        for opened_ns, first_ns, written_ns, next_ns in _times(members)
    )


def _times(members: Sequence[Member]) -> Iterator[tuple[int, int, int, int]]:
    """When each was opened, got its first packet and was written last, and the next was opened."""
    for member, following in zip(members, [*members[1:], None], strict=True):
        opened_ns = member.epoch * _NS
        first_ns = first_packet_ns(member.directory.dir_fd, member.name)
        # The second that a name says has begun before; the next savefile is opened early.
        next_ns = member.modified_ns if following is None else (following.epoch + 1) * _NS
        yield (
            opened_ns,
            opened_ns if first_ns is None else first_ns,
            member.modified_ns,
            next_ns,
        )
