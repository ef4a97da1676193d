"""Keeps the whole records of damaged savefiles; what no reader could use goes.

A torn tail is cut off, if nobody writes the file. Of a savefile with damage before its end a new
one is made of its whole records; it takes the name once it is on the disk, and the original stays
as NAME.damaged. At every moment each whole record is in a file with one of these names, so that a
process that is killed, or a machine that loses power, loses none.
"""

import errno
import os
import signal
import stat
import struct
import time
from bisect import bisect_left
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, suppress
from typing import NamedTuple

from daemonlogger_py.config.archive import VerifyConfig
from daemonlogger_py.errors import CatalogError
from daemonlogger_py.readers.archive import Member
from daemonlogger_py.readers.figures import counted
from daemonlogger_py.readers.output import tell, write_lines
from daemonlogger_py.readers.verify.checking import Counter, foreign_format
from daemonlogger_py.readers.verify.looking import Asked, Looking, in_order
from daemonlogger_py.readers.verify.remains import (
    begun,
    remove_sidecar,
    sweep,
)
from daemonlogger_py.readers.verify.verdict import Verdict
from daemonlogger_py.savefile.asides import kept_name, unfinished_name
from daemonlogger_py.savefile.beginning import FILE_HEADER_BYTES
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import RECOVERED, Entry
from daemonlogger_py.savefile.leases import READ_FLAGS, has_writer, hold
from daemonlogger_py.savefile.names import CATALOG, Naming, SavefileName, printable
from daemonlogger_py.savefile.records import Walk, parse_file_header, walk
from daemonlogger_py.savefile.salvage import Range, Salvage, salvage
from daemonlogger_py.savefile.survey import survey

_VERSION = 2, 4
_NEIGHBOURS = 3
_COPY_BYTES = 8 << 20
_PRUNED = os.strerror(errno.ENOENT)
# Where the kernel cannot tell whether a file has a writer: as long must it have been left alone.
_SETTLED_NS = 2_000_000_000


class _Repaired(NamedTuple):
    verdict: Verdict
    member: Member | None  # of which the catalog has to know
    entry: Entry | None


class _LeftAloneError(Exception):
    """Why a damaged savefile stays as it is."""


def repair(config: VerifyConfig) -> int:
    """Repair what can be repaired and print a line a savefile; return the exit status.

    1 where a savefile is still not whole. Raises UsageError.
    """
    # Whoever opens a savefile for writing while it is asked about sends it.
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    sound = True
    try:
        with closing(_all(config)) as found:
            for repaired in found:
                verdict = repaired.verdict
                write_lines([verdict.as_json() if config.json else verdict.text()])
                sound = sound and verdict.whole
                if repaired.member is not None and repaired.entry is not None:
                    _catalogued(repaired.member, repaired.entry)
    finally:
        signal.signal(signal.SIGIO, before)
    return 0 if sound else 1


def _all(config: VerifyConfig) -> Generator[_Repaired, None, None]:
    counter = Counter()
    with (
        Looking(config.where) as looking,
        looking.progress(wanted=config.progress) as progress,
    ):
        for asked in looking.asked:
            if isinstance(asked, Verdict):
                yield _Repaired(asked, None, None)
                continue
            if not asked.named:
                _sweep(asked)
            found = in_order(
                asked.members(),
                lambda member: _one(member, counter, config.index_dir),
                config.jobs,
            )
            with closing(found):
                for repaired in found:
                    if asked.named or repaired.verdict.damage != _PRUNED:
                        yield repaired
                    progress.update(counter.read_bytes)


def _sweep(asked: Asked) -> None:
    for directory in asked.directories:
        try:
            for name in sweep(directory):
                path = printable(os.path.join(directory.path, name))
                tell("verify", f"{path}: removed: a repair that was killed left it")
        except OSError as error:
            tell("verify", f"{directory.shown}: {error.strerror}")


def _one(member: Member, counter: Counter, index_dir: str | None) -> _Repaired:
    path = os.path.join(member.directory.path, member.name)
    try:
        fd = member.open()
        try:
            return _mended(path, fd, member, index_dir)
        finally:
            os.close(fd)
            counter.add(member.size_bytes)
    except OSError as error:
        return _Repaired(Verdict(path, damage=error.strerror or str(error)), None, None)


