"""What the names of files say: whose savefiles they are, also once somebody compressed them."""

from collections.abc import Iterable, Sequence

from daemonlogger_py.errors import UsageError
from daemonlogger_py.readers.inputs.directory import NUMBERED, savefiles_in
from daemonlogger_py.savefile.names import COMPRESSED, Naming, SavefileName, original_of, printable

# What they end in, behind the prefix of their ring.
CATALOG, INDEX = ".catalog", ".index"


def read_name(name: str) -> SavefileName:
    """Read the name of any file; one that is no savefile's has epoch and serial 0."""
    match = NUMBERED.fullmatch(name)
    epoch, serial = (int(match[2]), int(match[3] or 0)) if match else (0, 0)
    return SavefileName(epoch, serial, name)


def captures_in(path: str) -> list[str]:
    """`savefiles_in`, also compressed ones, but not those whose originals are there as well."""
    return _without_originals(savefiles_in(path, compressed=True))


def unnumbered_in(path: str) -> list[SavefileName]:
    """The captures in a directory that are not named PREFIX.EPOCH[.SERIAL]. Raises OSError."""
    return sorted(read_name(name) for name in captures_in(path) if not NUMBERED.fullmatch(name))


def count_compressed(names: Sequence[str], naming: Naming) -> int:
    """How many savefiles of a ring with these names in it somebody compressed."""
    kept = _without_originals(names)
    originals = (original_of(name) for name in kept if name.endswith(COMPRESSED))
    return sum(
        original is not None and naming.parse(original) is not None for original in originals
    )


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


def _without_originals(names: Sequence[str]) -> list[str]:
    if not any(name.endswith(COMPRESSED) for name in names):
        return list(names)
    there = set(names)  # while a savefile is being compressed, both are
    return [name for name in names if original_of(name) not in there]
