"""One class for each failure a caller would treat differently; the exit status is on the class.

    DaemonloggerError          1  (never raised itself)
    +-- UsageError             2  the command line, the configuration file or the filter is wrong
    |   +-- FilterError        2  libpcap does not compile the filter
    +-- PrivilegeError         2  privileges cannot be given up as asked
    +-- SourceError            1  an interface or a savefile cannot be opened, or failed while read
    +-- StorageError           1  the log directory or its volume failed while recording
    +-- CatalogError           1  a ring's catalog is damaged, locked, missing or not writable
    +-- OutputError            1  standard output does not take what is written to it

Messages are one line: what, where, what is accepted.
"""


class DaemonloggerError(Exception):
    """Base of all failures that end a command with a message instead of a traceback."""

    exit_status = 1
    told = False
    """Said already, in a form that whoever reads the messages expects."""


class UsageError(DaemonloggerError):
    """The command line, the configuration file or the filter is wrong; nothing was opened."""

    exit_status = 2


class FilterError(UsageError):
    """The filter does not compile; the message holds libpcap's words and the filter."""


class PrivilegeError(DaemonloggerError):
    """Privileges cannot be given up as asked; nothing was recorded yet."""

    exit_status = 2


class SourceError(DaemonloggerError):
    """An interface or a savefile cannot be opened, or failed while packets were read from it."""


class StorageError(DaemonloggerError):
    """The log directory or its volume failed while recording."""


class CatalogError(DaemonloggerError):
    """A ring's catalog is damaged, locked, missing or not writable; the savefiles may be fine."""

    locked = False
    """Another process held it for too long; nothing else is wrong."""
    damaged = False
    """What it holds is not what was written, or not a catalog: it has to be made anew."""


class OutputError(DaemonloggerError):
    """Standard output does not take what is written to it; the OSError is its cause."""
