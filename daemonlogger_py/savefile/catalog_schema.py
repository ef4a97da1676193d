"""The tables of a catalog, and how its database is opened, made and put aside.

Which rows stand in them is `catalog_rows`'s, what is done with them `catalog`'s. Every row ends
with a checksum over its other columns.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from stat import S_ISLNK, S_ISREG
from typing import TYPE_CHECKING, NamedTuple

from daemonlogger_py.errors import CatalogError
from daemonlogger_py.savefile.catalog_columns import text
from daemonlogger_py.savefile.catalog_rows import ENTRY, Entry, Gap, Link, Meta, Pin, Run
from daemonlogger_py.savefile.names import printable

if TYPE_CHECKING:
    import sqlite3

# "DLpy", as PRAGMA application_id: file(1) and we know whose database it is.
APPLICATION_ID = 0x444C7079
VERSION = 1
WAIT_S = 5.0
"""How long a lock of somebody else is waited for."""

NEW, DAMAGED = ".new", ".damaged"
WAL, SHARED_MEMORY, PAGES = "-wal", "-shm", "-pages"

_MODE = 0o644
_LOOK_S = 0.01  # for whether another process has made it
# SQLite takes everything else in a URI as it is.
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-~")


class Table(NamedTuple):
    """A table whose columns are the fields of a NamedTuple, followed by their checksum."""

    name: str
    row: type[Entry | Link | Run | Gap | Pin | Meta]
    key: str  # PRIMARY KEY
    texts: frozenset[str]
    blobs: frozenset[str]
    by_number: bool = False  # the key is SQLite's row number
    plan: bytes = b""  # how a row is made of its columns, see `catalog_columns.believed`

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns but for the checksum."""
        return self.row._fields

    @property
    def columns(self) -> str:
        """All columns, for SELECT and INSERT."""
        return ", ".join((*self.fields, "checksum"))

    @property
    def write(self) -> str:
        """The statement that writes a row, in the place of any other with its key."""
        # The cast lets bytes that are no UTF-8 into a text: a prefix may hold any.
        places = ["CAST(? AS TEXT)" if field in self.texts else "?" for field in self.fields]
        values = ", ".join((*places, "?"))
        return f"REPLACE INTO {self.name} ({self.columns}) VALUES ({values})"  # noqa: S608

    @property
    def create(self) -> str:
        """The statement that makes it."""
        fields = ", ".join(f"{field} {self._kind(field)}" for field in self.fields)
        plain = "" if self.by_number else " WITHOUT ROWID"
        return (
            f"CREATE TABLE {self.name} ({fields}, checksum INTEGER NOT NULL,"
            f" PRIMARY KEY ({self.key})){plain}"
        )

    def _kind(self, field: str) -> str:
        return "TEXT" if field in self.texts else "BLOB" if field in self.blobs else "INTEGER"


_BLOBS = frozenset({"sha256", "previous_chain", "chain"})

SAVEFILE = Table(
    "savefile",
    Entry,
    "epoch, serial, name",
    frozenset({"name", "state", "why"}),
    _BLOBS,
    plan=ENTRY,
)
LINK = Table("link", Link, "position", frozenset({"name"}), _BLOBS, by_number=True)
RUN = Table(
    "run",
    Run,
    "number",
    frozenset({"why", "interface", "filter_text", "host", "version", "boot_id"}),
    frozenset(),
    by_number=True,
)
GAP = Table(
    "gap",
    Gap,
    "number",
    frozenset({"kind", "savefile", "detail"}),
    frozenset(),
    by_number=True,
)
PIN = Table("pin", Pin, "number", frozenset({"reason"}), frozenset(), by_number=True)
META = Table("meta", Meta, "key", frozenset(Meta._fields), frozenset())

TABLES = (SAVEFILE, LINK, RUN, GAP, PIN, META)

_INDEXES = (
    "CREATE UNIQUE INDEX savefile_name ON savefile (name)",
    "CREATE INDEX savefile_position ON savefile (position)",
    "CREATE INDEX gap_from ON gap (from_ns)",
)


