"""Lines on standard error, as many as are wanted: -d, -q and -v decide."""

import sys

from daemonlogger_py.config.streams import StreamsConfig

PROGRAM = "dlctl streams"
# Of -d, as with tcpflow; -v is 10.
DETAILS = 2
STREAMS = 5


class Teller:
    """Lines on standard error, as much as is wanted of them."""

    def __init__(self, config: StreamsConfig) -> None:
        self._silent = config.verbosity == 0
        self._quiet = config.quiet
        self._verbosity = config.verbosity

    def tell(self, line: str) -> None:
        """Say what went wrong with something."""
        if not self._silent:
            sys.stderr.write(f"{PROGRAM}: {line}\n")
            sys.stderr.flush()

    def warn(self, line: str) -> None:
        """Say what the user might want to know; -q is not to hear it."""
        if not self._quiet:
            self.tell(line)

    def detail(self, line: str) -> None:
        """Say what is only to be heard from -d 2 on."""
        if self._verbosity >= DETAILS:
            self.tell(line)

    @property
    def tells_streams(self) -> bool:
        """Whether each stream is told of."""
        return self._verbosity >= STREAMS
