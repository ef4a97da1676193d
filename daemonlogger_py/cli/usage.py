"""What --help shows of a table of options, for all verbs that have one."""

import textwrap
from collections.abc import Iterator, Sequence

from daemonlogger_py.config.option import Option

_WIDTH = 79
_TEXT_COLUMN = 26


def option_rows(groups: Sequence[str], table: Sequence[Option]) -> Iterator[str]:
    """Lines that list the options of `table`, each group under its name."""
    for group in groups:
        yield from ("", f"{group}:")
        for option in table:
            if option.group == group:
                names = [f"-{option.short}"] if option.short else []
                names.append(f"--{option.long}")
                value = option.metavar or ""
                value = f" [{value}]" if option.absent is not None else f" {value}".rstrip()
                default = f" (default: {option.default})" if option.default else ""
                yield from row(", ".join(names) + value, option.help + default)


def row(term: str, text: str) -> Iterator[str]:
    """Lines with `term` on the left and `text` on the right."""
    lines = wrapped(text, _TEXT_COLUMN)
    if len(term) > _TEXT_COLUMN - 4:
        yield f"  {term}"
    else:
        lines[0] = f"  {term}".ljust(_TEXT_COLUMN) + lines[0][_TEXT_COLUMN:]
    yield from lines


def wrapped(text: str, indent: int = 0) -> list[str]:
    """Lines of at most 79 characters, indented by `indent` blanks."""
    margin = " " * indent
    return textwrap.wrap(
        text, _WIDTH, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False
    )
