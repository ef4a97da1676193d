"""The one place that knows how a savefile is called: ``PREFIX.EPOCH`` or ``PREFIX.EPOCH.SERIAL``.

Pruning deletes by this grammar, so it is exact: the whole name, the prefix letter for letter
(a dot or a star in it is itself), ASCII digits alone; read natively, in ``listing``. Whether such
a directory entry is a regular file is for ``listed`` and ``record/ring.py`` to find out.

A prefix that itself ends in ``.DIGITS`` overlaps with the shorter prefix: ``a.1.5`` is the
savefile 5 of ``a.1`` and the savefile 1, serial 5, of ``a``. Nothing in the name tells them apart.
"""

from typing import NamedTuple

from daemonlogger_py.savefile import listing

# A serial is written with at least this many digits, so that `ls` sorts the first thousand.
SERIAL_DIGITS = 3
COMPRESSED = (".gz", ".bz2", ".xz", ".lzma", ".zst", ".zip")
"""How the names of files end that somebody compressed, in the place of what they were before."""
CATALOG, INDEX, SOCKET = ".catalog", ".index", ".socket"
"""How the names of a ring's catalog, index and socket go on behind the prefix."""


def printable(name: str) -> str:
    """The name as a terminal may see it: a directory may hold any."""
    return name if name.isprintable() else repr(name)


def original_of(name: str) -> str | None:
    """What a file was called before somebody compressed it; None: by its name, nobody did."""
    return name.rpartition(".")[0] if name.endswith(COMPRESSED) else None


class SavefileName(NamedTuple):
    """A savefile's name, read; sorts by (epoch, serial) as numbers."""

    epoch: int
    """Seconds since 1970 at which the file was opened, or of its first packet."""
    serial: int
    """0 for the first file of a second, which has no suffix."""
    name: str
    """As it stands in the directory, leading zeros included."""


class Naming:
    """Reads and writes the names of one prefix.

    Raises ValueError for a prefix that is empty or holds ``/`` or NUL.
    """

    def __init__(self, prefix: str) -> None:
        if not prefix or "/" in prefix or "\0" in prefix:
            raise ValueError(f"savefile prefix {prefix!r}: accepted is a file name without '/'")
        self.prefix = prefix
        self._start = prefix + "."

    def parse(self, name: str) -> SavefileName | None:
        """Read a directory entry's name; None if it is not exactly a savefile name of this prefix.

        Any str is accepted, also the surrogate escapes of os.scandir.
        """
        numbers = listing.parse(self._start, name)
        return None if numbers is None else SavefileName(*numbers, name)

    def parse_compressed(self, name: str) -> SavefileName | None:
        """Read the name that a file had before somebody compressed it, as `parse` does."""
        numbers = listing.parse_compressed(self._start, name, COMPRESSED)
        return None if numbers is None else SavefileName(*numbers, name.rpartition(".")[0])

    def listed(self, dir_fd: int) -> list[SavefileName]:
        """The savefiles of this prefix in a directory that is open, oldest first.

        Regular files alone, no links. Raises OSError.
        """
        return sorted(listing.list_savefiles(dir_fd, self._start, SavefileName))

    def format(self, epoch: int, serial: int = 0) -> str:
        """Return the name for an epoch in seconds and a serial; neither may be negative."""
        if epoch < 0 or serial < 0:
            raise ValueError(f"epoch {epoch}, serial {serial}: neither can be negative")
        if serial == 0:
            return f"{self._start}{epoch}"
        return f"{self._start}{epoch}.{serial:0{SERIAL_DIGITS}d}"