def _mended(path: str, fd: int, member: Member, index_dir: str | None) -> _Repaired:
    foreign = foreign_format(fd)
    if foreign:
        damage = f"not repaired: {foreign}, and only classic pcap is repaired"
        return _Repaired(Verdict(path, damage=damage), None, None)
    found = walk(fd)
    if found.damage is None:
        return _Repaired(Verdict.of_walk(path, found), None, None)
    try:
        note, entry = _kept(fd, member, found)
    except _LeftAloneError as error:
        note = f"left as it is: {error}"
        return _Repaired(Verdict.of_walk(path, found, note=note), None, None)
    except OSError as error:
        note = f"not repaired: {error.strerror}"
        return _Repaired(Verdict.of_walk(path, found, note=note), None, None)
    stale = remove_sidecar(member, index_dir)
    note = note if stale is None else f"{note}; {stale}"
    return _Repaired(_after(path, member, note), member, entry)


def _after(path: str, member: Member, note: str) -> Verdict:
    """What the savefile is now."""
    fd = member.open()
    try:
        return Verdict.of_walk(path, walk(fd), note=note)
    finally:
        os.close(fd)


def _kept(fd: int, member: Member, found: Walk) -> tuple[str, Entry]:
    """Keep the whole records, and say how. Raises _LeftAloneError and OSError."""
    dir_fd, name = member.directory.dir_fd, member.name
    status = os.fstat(fd)
    if not os.path.samestat(status, os.stat(name, dir_fd=dir_fd, follow_symlinks=False)):
        raise _LeftAloneError("it is a symbolic link, or another file has the name by now")
    # The lease keeps it from being pruned meanwhile; whoever writes it has refused it.
    if not hold(fd) or _is_written(fd, status):
        raise _LeftAloneError("it is being written")
    if found.end_offset < FILE_HEADER_BYTES:
        return _with_another_header(fd, member, status)
    records = salvage(fd)
    if records is None:
        raise _LeftAloneError("its records have the headers of Kuznetzov's libpcap")
    if not records.complete:
        raise _LeftAloneError("it is damaged in too many places")
    last = records.ranges[-1].end if records.ranges else FILE_HEADER_BYTES
    only_tail = found.torn and len(records.ranges) <= 1 and last == found.end_offset
    # Through another name the file may be somebody else's: that one keeps its tail.
    if only_tail and status.st_nlink == 1:
        _cut(dir_fd, name, status, last)
        cut_bytes = found.size_bytes - last
        note = f"repaired: {cut_bytes} bytes of a torn record cut at byte offset {last}"
        return note, _entry(dir_fd, member)
    file_header = os.pread(fd, FILE_HEADER_BYTES, 0)
    return _made_anew(fd, member, status, file_header, records), _entry(dir_fd, member)


def _with_another_header(fd: int, member: Member, status: os.stat_result) -> tuple[str, Entry]:
    """Keep all records of a savefile whose own header is damaged, with one that fits them.

    Only if its records begin where they have to, by that header.
    """
    for file_header, whose in _headers(fd, member):
        records = salvage(fd, file_header)
        if records is None or not records.ranges or not records.complete:
            continue
        if records.ranges[0].begin == FILE_HEADER_BYTES:
            note = _made_anew(fd, member, status, file_header, records)
            return f"{note}; its file header {whose}", _entry(member.directory.dir_fd, member)
    raise _LeftAloneError("its file header is damaged")


def _headers(fd: int, member: Member) -> Iterator[tuple[bytes, str]]:
    """Headers that may fit it, likeliest first, and where each is from."""
    own = os.pread(fd, FILE_HEADER_BYTES, 0)
    header = parse_file_header(own)
    if header is not None and not header.modified:
        version = struct.pack(f"{header.byte_order}HH", *_VERSION)
        yield own[:4] + version + own[8:], "is its own with version 2.4"
    for name in _neighbours(member):
        file_header = _file_header(member.directory.dir_fd, name)
        if file_header is not None:
            yield file_header, f"is that of {name}"


def _neighbours(member: Member) -> list[str]:
    """Savefiles of the same ring, nearest first; not many."""
    prefix = member.directory.prefix
    if prefix is None:
        return []
    found = Naming(prefix).listed(member.directory.dir_fd)
    here = bisect_left(found, (member.epoch, member.serial, member.name))
    near = range(max(here - _NEIGHBOURS, 0), min(here + 1 + _NEIGHBOURS, len(found)))
    by_distance = (found[at].name for at in sorted(near, key=lambda at: abs(at - here)))
    return [name for name in by_distance if name != member.name]


def _file_header(dir_fd: int, name: str) -> bytes | None:
    """The header of a savefile, if it is one that savefiles of this machine begin with."""
    try:
        fd = os.open(name, READ_FLAGS, dir_fd=dir_fd)
    except OSError:
        return None
    try:
        found = os.pread(fd, FILE_HEADER_BYTES, 0)
    except OSError:
        return None
    finally:
        os.close(fd)
    header = parse_file_header(found)
    return None if header is None or header.modified or header.refused else found


