"""A recorder's account of itself: what is believed of it, and what people are told."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.readers.account import account_of, facts_of

NS = 1_000_000_000
START_NS = 1_700_000_000 * NS
WHOLE = {
    "version": "0.1.0",
    "pid": 77,
    "started_ns": START_NS,
    "now_ns": START_NS + 3_661 * NS,
    "interface": "eth0",
    "interface_up": True,
    "filter": "tcp port 80",
    "received": 1_234_567,
    "dropped": 0,
    "if_dropped": 0,
    "lost": 0,
    "written": 1_234_560,
    "written_bytes": 1 << 30,
    "rate_packets": 12_345.6,
    "rate_bytes": 10 << 20,
    "buffers_used_bytes": 4 << 20,
    "buffers_limit_bytes": 256 << 20,
    "savefile": "eth0.pcap.1700003600",
    "savefile_bytes": 5 << 20,
    "ring_files": 120,
    "ring_bytes": 12 << 30,
    "oldest_ns": START_NS - 86_400 * NS,
    "volume_total_bytes": 500 << 30,
    "volume_free_bytes": 100 << 30,
    "limits": ["--max-bytes 300g"],
    "room_bytes": 288 << 30,
    "pinned_bytes": 0,
    "pinned_open_bytes": 0,
    "catalog_behind": 0,
    "missed_messages": 0,
}


def told(**fields: object) -> dict[str, str]:
    """What people are shown, by label, of the account with these fields."""
    account = account_of(json.dumps(WHOLE | fields).encode())
    return {fact.label: fact.text for fact in facts_of(account)}


def style(label: str, **fields: object) -> str:
    account = account_of(json.dumps(WHOLE | fields).encode())
    return {fact.label: fact.style for fact in facts_of(account)}[label]


def test_a_whole_account_is_believed_whole() -> None:
    assert account_of(json.dumps(WHOLE).encode() + b"\n") == WHOLE


def test_what_people_are_told() -> None:
    assert told() == {
        "recorder": "running since 2023-11-14T22:13:20Z (1 h 1 min), process 77",
        "interface": "eth0",
        "filter": "tcp port 80",
        "received": "1,234,567 packets",
        "dropped": "0 by the kernel, 0 by the interface",
        "lost": "0",
        "written": "1,234,560 packets, 1.00 GiB",
        "rate": "12,346 packets/s, 10.0 MiB/s",
        "buffers": "4.00 MiB of 256 MiB",
        "savefile": "eth0.pcap.1700003600, 5.00 MiB",
        "ring": "120 savefiles, 12.0 GiB, since 2023-11-13T22:13:20Z (1 d 1 h)",
        "volume": "100 GiB free of 500 GiB",
        "limits": "--max-bytes 300g",
        "time left": "8 h 11 min at this rate, 288 GiB until the oldest savefile is pruned",
    }


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"rate_bytes": 0}, "288 GiB until the oldest savefile is pruned; nothing is written now"),
        (
            {"rate_bytes": 0, "pinned_bytes": 1},
            "288 GiB until the oldest unpinned savefile is pruned; nothing is written now",
        ),
        (
            {"pinned_bytes": (12 << 30) - (5 << 20)},
            "nothing can be pruned: all savefiles are pinned",
        ),
        (
            {"rate_bytes": 0, "pinned_bytes": 12 << 30, "pinned_open_bytes": 5 << 20},
            "nothing can be pruned: all savefiles are pinned",
        ),
        (
            {"rate_bytes": 0, "pinned_bytes": (12 << 30) - 1, "pinned_open_bytes": 5 << 20},
            "288 GiB until the oldest unpinned savefile is pruned; nothing is written now",
        ),
        ({"room_bytes": None}, "not known"),
        ({"room_bytes": None, "limits": []}, "there is no limit: nothing is pruned"),
        ({"room_bytes": 0}, "0.0 s at this rate, 0 B until the oldest savefile is pruned"),
    ],
)
def test_time_left(fields: dict[str, object], text: str) -> None:
    assert told(**fields)["time left"] == text


def test_what_is_wrong_is_seen() -> None:
    assert told(interface_up=False)["interface"] == "eth0 (down)"
    assert style("interface", interface_up=False) == "red"
    assert told(dropped=3, if_dropped=4)["dropped"] == "3 by the kernel, 4 by the interface"
    assert style("dropped", dropped=1) == style("dropped", if_dropped=1) == "yellow"
    assert style("lost", lost=1) == "red"
    assert style("lost") == style("dropped") == ""
    behind = told(catalog_behind=2, missed_messages=1)["catalog"]
    assert behind == "2 savefiles behind, 1 message missed"
    assert "catalog" not in told()
    assert told(pinned_bytes=1 << 30)["pinned"] == "1.00 GiB"


def test_what_is_missing_is_left_out() -> None:
    account = account_of(b"{}")
    assert set(account) == set(WHOLE)
    assert {fact.label: fact.text for fact in facts_of(account)} == {
        "recorder": "running",
        "time left": "there is no limit: nothing is pruned",
    }


@pytest.mark.parametrize("answer", [b"", b"[]", b"{", b"7", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_account(answer: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|valu|decode|Expecting"):
        account_of(answer)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pid", "77"),
        ("pid", True),
        ("dropped", -1),
        ("dropped", 1.5),
        ("dropped", 1 << 64),
        ("rate_bytes", float("nan")),
        ("rate_bytes", float("inf")),
        ("interface", 5),
        ("interface_up", "yes"),
        ("oldest_ns", [1]),
    ],
)
def test_a_field_of_another_type_is_not_known(name: str, value: object) -> None:
    assert account_of(json.dumps(WHOLE | {name: value}).encode())[name] is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(list(WHOLE)), JSON))
def test_whatever_stands_in_it_can_be_shown(fields: dict[str, object]) -> None:
    for label, text in told(**fields).items():
        assert f"{label}{text}".isprintable()
