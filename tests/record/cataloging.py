"""A ring directory with a catalog, savefiles as a recorder leaves them, and what is in its rows."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import Entry
from daemonlogger_py.savefile.names import Naming, SavefileName

from ..pcaps import make
from .bench import at

NAMING = Naming("t")
SECOND_NS = 10**9


class RingDirectory:
    """A log directory of prefix t; savefiles hold one packet a second from their epoch on."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ring"
        self.path.mkdir()
        self.fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        self.catalog_path = self.path / "t.catalog"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    def leave(self, epoch: int, packets: int = 3) -> SavefileName:
        """Write a whole savefile."""
        name = SavefileName(epoch, 0, NAMING.format(epoch))
        data = make.classic(at(range(packets), start_ns=epoch * SECOND_NS))
        (self.path / name.name).write_bytes(data)
        return name

    @contextmanager
    def being_written(self, name: SavefileName) -> Iterator[None]:
        """Hold a recorder's lock on a savefile."""
        with (self.path / name.name).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def catalog(self) -> Catalog:
        """The catalog, open for writing; made if there is none."""
        path = str(self.catalog_path)
        if self.catalog_path.exists():
            return Catalog.open(path, write=True)
        return Catalog.create(path)

    def entries(self) -> dict[str, Entry]:
        """What stands in the catalog, by name."""
        with Catalog.open(str(self.catalog_path)) as catalog:
            return {entry.name: entry for entry in catalog.entries()}
