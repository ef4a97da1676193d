"""What one run of ``dlctl index`` did, and how that is told: each savefile, and all in a line."""

import os
from typing import TYPE_CHECKING

from daemonlogger_py.readers.index.sidecar import sidecar_name
from daemonlogger_py.readers.output import tell, write_lines

if TYPE_CHECKING:
    from daemonlogger_py.readers.index.directory import Index, Job

VERB = "index"


class Account:
    """Counts what was done; `verbose` says each time what it was. Any thread's, one at a time."""

    def __init__(self, *, verbose: bool) -> None:
        self.indexed = self.too_small = self.passed_over = self.removed = self.failed = 0
        self.savefiles_bytes = self.sidecars_bytes = 0
        self._verbose = verbose

    def built(self, job: "Job", sidecar_bytes: int) -> None:
        """Count a savefile that was indexed."""
        self.indexed += 1
        self.savefiles_bytes += job.size_bytes
        self.sidecars_bytes += sidecar_bytes
        share = _share(sidecar_bytes, job.size_bytes)
        self._say(f"{job.shown}: indexed, {sidecar_bytes} bytes, {share}")

    def small(self, job: "Job", smallest_bytes: int) -> None:
        """Count a savefile that is read as quickly as a sidecar would be."""
        self.too_small += 1
        self._say(f"{job.shown}: passed over: smaller than {smallest_bytes} bytes")

    def passed(self, job: "Job", reason: object) -> None:
        """Count a savefile that cannot have a sidecar."""
        self.passed_over += 1
        self._say(f"{job.shown}: passed over: {reason}")

    def gone(self, index: "Index", name: str) -> None:
        """Count a sidecar that was removed, by its savefile's name."""
        self.removed += 1
        self._say(f"{os.path.join(index.shown, sidecar_name(name))}: removed")

    def refused(self, shown: str, error: Exception) -> None:
        """Count what failed; it is told in any case."""
        self.failed += 1
        reason = error.strerror if isinstance(error, OSError) else error
        tell(VERB, f"{shown}: {reason}")

    def line(self) -> str:
        """What all of it comes to."""
        parts = [f"{self.indexed} indexed"]
        if self.indexed:
            share = _share(self.sidecars_bytes, self.savefiles_bytes)
            parts[0] += f" ({self.sidecars_bytes} bytes, {share} of the savefiles)"
        for count, what in (
            (self.too_small, "too small to need an index"),
            (self.passed_over, "passed over"),
            (self.removed, "removed"),
            (self.failed, "failed"),
        ):
            if count:
                parts.append(f"{count} {what}")
        return ", ".join(parts)

    def _say(self, line: str) -> None:
        if self._verbose:
            write_lines([line])


def _share(part_bytes: int, whole_bytes: int) -> str:
    return f"{100 * part_bytes / max(whole_bytes, 1):.2f} %"
