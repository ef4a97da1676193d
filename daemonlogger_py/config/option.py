"""What an option of a command line is; the tables of options are made of it.

Numbers and times as values are `units`; what several options mean together is the tables' rules.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from daemonlogger_py.config import units
from daemonlogger_py.errors import UsageError

MAX_PREFIX_BYTES = 200  # leaves room for .EPOCH.SERIAL and for an archive's .part in 255

# What a TOML file may hold for an option.
NUMBER_TYPES = (int, str)
DECIMAL_TYPES = (int, float, str)
TEXT_TYPES = (str,)
LIST_TYPES = (str, list)
SWITCH_TYPES = (bool,)


class Option(NamedTuple):
    """One option of the command line; all but the commands are keys of the TOML file too.

    A named tuple, as what else a start defines: a dataclass takes six times as long for that.
    """

    long: str  # without the dashes
    help: str
    man: str  # paragraphs for the man page, empty lines between them
    group: str
    short: str | None = None  # the letter
    metavar: str | None = None  # None: a switch, which takes no value
    absent: str | None = None  # what it means without its value, where that may be left out
    repeatable: bool = False  # may be given several times; a list in TOML
    parse: Callable[[str], object] = units.parse_name
    types: tuple[type, ...] = SWITCH_TYPES  # what TOML may hold for it
    default: str | None = None  # as a person would write it
    command: bool = False  # does something else instead of recording; not a TOML key
    needs_ring: bool = False
    live_only: bool = False
    savefiles_only: bool = False  # refused for a soft tap that writes none

    @property
    def label(self) -> str:
        """The option as messages name it: -M/--max-percent."""
        return f"-{self.short}/--{self.long}" if self.short else f"--{self.long}"

    def as_given(self, text: str | None) -> str:
        """The option with its value, shortened where it is long: --from '-1h'; None: a switch."""
        return self.label if text is None else f"{self.label} {text[:80]!r}"

    def judged(self, text: str, label: str | None = None) -> Any:
        """The value that `text` stands for. `label` names the option where it is not its own.

        Raises UsageError naming it and what is accepted.
        """
        try:
            return self.parse(text)
        except ValueError as error:
            raise UsageError(f"{label or self.label}: {error}") from error


def parse_prefix(text: str) -> str:
    """Accept a savefile prefix: what may stand before ``.EPOCH`` in a file name."""
    # What is printable can be encoded: a name that is not UTF-8 ends here too.
    named = text not in ("", ".", "..") and "/" not in text and text.isprintable()
    if not named or len(text.encode()) > MAX_PREFIX_BYTES:
        raise ValueError(
            f"{text[:80]!r} is not accepted; accepted: a printable file name without slashes,"
            f" at most {MAX_PREFIX_BYTES} bytes, not '.' or '..'"
        )
    return text


def parse_file_name(text: str) -> str:
    """Accept the name of a file, without a directory."""
    if not text.isprintable() or "/" in text or text in ("", ".", "..") or len(text) > 255:
        raise ValueError(f"{text[:80]!r} is not accepted; accepted: a file name without slashes")
    return text
