"""What the names of files say: whose savefiles they are, also once somebody compressed them."""

from collections.abc import Container, Iterable, Sequence
from typing import NamedTuple

from daemonlogger_py.errors import UsageError
from daemonlogger_py.readers.inputs.directory import NUMBERED, savefiles_in
from daemonlogger_py.savefile.holes import is_file
from daemonlogger_py.savefile.names import (
    CATALOG,
    COMPRESSED,
    Naming,
    SavefileName,
    original_of,
    printable,
)


def read_name(name: str) -> SavefileName:
    """Read the name of any file; one that is no savefile's has epoch and serial 0."""
    match = NUMBERED.fullmatch(name)
    epoch, serial = (int(match[2]), int(match[3] or 0)) if match else (0, 0)
    return SavefileName(epoch, serial, name)


class Captures(NamedTuple):
    """What was in a directory at one time."""

    names: list[str]  # of savefiles, also compressed ones
    alike: list[str]  # of compressed ones that are left out as they begin as their originals

    def by_prefix(self) -> dict[str | None, list[SavefileName]]:
        """Those named PREFIX.EPOCH[.SERIAL] by prefix, the others under None; oldest first."""
        found: dict[str | None, list[SavefileName]] = {}
        for name in self.names:
            match = NUMBERED.fullmatch(name)
            if match is None:
                of_others = read_name(original_of(name) or name)._replace(name=name)
                found.setdefault(None, []).append(of_others)
            else:
                numbers = int(match[2]), int(match[3] or 0)
                found.setdefault(match[1], []).append(SavefileName(*numbers, name))
        for names in found.values():
            names.sort()
        return found


def captures_in(path: str, dir_fd: int) -> Captures:
    """`savefiles_in`, also compressed ones, but not those that are copies of others there.

    As while a savefile is being compressed. `dir_fd` is the directory, open. Raises OSError.
    """
    return _without_copies(savefiles_in(path, compressed=True), dir_fd)


def compressed_in(names: Sequence[str], naming: Naming, dir_fd: int) -> list[str]:
    """The savefiles of a ring that somebody compressed, of the `names` in its directory."""
    compressed = [name for name in names if naming.parse_compressed(name) is not None]
    if not compressed:
        return []
    there = {name for name in names if naming.parse(name) is not None}
    return [name for name in compressed if _is_left_out(name, there, dir_fd) is False]


def catalogued(names: Iterable[str], dir_fd: int) -> set[str]:
    """The prefixes of all that is compressed among the `names` in a directory, with a catalog."""
    originals = (original_of(name) for name in names if not NUMBERED.fullmatch(name))
    matches = (NUMBERED.fullmatch(name) for name in originals if name is not None)
    prefixes = {match[1] for match in matches if match is not None}
    return {prefix for prefix in prefixes if is_file(dir_fd, prefix + CATALOG)}


def require_ring(naming: Naming, names: Sequence[str], shown: str) -> None:
    """Raise UsageError unless one of `names` is a savefile's or the catalog's."""
    if naming.prefix + CATALOG in names or any(map(naming.parse, names)):
        return
    known = {match[1] for name in names if (match := NUMBERED.fullmatch(name))}
    known |= {name.removesuffix(CATALOG) for name in names if name.endswith(CATALOG)}
    accepted = ", ".join(map(printable, sorted(known - {""}))) or "none, as no ring is there"
    raise UsageError(
        f"--ring {shown}: --prefix {printable(naming.prefix)}: there is no such ring; accepted:"
        f" {accepted}"
    )


def ring_of(names: Iterable[str]) -> str | None:
    """The prefix of compressed savefiles; None where there are captures with other names.

    They get no sidecars, and must not keep a ring from getting any.
    """
    prefixes = []
    for name in names:
        if NUMBERED.fullmatch(name):
            continue
        original = original_of(name)
        match = None if original is None else NUMBERED.fullmatch(original)
        if match is None:
            return None
        prefixes.append(match[1])
    return min(prefixes, default=None)


def _without_copies(names: list[str], dir_fd: int) -> Captures:
    if not any(name.endswith(COMPRESSED) for name in names):
        return Captures(names, [])
    there = set(names)
    kept, alike = [], []
    for name in names:
        left_out = _is_left_out(name, there, dir_fd)
        if left_out is None:
            alike.append(name)
        if left_out is False:
            kept.append(name)
    return Captures(kept, alike)


def _is_left_out(name: str, there: Container[str], dir_fd: int) -> bool | None:
    """Whether it is a copy of one that is `there`; None: as far as that was looked at."""
    original = original_of(name)
    if original is None or original not in there:
        return False
    from daemonlogger_py.readers.inputs.copies import is_copy

    return is_copy(dir_fd, name, original)
