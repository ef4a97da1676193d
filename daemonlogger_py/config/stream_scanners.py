"""What -e, -E, -x and -S of ``dlctl streams`` can name: scanners, and the parameters of them.

Reading one value is here; what scanners and parameters mean to each other is `stream_rules`. Tables
are of named tuples: a dataclass takes six times as long to define, at each start.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from daemonlogger_py.config import units

MAX_SECONDS = 36_500 * 86_400  # a century, as in `units`
_SECONDS = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,9}))?", re.ASCII)
_DOTTED_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_BOOLEANS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


class Scanner(NamedTuple):
    """What -e enables and -x disables."""

    name: str
    help: str
    on: bool = False  # without any option


SCANNERS = (
    Scanner("http", "extract the bodies of HTTP messages from each stream"),
    Scanner("md5", "the MD5 of each stream, in the report (-FM)"),
    Scanner("python", "give each stream to a Python function (-S py_module, py_function)"),
    Scanner("tcpdemux", "store streams; without it nothing is stored", on=True),
)
SCANNER_NAMES = tuple(scanner.name for scanner in SCANNERS)
# tcpflow draws with Cairo, and where it was built without, as by Debian, these two do nothing.
UNAVAILABLE = ("netviz", "wifiviz")
ALL = "all"


class Parameter(NamedTuple):
    """One NAME of -S NAME=VALUE."""

    name: str
    default: str  # as a person would write it
    help: str
    parse: Callable[[str], object]


def parse_scanner(text: str) -> str:
    """Accept the name of a scanner, or all; those that only tcpflow has are told apart."""
    if text in UNAVAILABLE:
        raise ValueError(
            f"{text!r} is not available: nothing is drawn here;"
            f" accepted: {', '.join((ALL, *SCANNER_NAMES))}"
        )
    return units.parse_choice(text, (ALL, *SCANNER_NAMES))


def parse_disabled(text: str) -> str:
    """Accept the name of a scanner to go without: those that are never there too."""
    return text if text in UNAVAILABLE else parse_scanner(text)


def parse_assignment(text: str) -> tuple["Parameter", object]:
    """Return which parameter "name=value" sets, and to what."""
    name, equals, value = text.partition("=")
    parameter = BY_NAME.get(name)
    if not equals or parameter is None:
        raise ValueError(
            f"{text[:80]!r} is not accepted; accepted: NAME=VALUE, NAME one of {', '.join(BY_NAME)}"
        )
    try:
        return parameter, parameter.parse(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def parse_span(text: str, *, signed: bool = False) -> int:
    """Nanoseconds from seconds with up to nine decimals; "-" before them where `signed`."""
    match = _SECONDS.fullmatch(text)
    if match and int(match[2]) <= MAX_SECONDS and (signed or not match[1]):
        span_ns = int(match[2]) * 1_000_000_000 + int((match[3] or "").ljust(9, "0"))
        return -span_ns if match[1] else span_ns
    bounds = "of at most 100 years" + ("" if signed else ", not negative")
    raise ValueError(
        f"{text[:80]!r} is not accepted; accepted: seconds, with up to nine decimals, {bounds}"
    )


def parse_boolean(text: str) -> bool:
    """Accept yes, no and what else is written for them, in any case."""
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError(f"{text[:80]!r} is not accepted; accepted: yes or no") from None


def parse_command(text: str) -> tuple[str, ...]:
    """Words of a command, quoted as for a shell; none is ever started."""
    import shlex

    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"{text[:80]!r} is not accepted: {error}; accepted: a command") from None
    if not words or not words[0] or "\0" in text:
        raise ValueError(f"{text[:80]!r} is not accepted; accepted: a command and its arguments")
    return words


def parse_python_name(text: str) -> str:
    """Accept what Python can import: a name, or several with dots between."""
    if not _DOTTED_NAME.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not accepted; accepted: a name of Python")
    return text


def parse_directory(text: str) -> str:
    """Accept any path; none at all is "", as the default."""
    return units.parse_name(text) if text else text


PARAMETERS = (
    Parameter(
        name="tcp_timeout",
        default="0",
        help="seconds of capture time without a packet of either side after which a connection is"
        " closed; 0: never",
        parse=parse_span,
    ),
    Parameter(
        name="tdelta",
        default="0",
        help="seconds added to every time that is told; may be negative",
        parse=partial(parse_span, signed=True),
    ),
    Parameter(
        name="enable_report",
        default="yes",
        help="whether the report is written",
        parse=parse_boolean,
    ),
    Parameter(
        name="tcp_cmd",
        default="none",
        help="command run with the file of each closed stream; no shell reads it",
        parse=parse_command,
    ),
    Parameter(
        name="http_cmd",
        default="none",
        help="command run with the file of each HTTP body; no shell reads it",
        parse=parse_command,
    ),
    Parameter(
        name="tcp_alert_fd",
        default="none",
        help="descriptor that is told of each stream file: open or close, a tab, its name",
        parse=partial(units.parse_count, at_most=1 << 20),
    ),
    Parameter(
        name="http_alert_fd",
        default="none",
        help="the same for each HTTP body",
        parse=partial(units.parse_count, at_most=1 << 20),
    ),
    Parameter(
        name="py_path",
        default="none",
        help="directory in which Python looks for py_module first",
        parse=parse_directory,
    ),
    Parameter(
        name="py_module",
        default="none",
        help="module of the function for -e python",
        parse=parse_python_name,
    ),
    Parameter(
        name="py_function",
        default="none",
        help="function that is given each stream, and whose text goes into the report",
        parse=parse_python_name,
    ),
    Parameter(
        name="py_timeout",
        default="60",
        help="seconds that one call of it may take",
        parse=units.parse_interval,
    ),
    Parameter(
        name="packet-buffer-timeout",
        default="10",
        help="accepted as tcpflow has it, without effect: packets are taken as they arrive",
        parse=partial(units.parse_count, at_least=0),
    ),
    Parameter(
        name="check_fcs",
        default="yes",
        help="accepted as tcpflow has it, without effect: it was wifiviz's",
        parse=parse_boolean,
    ),
)
BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}
