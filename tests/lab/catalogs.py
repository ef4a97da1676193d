"""What the catalog of a recording says, and waiting for it."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from daemonlogger_py.errors import CatalogError
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import Gap

PREFIX = "daemonlogger.pcap"
WAIT_S = 90.0  # a catalog's process has the lowest priority, and others are busy


def gaps(logs: Path) -> list[Gap]:
    with Catalog.open(str(logs / f"{PREFIX}.catalog")) as catalog:
        return catalog.gaps()


def until(logs: Path, holds: Callable[[Catalog], bool]) -> None:
    """Wait until something holds of the catalog."""
    end = time.monotonic() + WAIT_S
    while True:
        with suppress(CatalogError), Catalog.open(str(logs / f"{PREFIX}.catalog")) as catalog:
            if holds(catalog):
                return
        assert time.monotonic() < end
        time.sleep(0.05)
