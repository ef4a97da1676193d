"""Command lines told apart as glibc's getopt does, which the originals use.

Options may stand anywhere before ``--``, bundled (-rM65), their value attached or in the next
argument whatever that looks like (-t -1); the rest are words, so a filter may hold "-", ">" and
"(". argparse alone reads some of these otherwise, and not alike in every Python version.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from daemonlogger_py.config.option import Option
from daemonlogger_py.errors import UsageError

# An option, and the text of its value: None where it has none.
Found = tuple[Option, str | None]


class Table(NamedTuple):
    """The options of one command."""

    by_long: Mapping[str, Option]
    by_short: Mapping[str, Option]
    see_help: str  # ends the messages


def told_apart(argv: Sequence[str], table: Table) -> tuple[list[Found], list[str]]:
    """Return the options of `argv` in their order, and the words besides them.

    A switch that is given a value (--all=x) is returned with it, for the caller to refuse. Raises
    UsageError for an unknown option and for a value that is missing.
    """
    found: list[Found] = []
    words: list[str] = []
    rest = deque(argv)
    while rest:
        token = rest.popleft()
        if token == "--":  # noqa: S105
            words.extend(rest)
            break
        if token.startswith("--"):
            found.append(_long(token, rest, table))
        elif token.startswith("-") and token != "-":  # noqa: S105
            found.extend(_unbundled(token, rest, table))
        else:
            words.append(token)
    return found, words


def refuse_values_of_switches(found: Sequence[Found], see_help: str) -> None:
    """Raise UsageError for a switch that was given a value, as in --all=x."""
    for option, text in found:
        if option.metavar is None and text is not None:
            raise UsageError(f"{option.label}: takes no value; {see_help}")


def _long(token: str, rest: deque[str], table: Table) -> Found:
    name, equals, value = token[2:].partition("=")
    option = table.by_long.get(name)
    if option is None:
        raise UsageError(f"unknown option --{name}; {table.see_help}")
    if equals:
        return option, value
    return option, _next_value(option, rest, table) if option.metavar else None


def _unbundled(token: str, rest: deque[str], table: Table) -> Iterator[Found]:
    for at, letter in enumerate(token[1:], start=2):
        option = table.by_short.get(letter)
        if option is None:
            raise UsageError(f"unknown option -{letter}; {table.see_help}")
        if option.metavar is not None:
            yield option, token[at:] or _next_value(option, rest, table)
            return
        yield option, None


def _next_value(option: Option, rest: deque[str], table: Table) -> str | None:
    """The value of an option to which none is attached: the next argument."""
    if option.absent is not None:
        # The value may be left out: the next argument is a word unless it is a number.
        return rest.popleft() if rest and rest[0].removeprefix(".")[:1].isdigit() else None
    if not rest:
        raise UsageError(f"{option.label}: {option.metavar} is missing; {table.see_help}")
    return rest.popleft()
