"""A recorder's account of itself: the JSON that its catalog process answers, and what it says.

Pure. The account comes from another process, so it is checked field by field: what is missing, or
of another type than agreed, is not known.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from daemonlogger_py.readers.figures import counted, duration, size, utc
from daemonlogger_py.readers.tables import Fact
from daemonlogger_py.savefile.names import printable

# What an account holds: the type that a field must be of, and None for what is not known.
_INTEGERS = (
    "pid", "started_ns", "now_ns", "received", "dropped", "if_dropped", "lost", "written",
    "written_bytes", "buffers_used_bytes", "buffers_limit_bytes", "savefile_bytes", "ring_files",
    "ring_bytes", "oldest_ns", "volume_total_bytes", "volume_free_bytes", "room_bytes",
    "pinned_bytes", "pinned_open_bytes", "catalog_behind", "missed_messages",
)  # fmt: skip
_NUMBERS = ("rate_packets", "rate_bytes")
_TEXTS = ("version", "interface", "filter", "savefile")
_LARGEST = 1 << 63  # larger ones are nobody's count, and int() may take seconds to print them


def account_of(answer: bytes) -> dict[str, Any]:
    """The account in an answer: every field that is known, and None where one is not.

    Raises ValueError for what is no JSON object.
    """
    import json

    try:
        found = json.loads(answer)
    except RecursionError:
        found = None
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    account: dict[str, Any] = {}
    for name in (*_INTEGERS, *_NUMBERS):
        value = found.get(name)
        wanted = int if name in _INTEGERS else (int, float)
        fits = isinstance(value, wanted) and not isinstance(value, bool) and 0 <= value < _LARGEST
        account[name] = value if fits else None
    for name in _TEXTS:
        account[name] = found[name] if isinstance(found.get(name), str) else None
    up = found.get("interface_up")
    account["interface_up"] = up if isinstance(up, bool) else None
    limits = found.get("limits")
    account["limits"] = [str(one) for one in limits] if isinstance(limits, list) else []
    return account


def facts_of(account: Mapping[str, Any]) -> Iterator[Fact]:
    """What people are shown of an account; fields that are not known are left out."""
    yield _recorder(account)
    if account["interface"] is not None:
        down = account["interface_up"] is False
        state = " (down)" if down else ""
        yield Fact("interface", printable(account["interface"]) + state, "red" if down else "")
    if account["filter"]:
        yield Fact("filter", printable(account["filter"]))
    yield from _counts(account)
    if account["rate_bytes"] is not None:
        text = f"{size(account['rate_bytes'])}/s"
        if account["rate_packets"] is not None:
            text = f"{account['rate_packets']:,.0f} packets/s, {text}"
        yield Fact("rate", text)
    yield from _memory_and_disk(account)
    yield from _catalog_lines(account)


def _recorder(account: Mapping[str, Any]) -> Fact:
    text = "running"
    if account["started_ns"] is not None:
        text += f" since {_since(account['started_ns'], account['now_ns'])}"
    if account["pid"] is not None:
        text += f", process {account['pid']}"
    return Fact("recorder", text, "bold")


def _counts(account: Mapping[str, Any]) -> Iterator[Fact]:
    if account["received"] is not None:
        yield Fact("received", counted(account["received"], "packet"))
    by = (("dropped", "the kernel"), ("if_dropped", "the interface"))
    parts = [f"{account[name]:,} by {who}" for name, who in by if account[name] is not None]
    if parts:
        missed = any(account[name] for name, _ in by)
        yield Fact("dropped", ", ".join(parts), "yellow" if missed else "")
    if account["lost"] is not None:
        yield Fact("lost", f"{account['lost']:,}", "red" if account["lost"] else "")
    if account["written"] is not None:
        size_text = _size(account["written_bytes"])
        yield Fact("written", f"{counted(account['written'], 'packet')}, {size_text}")


def _since(begin_ns: int, now_ns: int | None) -> str:
    if now_ns is None:
        return utc(begin_ns)
    return f"{utc(begin_ns)} ({duration(max(now_ns - begin_ns, 0))})"


def _memory_and_disk(account: Mapping[str, Any]) -> Iterator[Fact]:
    if account["buffers_used_bytes"] is not None:
        used, limit = account["buffers_used_bytes"], account["buffers_limit_bytes"]
        yield Fact("buffers", f"{size(used)} of {_size(limit)}")
    if account["savefile"] is not None:
        name = printable(account["savefile"])
        yield Fact("savefile", f"{name}, {_size(account['savefile_bytes'])}")
    if account["ring_files"] is not None:
        text = f"{counted(account['ring_files'], 'savefile')}, {_size(account['ring_bytes'])}"
        if account["oldest_ns"] is not None:
            text += f", since {_since(account['oldest_ns'], account['now_ns'])}"
        yield Fact("ring", text)
    if account["pinned_bytes"]:
        yield Fact("pinned", size(account["pinned_bytes"]))
    if account["volume_free_bytes"] is not None:
        free, total = account["volume_free_bytes"], account["volume_total_bytes"]
        yield Fact("volume", f"{size(free)} free of {_size(total)}")
    if account["limits"]:
        yield Fact("limits", ", ".join(map(printable, account["limits"])))
    yield Fact("time left", _time_left(account))


def _time_left(account: Mapping[str, Any]) -> str:
    """How long until the oldest savefile is pruned, if all goes on as in the last seconds."""
    room_bytes, rate_bytes = account["room_bytes"], account["rate_bytes"]
    if room_bytes is None:
        return "not known" if account["limits"] else "there is no limit: nothing is pruned"
    if _all_pinned(account):
        return "nothing can be pruned: all savefiles are pinned"
    which = "unpinned savefile" if account["pinned_bytes"] else "savefile"
    room = f"{size(room_bytes)} until the oldest {which} is pruned"
    if not rate_bytes:
        return f"{room}; nothing is written now"
    span_ns = min(int(room_bytes / rate_bytes * 1e9), _LARGEST)
    return f"{duration(span_ns)} at this rate, {room}"


def _all_pinned(account: Mapping[str, Any]) -> bool:
    pinned_bytes, ring_bytes = account["pinned_bytes"], account["ring_bytes"]
    if not pinned_bytes or ring_bytes is None:
        return False
    sealed_pinned_bytes = pinned_bytes - (account["pinned_open_bytes"] or 0)
    return bool(sealed_pinned_bytes >= ring_bytes - (account["savefile_bytes"] or 0))


def _catalog_lines(account: Mapping[str, Any]) -> Iterator[Fact]:
    parts = []
    if account["catalog_behind"]:
        parts.append(f"{counted(account['catalog_behind'], 'savefile')} behind")
    if account["missed_messages"]:
        parts.append(f"{counted(account['missed_messages'], 'message')} missed")
    if parts:
        yield Fact("catalog", ", ".join(parts), "yellow")


def _size(size_bytes: int | None) -> str:
    return "an unknown size" if size_bytes is None else size(size_bytes)
