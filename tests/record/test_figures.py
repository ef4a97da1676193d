"""The line of JSON that tells how a recording goes."""

import json

import pytest

from daemonlogger_py.record.figures import (
    FILTER_CHARACTERS,
    Figures,
    Rates,
    about_room,
    kept_filter,
    line,
)
from daemonlogger_py.record.retention import Limits, Volume

SECOND_NS = 10**9
MIB = 1 << 20
VOLUME = Volume(1000 * MIB, 400 * MIB)


def figures(files: int = 5, ring_bytes: int = 45 * MIB, open_bytes: int = 5 * MIB) -> Figures:
    return Figures(
        interface_up=True,
        received=0,
        dropped=0,
        if_dropped=0,
        lost=0,
        written=0,
        written_bytes=0,
        buffers_used_bytes=0,
        buffers_limit_bytes=0,
        savefile="t.1",
        savefile_bytes=open_bytes,
        ring_files=files,
        ring_bytes=ring_bytes,
        oldest_ns=None,
        pinned_bytes=0,
        pinned_open_bytes=0,
    )


def test_rates_are_of_the_last_seconds() -> None:
    rates = Rates()
    assert rates.per_second() == (0, 0)
    assert not rates.known
    for second in range(20):
        rates.report(second * SECOND_NS, 100 * second, 7000 * second)
    assert rates.per_second() == (100, 7000)
    assert rates.known
    for second in range(20, 30):
        rates.report(second * SECOND_NS, 1900, 7000 * 19)
    assert rates.per_second() == (0, 0)


def test_rates_begin_anew_when_the_clock_is_set_back() -> None:
    rates = Rates()
    rates.report(100 * SECOND_NS, 10, 10)
    rates.report(50 * SECOND_NS, 20, 20)
    assert rates.per_second() == (0, 0)
    rates.report(51 * SECOND_NS, 30, 40)
    assert rates.per_second() == (10, 20)


@pytest.mark.parametrize(
    ("limits", "room_mib"),
    [
        (Limits(), 400),
        (Limits(max_files=20), 5 + 15 * 10),  # of the one being written, and whole ones
        (Limits(max_files=5), 5),  # until the next roll-over
        (Limits(max_bytes=100 * MIB), 100 - 10 - 45),
        (Limits(max_bytes=40 * MIB), 5),
        (Limits(min_free_bytes=300 * MIB), 400 - 300 - 10),
        (Limits(max_percent=70), 400 - 300 - 10),
        (Limits(max_files=20, min_free_bytes=350 * MIB), 40),
        (Limits(max_age_s=60), 400),
    ],
)
def test_room_until_the_oldest_has_to_go(limits: Limits, room_mib: int) -> None:
    found = about_room(figures()._asdict(), limits, VOLUME, 10 * MIB)

    assert found["room_bytes"] == room_mib * MIB
    assert found["volume_free_bytes"] == VOLUME.free_bytes


def test_limits_are_called_as_in_messages() -> None:
    limits = Limits(max_files=5, max_percent=70, max_age_s=3600)

    assert about_room({}, limits, VOLUME, 1)["limits"] == [
        "max files 5",
        "70% max disk utilization",
        "older than 1h",
    ]


def test_without_a_ring_there_is_no_room_to_speak_of() -> None:
    found = about_room(figures()._asdict(), None, VOLUME, 1)

    assert (found["limits"], found["room_bytes"]) == ([], None)


def test_one_line() -> None:
    assert line({"filter": "port 53\n"}).count(b"\n") == 1
    assert json.loads(line({"filter": "port 53\n"})) == {"filter": "port 53\n"}


def test_a_filter_is_kept_as_far_as_a_message_has_room() -> None:
    assert kept_filter("port 53") == "port 53"
    assert kept_filter("x" * FILTER_CHARACTERS) == "x" * FILTER_CHARACTERS
    cut = kept_filter("x" * (FILTER_CHARACTERS + 1))
    assert (len(cut), cut[-5:]) == (FILTER_CHARACTERS, "xx...")
