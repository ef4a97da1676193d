"""Times, sizes and durations as readers show them to people.

Pure: numbers in, text out. Times are UTC, and --from and --to take them as they stand here.
"""

import time

_NS = 1_000_000_000
_SIZE_PREFIXES = "KMGT"
_DURATION_UNITS = ((604_800, "w"), (86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def utc(time_ns: int) -> str:
    """The second of a time in nanoseconds since 1970: 2026-11-21T14:00:01Z."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_ns // _NS))
    except (ValueError, OverflowError, OSError):  # past what a calendar can hold
        return f"{time_ns // _NS}"


def size(size_bytes: float) -> str:
    """Bytes in powers of 1024, with three digits: 9.54 MiB."""
    number, prefix = _scaled(size_bytes)
    return f"{number} {prefix}iB" if prefix else f"{number} B"


def short_size(size_bytes: float) -> str:
    """The same where there is little room: 9.54M."""
    return "".join(_scaled(size_bytes))


def _scaled(size_bytes: float) -> tuple[str, str]:
    """Three digits, and the letter of the power of 1024 that they count."""
    if size_bytes < 1024:
        return f"{size_bytes:.0f}", ""
    power = 0
    while power < len(_SIZE_PREFIXES) and (power == 0 or size_bytes >= 999.5):
        size_bytes /= 1024
        power += 1
    digits = 2 if size_bytes < 9.995 else 1 if size_bytes < 99.95 else 0
    return f"{size_bytes:,.{digits}f}", _SIZE_PREFIXES[power - 1]


def duration(span_ns: int) -> str:
    """A span of time by its two largest units: 3 d 4 h; below a minute to the tenth: 2.5 s."""
    if span_ns < 60 * _NS:
        return f"{span_ns / _NS:.1f} s"
    rest_s = span_ns // _NS
    parts: list[str] = []
    for seconds, unit in _DURATION_UNITS:
        if rest_s >= seconds or parts:
            parts.append(f"{rest_s // seconds} {unit}")
            rest_s %= seconds
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if not part.startswith("0 "))


def counted(number: int, what: str) -> str:
    """A number of things, with a comma each thousand: 1 packet, 1,234 packets."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
