"""The catalog as its process writes it: changes together in transactions, and what refuses them.

Nothing of the database's is fatal: what it refuses is said once and tried again, with the file
opened anew, and what is damaged is put aside and made anew. Which changes there are is
`cataloger`'s.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress

from daemonlogger_py.errors import CatalogError
from daemonlogger_py.record.ledger import Ledger
from daemonlogger_py.savefile.catalog import Catalog, set_aside

RETRY_S = 5.0
# The log of a database in WAL mode stands beside it, in the room that savefiles are to have.
WAL_PAGES = 64
# A database that refuses for long must not cost memory without end; the rest is healed.
MOST_CHANGES = 20_000

Change = Callable[[Catalog], None]
Say = Callable[[str, str], None]


class Store:
    """The catalog `path`, made where there is none; `say` tells the recorder an event and a line.

    A transaction that fails is as if it had not been tried for `ledger` as well.
    """

    def __init__(self, path: str, ledger: Ledger, say: Say) -> None:
        self.catalog: Catalog | None = None
        self.refused = False
        """What was tried last failed, and that was said."""
        self.changed_at: float | None = None
        """Since when something is to be written (monotonic, s); None: nothing is."""
        self.overrun = False
        """Some changes were left out: only a census brings them back."""
        self._path = path
        self._ledger = ledger
        self._say = say
        self._changes: list[Change] = []
        self._damage: Exception | None = None  # found while it was open
        self._again_at = 0.0

    def open(self) -> bool:
        """Open the catalog unless it is; returns whether it has just been."""
        if self.catalog is not None or time.monotonic() < self._again_at:
            return False
        try:
            self.catalog = self._opened()
            self.catalog.query(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        except (CatalogError, OSError) as error:
            self._refuse(error)
        return self.catalog is not None

    def change(self, change: Change) -> None:
        """Write a change with the next commit."""
        if len(self._changes) < MOST_CHANGES:
            self._changes.append(change)
        else:
            self.overrun = True
        if self.changed_at is None:
            self.changed_at = time.monotonic()

    def commit(self) -> bool:
        """Write what has changed; returns whether nothing is left to be written."""
        changes = self._changes[:]

        def write(catalog: Catalog) -> None:
            with catalog.transaction():
                for change in changes:
                    change(catalog)

        if not changes:
            return True
        if not self.attempt(write):
            return False
        del self._changes[: len(changes)]
        self.changed_at = None
        if self.refused:
            self.refused = False
            self._say("catalog_kept", "[-] The catalog is kept again")
        return True

    def attempt(self, action: Change) -> bool:
        """Do something with the catalog, if it is open; returns whether it was done."""
        if self.catalog is None:
            return False
        state = self._ledger.state
        try:
            action(self.catalog)
        except (CatalogError, OSError) as error:
            self._ledger.state = state
            self._refuse(error)
            return False
        return True

    def close(self) -> None:
        """Close the catalog; may be called twice."""
        if self.catalog is not None:
            self.catalog.close()
            self.catalog = None

    def _opened(self) -> Catalog:
        if self._damage is not None:
            return self._made_anew(self._damage)
        try:
            return Catalog.open(self._path, write=True)
        except CatalogError as error:
            if not os.path.lexists(self._path):
                return Catalog.create(self._path)
            if not _is_damage(error):
                raise
            return self._made_anew(error)

    def _made_anew(self, error: Exception) -> Catalog:
        self._damage = None
        aside = set_aside(self._path)
        text = f"[!] {error}: kept as {aside}, made anew from the savefiles"
        self._say("catalog_damaged", text)
        catalog = Catalog.create(self._path)
        with suppress(CatalogError), Catalog.open(aside) as before:
            _save_what_is_nowhere_else(before, catalog)
        return catalog

    def _refuse(self, error: Exception) -> None:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        if not self.refused:
            self._say("catalog_failed", f"[!] No catalog: {reason}; recording goes on")
        if _is_damage(error):
            self._damage = error
        self.refused = True
        self.close()
        self._again_at = time.monotonic() + RETRY_S


def _is_damage(error: Exception) -> bool:
    return isinstance(error, CatalogError) and ": is damaged" in str(error)


def _save_what_is_nowhere_else(before: Catalog, catalog: Catalog) -> None:
    """Copy pins and ledger as far as they can be read; savefiles tell the rest."""
    with suppress(CatalogError), catalog.transaction():
        for pin in before.pins():
            catalog.pin(pin.from_ns, pin.to_ns, pin.reason, pin.created_ns)
        catalog.set_pin_quota_bytes(before.pin_quota_bytes())
    with suppress(CatalogError), catalog.transaction():
        for run in before.runs():
            catalog.begin_run(run)
    with suppress(CatalogError), catalog.transaction():
        for gap in before.gaps():
            catalog.add_gap(gap)
