"""The database behind a catalog: opened, read and written row by row, in transactions.

Knows tables and checksums, not what is in them: `catalog_ledger` and `catalog` build on it. Every
failure is a CatalogError of one line.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from daemonlogger_py.errors import CatalogError
from daemonlogger_py.savefile import catalog_schema
from daemonlogger_py.savefile.catalog_columns import believed, checksum
from daemonlogger_py.savefile.catalog_rows import Meta, to_columns
from daemonlogger_py.savefile.catalog_schema import META, Table
from daemonlogger_py.savefile.names import printable

if TYPE_CHECKING:
    import sqlite3

_ROWS_AT_ONCE = 1000
# At the end nobody waits long for readers: without checksums of pages only less is found.
_CLOSING_WAIT_MS = 200
_TRANSACTION = "transaction"


class Database:
    """An open database of tables whose rows have checksums.

    Use it as a context manager; for one thread at a time, one process. Writing methods are
    transactions of their own unless within `transaction()`. Every method raises CatalogError for
    what is damaged, locked for longer than a few seconds, or not writable.
    """

    def __init__(self, path: str, connection: "sqlite3.Connection", *, write: bool) -> None:
        self.path = path
        self.disbelieved = 0
        """Rows that were left out of an answer: their checksum does not fit."""
        self._connection: sqlite3.Connection | None = connection
        self._write = write
        self._within = False
        self._wrote = False
        self._identity = _identity(path)

    @classmethod
    def create(cls, path: str) -> Self:
        """Make a new catalog, open for writing. Raises CatalogError if there is something."""
        catalog_schema.create(path)
        return cls.open(path, write=True)

    @classmethod
    def open(cls, path: str, *, write: bool = False) -> Self:
        """Open the catalog `path`. Raises CatalogError also when there is none, or a newer one.

        Reading also works where neither the directory nor the file may be written.
        """
        with _told(path):
            return cls(path, catalog_schema.connect(path, write=write), write=write)

    def close(self) -> None:
        """Close it; may be called twice. Never raises."""
        if self._connection is None:
            return
        if self._wrote:
            with suppress(CatalogError, OSError):
                self._leave_page_sums()
        connection, self._connection = self._connection, None
        connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written in the `with` block; others wait meanwhile.

        Raises CatalogError also when the file was replaced by another since it was opened.
        """
        if self._within:
            yield
            return
        self._run("BEGIN IMMEDIATE")
        with ExitStack() as undo:
            undo.callback(self._roll_back)
            self._require_same_file()
            self._within = True
            yield
            self._set(_TRANSACTION, str(self.transactions() + 1))
            self._run("COMMIT")
            undo.pop_all()
            self._within = False
            self._wrote = True

    def _roll_back(self) -> None:
        self._within = False
        with suppress(CatalogError):
            self._run("ROLLBACK")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read in the `with` block is of one moment; nobody waits for it."""
        self._run("BEGIN")
        try:
            yield
        finally:
            with suppress(CatalogError):
                self._run("ROLLBACK")

    def data_version(self) -> int:
        """Changes whenever another connection has written."""
        return int(self._run("PRAGMA data_version")[0][0])

    def transactions(self) -> int:
        """How many there were so far."""
        return int(self._get(_TRANSACTION) or 0)

    def rows(self, table: Table) -> Iterator[tuple[tuple[Any, ...], bool]]:
        """Every row of a table, as columns, and whether its checksum fits; for checks."""
        return self._rows(table, f"ORDER BY {table.key}")

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """What a PRAGMA says; for checks."""
        return self._run(statement)

    def _next_number(self, table: Table) -> int:
        ((last,),) = self._run(f"SELECT MAX(number) FROM {table.name}")  # noqa: S608
        return (last or 0) + 1

    def _get(self, key: str) -> str | None:
        for meta in self._believed(META, "WHERE key = ?", (key,)):
            if str(meta.value).isdecimal():
                return str(meta.value)
        return None

    def _set(self, key: str, value: str) -> None:
        self._put(META, Meta(key, value))

    def _put(self, table: Table, row: tuple[Any, ...]) -> None:
        columns = to_columns(row)
        self._run(table.write, (*map(bound, columns), checksum(columns)))

    def _believed(
        self, table: Table, where: str, parameters: Any = (), *, plan: bytes | None = None
    ) -> Iterator[Any]:
        """Rows of a table; the plan is the table's unless there is another one."""
        plan = table.plan if plan is None else plan
        for rows in self._fetched(table, where, parameters):
            found, others = believed(rows, table.row, plan)
            self.disbelieved += others
            yield from found

    def _rows(self, table: Table, where: str) -> Iterator[tuple[tuple[Any, ...], bool]]:
        for rows in self._fetched(table, where):
            for row in rows:
                columns = row[:-1]
                yield columns, row[-1] == checksum(columns)

    def _fetched(
        self, table: Table, where: str, parameters: Any = ()
    ) -> Iterator[list[tuple[Any, ...]]]:
        statement = f"SELECT {table.columns} FROM {table.name} {where}"  # noqa: S608
        with _told(self.path):
            cursor = self._open_connection().execute(statement, parameters)
        while True:
            with _told(self.path):
                rows = cursor.fetchmany(_ROWS_AT_ONCE)
            if not rows:
                return
            yield rows

    def _run(self, statement: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with _told(self.path):
            return self._open_connection().execute(statement, parameters).fetchall()

    def _open_connection(self) -> "sqlite3.Connection":
        if self._connection is None:
            raise CatalogError(f"{printable(self.path)}: is closed")
        return self._connection

    def _require_same_file(self) -> None:
        if self._identity != _identity(self.path):
            shown = printable(self.path)
            raise CatalogError(f"{shown}: was replaced by another since it was opened")

    def _leave_page_sums(self) -> None:
        from daemonlogger_py.savefile import catalog_pages

        self._run(f"PRAGMA busy_timeout = {_CLOSING_WAIT_MS}")
        self._run("PRAGMA wal_checkpoint(TRUNCATE)")
        self._run("BEGIN IMMEDIATE")
        try:
            self._require_same_file()
            if catalog_schema.is_settled(self.path):
                catalog_pages.write(self.path, self.transactions())
        finally:
            self._run("ROLLBACK")


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def bound(value: Any) -> Any:
    """A column as SQLite takes it: with what is no UTF-8 in a text as it is in a file's name."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "surrogateescape")
    return value


@contextmanager
def _told(path: str) -> Iterator[None]:
    """What SQLite cannot do becomes a CatalogError of one line."""
    import sqlite3

    try:
        yield
    except sqlite3.Error as error:
        shown = printable(path)
        name = getattr(error, "sqlite_errorname", "")
        locked = name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
        damaged = name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
        what = str(error)
        if locked:
            what = "is locked by another process"
        elif damaged:
            what = f"is damaged: {error}"
        told = CatalogError(f"{shown}: {what}")
        told.locked, told.damaged = locked, damaged
        raise told from None