def create(path: str) -> None:
    """Make a new, empty catalog. Raises CatalogError if there is something already.

    It gets its name once it is whole, so that a killed process leaves no half of one.
    """
    import sqlite3

    try:
        with _locked(path + NEW) as new:
            connection = _connect(new, "rw")
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
                for statement in (*(table.create for table in TABLES), *_INDEXES):
                    connection.execute(statement)
                connection.execute("COMMIT")
            finally:
                connection.close()
            os.link(new, path)
    except (sqlite3.Error, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise CatalogError(f"{printable(path)}: cannot be made: {why}") from None


@contextmanager
def _locked(new: str) -> Iterator[str]:
    """Make the empty file `new`, and remove it in the end; nobody else does meanwhile.

    What a killed process left of it goes: whoever is at work holds a lock on it, and removes no
    file without. Raises OSError, TimeoutError where somebody is at work for long.
    """
    until = time.monotonic() + WAIT_S
    while (fd := _made(new)) is None:
        if time.monotonic() >= until:
            raise TimeoutError(0, "another process has begun to make it")
        time.sleep(_LOOK_S)
    try:
        yield new
    finally:
        with suppress(OSError):
            discard(new)
        # Not before: SQLite's own locks end when any descriptor of its file is closed.
        os.close(fd)


def _made(new: str) -> int | None:
    """Make a file and lock it; None: there was one, or somebody was faster."""
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    except FileExistsError:
        _remove_left(new)
        return None
    if _is_ours(fd, new):
        return fd
    os.close(fd)
    return None


def _remove_left(new: str) -> None:
    """Remove a file that nobody is at work on any more. Raises OSError."""
    try:
        fd = os.open(new, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError:  # a symbolic link, or a file that may not be read
        discard(new)
        return
    try:
        if _is_ours(fd, new):
            discard(new)
    finally:
        os.close(fd)


def _is_ours(fd: int, path: str) -> bool:
    """Lock the file open as `fd`; False: somebody else has it, or it is not `path` any more."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks: what comes at the same moment is not kept apart
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def connect(path: str, *, write: bool) -> "sqlite3.Connection":
    """Open a catalog, known to be one of ours. Raises CatalogError, and sqlite3.Error."""
    if not os.path.exists(path):
        raise CatalogError(f"{printable(path)}: there is no catalog")
    _refuse_links(path)
    import sqlite3

    if write:
        return _ours(
            path,
            "rw",
            "PRAGMA synchronous = NORMAL",
            # What is deleted is overwritten: no remains that a checksum would have to cover.
            "PRAGMA secure_delete = ON",
        )
    try:
        return _ours(path, "ro")
    except sqlite3.OperationalError:
        if not is_settled(path):
            raise
    # The directory may not be written, so there is no place for WAL's shared memory; and nothing is
    # in a log that would need it.
    return _ours(path, "ro&immutable=1")


def discard(path: str) -> None:
    """Remove a database that nobody needs, with what belongs to it. Raises OSError."""
    for end in (WAL, SHARED_MEMORY, PAGES, ""):
        with suppress(FileNotFoundError):
            os.unlink(path + end)


def set_aside(path: str) -> str:
    """Rename a damaged catalog to PATH.damaged[.N], and return that name. Raises OSError.

    What it says in its log is kept with it. Nobody may have it open for writing.
    """
    number = 0
    aside = path + DAMAGED
    while os.path.lexists(aside):
        number += 1
        aside = f"{path}{DAMAGED}.{number}"
    # The log first: beside another catalog of this name it would be read as that one's.
    for end in (WAL, ""):
        with suppress(FileNotFoundError):
            os.rename(path + end, aside + end)
    for end in (SHARED_MEMORY, PAGES):
        with suppress(FileNotFoundError):
            os.unlink(path + end)
    return aside


def is_settled(path: str) -> bool:
    """Whether nothing stands in the write-ahead log of the catalog `path`."""
    try:
        return os.stat(path + WAL).st_size == 0
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _ours(path: str, mode: str, *statements: str) -> "sqlite3.Connection":
    """Open one of ours, and have these statements executed. Raises CatalogError, sqlite3.Error."""
    connection = _connect(path, mode)
    with ExitStack() as undo:
        undo.callback(connection.close)
        _require_ours(connection, path)
        for statement in statements:
            connection.execute(statement)
        undo.pop_all()
    return connection


def _connect(path: str, mode: str) -> "sqlite3.Connection":
    import sqlite3

    quoted = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in os.fsencode(path))
    connection = sqlite3.connect(
        f"file:{quoted}?mode={mode}",
        uri=True,
        timeout=WAIT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.text_factory = text
    return connection


def _refuse_links(path: str) -> None:
    """Whoever may write the directory must not choose what another user reads or writes.

    Nor what he waits for: SQLite would open a pipe, and wait for its other end.
    """
    for end in ("", WAL, SHARED_MEMORY):
        try:
            mode = os.lstat(path + end).st_mode
        except OSError:
            continue
        if not S_ISREG(mode):
            what = "a symbolic link" if S_ISLNK(mode) else "not a regular file"
            raise CatalogError(f"{printable(path + end)}: is {what}")


def _require_ours(connection: "sqlite3.Connection", path: str) -> None:
    ((application_id,),) = connection.execute("PRAGMA application_id").fetchall()
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    if application_id != APPLICATION_ID:
        other = CatalogError(f"{printable(path)}: is damaged, or no catalog of daemonlogger's")
        other.damaged = True
        raise other
    if version != VERSION:
        raise CatalogError(
            f"{printable(path)}: is of version {version}; accepted: {VERSION}"
            " (of a newer daemonlogger, or damaged)"
        )
