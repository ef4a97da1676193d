"""How much of the savefiles was read, and why not less: what ``--stats`` shows."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from daemonlogger_py.readers.figures import counted, duration, size

if TYPE_CHECKING:
    from daemonlogger_py.readers.extract.glance import Glance
    from daemonlogger_py.readers.extract.judge import Selection


class Stats:
    """Counts of one savefile, or of several."""

    __slots__ = (
        "blocks",
        "blocks_outside",
        "blocks_wanted",
        "bytes_read",
        "classes_no",
        "classes_unjudged",
        "classes_unsure",
        "classes_yes",
        "damaged_sidecars",
        "indexed",
        "missing_sidecars",
        "old_sidecars",
        "packets_read",
        "passed_by",
        "passed_over",
        "savefile_bytes",
        "savefiles",
    )

    def __init__(self) -> None:
        self.savefiles = 0  # looked at
        self.passed_over = 0  # of these: by the index, without reading a packet
        self.passed_by = 0  # not even looked at: they were not being written at that time
        self.savefile_bytes = 0
        self.bytes_read = 0
        self.packets_read = 0
        self.indexed = 0  # savefiles whose sidecar was believed
        self.missing_sidecars = 0
        self.old_sidecars = 0
        self.damaged_sidecars = 0
        self.blocks = 0
        self.blocks_outside = 0  # the times asked for
        self.blocks_wanted = 0
        self.classes_no = 0
        self.classes_yes = 0
        self.classes_unsure = 0
        self.classes_unjudged = 0

    def begin(self, size_bytes: int, wanted_bytes: int) -> None:
        """Count a savefile of that size."""
        self.savefiles += 1
        self.savefile_bytes += size_bytes
        self.passed_over += self.indexed and wanted_bytes == 0

    def end(self, bytes_read: int, packets: int) -> None:
        """Count what was read of it."""
        self.bytes_read += bytes_read
        self.packets_read += packets

    def judged(self, selection: "Selection") -> None:
        """Count what its sidecar said."""
        self.indexed += 1
        self.blocks += selection.blocks
        self.blocks_outside += selection.blocks_outside
        self.blocks_wanted += selection.blocks_wanted
        self.classes_no += selection.classes_no
        self.classes_yes += selection.classes_yes
        self.classes_unsure += selection.classes_unsure
        self.classes_unjudged += selection.classes_unjudged

    def glanced(self, glance: "Glance", size_bytes: int) -> None:
        """Count savefiles of that size that a glance was enough for."""
        self.savefiles += glance.savefiles
        self.passed_over += glance.savefiles
        self.indexed += glance.savefiles
        self.savefile_bytes += size_bytes
        self.blocks += glance.blocks
        self.blocks_outside += glance.blocks_outside
        self.classes_no += glance.classes

    def add(self, other: "Stats") -> None:
        """Count everything that the other counts."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def lines(self, packets: int, spilled_bytes: int, took_ns: int) -> Iterator[str]:
        """What to show, after `packets` were given out."""
        read = self.savefiles - self.passed_over
        yield (
            f"{counted(packets, 'packet')} of {counted(self.packets_read, 'packet')} read,"
            f" in {duration(took_ns)}"
        )
        yield (
            f"{counted(read, 'savefile')} read, {self.passed_over:,} skipped;"
            f" {size(self.bytes_read)} read of {size(self.savefile_bytes)}"
        )
        if self.indexed:
            yield (
                f"{counted(self.indexed, 'savefile')} indexed:"
                f" {counted(self.blocks_wanted, 'block')} read of {self.blocks:,},"
                f" {self.blocks_outside:,} outside of the times"
            )
            yield (
                f"classes: {self.classes_no:,} cannot match, {self.classes_yes:,} match,"
                f" {self.classes_unsure:,} may, {self.classes_unjudged:,} did not matter"
            )
        for number, why in (
            (self.missing_sidecars, "without a sidecar"),
            (self.old_sidecars, "changed since the sidecar was made"),
            (self.damaged_sidecars, "with a damaged sidecar"),
        ):
            if number:
                yield f"{counted(number, 'savefile')} {why}, and so scanned"
        if self.passed_by:
            yield (
                f"{counted(self.passed_by, 'savefile')} left out by the times of the files, for"
                " want of a catalog and an index"
            )
        if spilled_bytes:
            yield f"{size(spilled_bytes)} were spilled to temporary files to be sorted"