def _made_anew(
    fd: int, member: Member, status: os.stat_result, file_header: bytes, records: Salvage
) -> str:
    """Make a savefile of these records, and say so."""
    aside = _rewritten(fd, member, status, file_header, records.ranges)
    whole = sum(one.packets for one in records.ranges)
    gone_bytes = status.st_size - FILE_HEADER_BYTES
    gone_bytes -= sum(one.end - one.begin for one in records.ranges)
    return (
        f"repaired: {counted(whole, 'whole record')} kept, {gone_bytes} damaged bytes left out;"
        f" the original is {aside}"
    )


def _is_written(fd: int, status: os.stat_result) -> bool:
    """Whether anybody has it open for writing, or may have where nobody can tell."""
    written = has_writer(fd)
    if written is None:
        return time.time_ns() - status.st_mtime_ns < _SETTLED_NS
    return written


def _cut(dir_fd: int, name: str, status: os.stat_result, end_offset: int) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        if not os.path.samestat(status, os.fstat(fd)):
            raise _LeftAloneError("another file has the name by now")
        os.ftruncate(fd, end_offset)
        # Its age is that of its packets: what prunes by it must not take it for new.
        with suppress(PermissionError):  # it is another user's
            os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.fsync(fd)
    finally:
        os.close(fd)


def _rewritten(
    fd: int, member: Member, status: os.stat_result, file_header: bytes, ranges: list[Range]
) -> str:
    """Put a savefile of these records in the place of the damaged one; return its new name."""
    dir_fd, name = member.directory.dir_fd, member.name
    new = unfinished_name(name)
    new_fd = begun(dir_fd, name)
    if new_fd is None:
        raise _LeftAloneError("another repair of it is at work")
    with ExitStack() as stack:
        stack.callback(os.close, new_fd)
        stack.callback(_removed, dir_fd, new)
        os.write(new_fd, file_header)
        for one in ranges:
            _copy(fd, new_fd, one.begin, one.end)
        made = walk(new_fd)
        if made.damage is not None or made.packets != sum(one.packets for one in ranges):
            raise _LeftAloneError("what was copied of it is not whole")
        with suppress(PermissionError):
            os.fchown(new_fd, status.st_uid, status.st_gid)
        os.fchmod(new_fd, stat.S_IMODE(status.st_mode))
        os.utime(new_fd, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.fsync(new_fd)
        aside = _exchanged(dir_fd, name, new, status)
        stack.pop_all()
        os.close(new_fd)
    return aside


def _removed(dir_fd: int, name: str) -> None:
    with suppress(OSError):
        os.unlink(name, dir_fd=dir_fd)


def _copy(from_fd: int, to_fd: int, begin: int, end: int) -> None:
    while begin < end:
        sent = os.sendfile(to_fd, from_fd, begin, min(end - begin, _COPY_BYTES))
        if sent == 0:
            raise _LeftAloneError("it became shorter meanwhile")
        begin += sent


def _exchanged(dir_fd: int, name: str, new: str, status: os.stat_result) -> str:
    """Give the damaged file another name as well, then its own to the new one."""
    aside = _linked(dir_fd, name, status)
    os.fsync(dir_fd)
    if not os.path.samestat(status, os.stat(name, dir_fd=dir_fd, follow_symlinks=False)):
        raise _LeftAloneError("another file has the name by now")
    os.rename(new, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    os.fsync(dir_fd)
    return aside


def _linked(dir_fd: int, name: str, status: os.stat_result) -> str:
    number = 0
    while True:
        aside = kept_name(name, number)
        try:
            os.link(name, aside, src_dir_fd=dir_fd, dst_dir_fd=dir_fd, follow_symlinks=False)
        except FileExistsError:
            # Of this file, if a repair of it was killed just here.
            there = os.stat(aside, dir_fd=dir_fd, follow_symlinks=False)
            if os.path.samestat(there, status):
                return aside
            number += 1
        else:
            return aside


def _entry(dir_fd: int, member: Member) -> Entry:
    fd = os.open(member.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        name = SavefileName(member.epoch, member.serial, member.name)
        return survey(fd).entry(name, RECOVERED)
    finally:
        os.close(fd)


def _catalogued(member: Member, entry: Entry) -> None:
    """Tell the catalog, if there is one, what the savefile is by now."""
    directory = member.directory
    path = os.path.join(directory.path, f"{directory.prefix}{CATALOG}")
    if directory.prefix is None or not os.path.lexists(path):
        return
    try:
        with Catalog.open(path, write=True) as catalog, catalog.transaction():
            known = catalog.entry(entry.name)
            catalog.seal(entry if known is None else entry.with_counts_of(known))
    except CatalogError as error:
        tell("verify", f"{error}; it does not know of the repair of {member.shown}")
