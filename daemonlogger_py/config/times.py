"""Points in time as people write them, for ``--from`` and ``--to``.

Pure but for the machine's time zone: text and the present in, nanoseconds since 1970 out. A time
without a zone is local time. Which option a refused text was for is added by the caller.
"""

import re
from datetime import UTC, date, datetime, time, timedelta, timezone

from daemonlogger_py.errors import UsageError

ACCEPTED = (
    "seconds since 1970 (1700000000.5), a date and time (2024-05-01T14:00:00Z, with Z, +02:00 or"
    " in local time), a time ago (-90m; s, m, h, d or w), [today|yesterday] 14:00, now"
)

_NS = 1_000_000_000
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_CLOCK = r"(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?"
_ZONE = r"(?P<zone>Z|[+-]\d\d(?::?\d\d)?)"

_EPOCH = re.compile(r"(?P<seconds>\d{1,12})(?:\.(?P<fraction>\d{1,9}))?", re.ASCII)
_AGO = re.compile(r"-(?P<count>\d{1,12})(?P<unit>[smhdw])", re.ASCII)
_ISO = re.compile(
    rf"(?P<date>\d{{4}}-\d\d-\d\d)(?:[T ]{_CLOCK}{_ZONE}?)?", re.ASCII | re.IGNORECASE
)
_DAY = re.compile(rf"(?:(?P<day>today|yesterday)(?: {_CLOCK})?)", re.ASCII | re.IGNORECASE)
_OF_TODAY = re.compile(_CLOCK, re.ASCII)


def parse_time(text: str, now_ns: int) -> int:
    """Nanoseconds since 1970 that `text` means when it is `now_ns`.

    A day without a time is its midnight. Raises UsageError, naming what is accepted, also for a
    time that no calendar has, and for one before 1970.
    """
    try:
        found_ns = _read(text, now_ns)
    except (ValueError, OverflowError, OSError):  # the last two: past what a calendar can hold
        found_ns = None
    if found_ns is None or found_ns < 0:
        raise UsageError(f"{text!r} is no time; accepted: {ACCEPTED}")
    return found_ns


def _read(text: str, now_ns: int) -> int | None:
    if text == "now":
        return now_ns
    if match := _EPOCH.fullmatch(text):
        return int(match["seconds"]) * _NS + _fraction_ns(match)
    if match := _AGO.fullmatch(text):
        return now_ns - int(match["count"]) * _UNIT_SECONDS[match["unit"]] * _NS
    if match := _ISO.fullmatch(text):
        return _at(date.fromisoformat(match["date"]), match, _zone(match["zone"]))
    today = datetime.fromtimestamp(now_ns // _NS).date()
    if match := _OF_TODAY.fullmatch(text):
        return _at(today, match, None)
    if match := _DAY.fullmatch(text):
        back = timedelta(days=match["day"].lower() == "yesterday")
        return _at(today - back, match, None)
    return None


def _at(day: date, match: re.Match[str], zone: timezone | None) -> int:
    clock = time(int(match["hour"] or 0), int(match["minute"] or 0), int(match["second"] or 0))
    # Naive means local; an hour that summer time doubles is its first, one that it skips is moved.
    moment = datetime.combine(day, clock, zone)
    return int(moment.timestamp()) * _NS + _fraction_ns(match)


def _fraction_ns(match: re.Match[str]) -> int:
    return int((match["fraction"] or "0").ljust(9, "0"))


def _zone(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text in "Zz":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    if int(digits[2:]) > 59:
        raise ValueError(text)
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)
