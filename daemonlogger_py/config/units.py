"""Numbers as people write them: sizes, times, percentages, counts.

Pure, but for times counted from now: text in, number out. Every parser raises ValueError, and
nothing else, with a message that holds the text and what is accepted; which option it was for is
added by the caller.
"""

import re

from daemonlogger_py.errors import UsageError

MAX_BYTES = 1 << 62  # offsets are signed 64-bit; this leaves room to add two of them
MAX_COUNT = 1 << 62
LOOPBACK = "127.0.0.1"
MAX_SECONDS = 36_500 * 86_400  # a century: past any use, well inside what a calendar can hold

_SIZE_SHIFT = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
_UNIT_SECONDS = {"": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
UNIT_NAMES = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

# ASCII alone: int() would take any script's digits, and no one writes those on purpose here.
_SIZE = re.compile(r"([0-9]+)([kmgt]?)", re.ASCII | re.IGNORECASE)
_DURATION = re.compile(r"([0-9]+)([a-z]?)", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?|\.[0-9]{1,9}", re.ASCII)


def unit_seconds(unit: str) -> int:
    """Seconds in one `unit` as `parse_duration` returns it: s, m, h, d or w."""
    return _UNIT_SECONDS[unit.replace("s", "")]


def format_size(size_bytes: int) -> str:
    """Return the shortest text that `parse_size` turns back into `size_bytes`: 67108864 is 64m."""
    for suffix in "tgmk":
        shift = _SIZE_SHIFT[suffix]
        if size_bytes and size_bytes % (1 << shift) == 0:
            return f"{size_bytes >> shift}{suffix}"
    return str(size_bytes)


def parse_size(text: str, at_least: int = 1, at_most: int = MAX_BYTES) -> int:
    """Bytes from "65536", "90m" or "2G" (powers of 1024), within the bounds given."""
    match = _SIZE.fullmatch(text)
    size_bytes = _integer(match[1]) << _SIZE_SHIFT[match[2].lower()] if match else None
    if size_bytes is None or not at_least <= size_bytes <= at_most:
        bounds = f"{format_size(at_least)} or more"
        if at_most < MAX_BYTES:
            bounds = f"from {format_size(at_least)} to {at_most}"
        raise _refusal(text, f"bytes, or a number and k, m, g or t (powers of 1024); {bounds}")
    return size_bytes


def parse_count(text: str, at_least: int = 1, at_most: int = MAX_COUNT) -> int:
    """Return a whole number within the bounds given."""
    number = _integer(text) if text.isascii() and text.isdigit() else None
    if number is None or not at_least <= number <= at_most:
        bounds = f"{at_least} or more" if at_most == MAX_COUNT else f"from {at_least} to {at_most}"
        raise _refusal(text, f"a whole number, {bounds}")
    return number


def parse_percent(text: str, at_least: float = 1, at_most: float = 100) -> float:
    """Return the percentage in "65", "87.5" or "15%", within the bounds given."""
    digits = text.removesuffix("%")
    if not _DECIMAL.fullmatch(digits) or not at_least <= float(digits) <= at_most:
        raise _refusal(text, f"a percentage from {at_least:g} to {at_most:g}, such as 65 or 87.5")
    return float(digits)


def parse_min_free(text: str) -> int | float:
    """Space to leave free: an int is bytes, a float is percent of the volume ("15%")."""
    try:
        if text.endswith("%"):
            return parse_percent(text, 0.1, 99.9)
        return parse_size(text)
    except ValueError as error:
        raise ValueError(f"{error}; or a percentage of the volume such as 15%") from None


def parse_duration(text: str, units: str) -> tuple[int, str]:
    """How many of which unit: "60" is (60, "s"), "2h" is (2, "h").

    `units` holds the letters accepted besides plain seconds. The whole is at most a century.
    """
    match = _DURATION.fullmatch(text)
    if match and (not match[2] or match[2] in units):
        count = _integer(match[1])
        if 1 <= count <= MAX_SECONDS // _UNIT_SECONDS[match[2]]:
            return count, match[2] or "s"
    suffixes = ", ".join(f"N{letter} {UNIT_NAMES[letter]}" for letter in units)
    raise _refusal(text, f"N seconds, or {suffixes}; N is 1 or more, the whole at most 100 years")


def parse_age(text: str) -> int:
    """Seconds from "3600", "90m", "12h", "7d" or "2w"."""
    count, unit = parse_duration(text, "mhdw")
    return count * unit_seconds(unit)


def parse_interval(text: str) -> float:
    """Seconds between two reports: 0.1 to a day, fractions allowed."""
    if not _DECIMAL.fullmatch(text) or not 0.1 <= float(text) <= 86_400:
        raise _refusal(text, "seconds from 0.1 to 86400")
    return float(text)


def parse_factor(text: str) -> float:
    """How many times as fast: 0.001 to 1000."""
    if not _DECIMAL.fullmatch(text) or not 0.001 <= float(text) <= 1000:
        raise _refusal(text, "a factor from 0.001 to 1000")
    return float(text)


def parse_endpoint(text: str) -> tuple[str, int]:
    """Address and TCP port from "9100", "192.0.2.1:9100" or "[::1]:9100"."""
    import ipaddress  # 4 ms that only --metrics needs

    host, colon, digits = text.rpartition(":")
    host = host if colon else LOOPBACK
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
        port = parse_count(digits, 1, 65_535)
        if (address.version == 6) != bracketed:
            raise ValueError
    except ValueError:
        raise _refusal(text, "PORT, ADDR:PORT or [ADDR]:PORT with a numeric address") from None
    return str(address), port


def parse_time(text: str) -> int:
    """Nanoseconds since 1970 of a point in time, which may be counted from now: `config.times`."""
    if text.isascii() and text.isdecimal() and len(text) <= 12:  # seconds, as `times` has them
        return int(text) * 1_000_000_000
    import time

    from daemonlogger_py.config import times  # compiles five patterns that few options need

    try:
        return times.parse_time(text, time.time_ns())
    except UsageError as error:
        raise ValueError(str(error)) from None


def parse_choice(text: str, choices: tuple[str, ...]) -> str:
    """One of `choices`, as it stands."""
    if text not in choices:
        raise _refusal(text, " or ".join([", ".join(choices[:-1]), choices[-1]]))
    return text


def parse_name(text: str) -> str:
    """Any text but none: an interface, a path."""
    # The kernel ends names at a NUL: what came behind it would be ignored without a word.
    if not text or "\0" in text:
        raise _refusal(text, "a name")
    return text


def _integer(digits: str) -> int:
    # Past 20 digits the value is out of every bound, and int() itself refuses past 4300.
    digits = digits.lstrip("0")
    return int(digits[:20] or "0") if len(digits) <= 20 else 1 << 70


def _refusal(text: str, accepted: str) -> ValueError:
    shown = text if len(text) <= 80 else text[:77] + "..."
    return ValueError(f"{shown!r} is not accepted; accepted: {accepted}")
