"""What systemd is told, by a socket that stands in for its own."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.service.notify import STATUS_MAX_BYTES, Notifier

from .receiver import Receiver


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Receiver]:
    with Receiver(str(tmp_path / "notify")) as receiver:
        yield receiver


def notifier(systemd: Receiver, **variables: str) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": systemd.address, **variables})


def test_each_state_is_one_message(systemd: Receiver) -> None:
    told = notifier(systemd)
    told.ready()
    told.ready("sniffing on eth0")
    told.status("12 packets")
    told.stopping()
    told.stopping("writing what is left")
    told.close()

    assert systemd.waiting() == [
        "READY=1",
        "READY=1\nSTATUS=sniffing on eth0",
        "STATUS=12 packets",
        "STOPPING=1",
        "STOPPING=1\nSTATUS=writing what is left",
    ]


def test_reloading_says_when(systemd: Receiver) -> None:
    told = notifier(systemd)
    before_usec = time.monotonic_ns() // 1000
    told.reloading("reading the filter file")
    after_usec = time.monotonic_ns() // 1000
    told.close()

    state, when, status = systemd.next().split("\n")
    assert (state, status) == ("RELOADING=1", "STATUS=reading the filter file")
    assert before_usec <= int(when.removeprefix("MONOTONIC_USEC=")) <= after_usec


def test_abstract_socket() -> None:
    with Receiver(f"@daemonlogger-test-{os.getpid()}") as systemd:
        told = notifier(systemd)
        assert told.connected is True
        told.ready()
        told.close()

        assert told.connected is False
        assert systemd.waiting() == ["READY=1"]


def test_path_is_needed_once(systemd: Receiver) -> None:
    """As inside a chroot, where it leads nowhere."""
    told = notifier(systemd)
    os.unlink(systemd.address)
    told.ready()
    told.close()

    assert systemd.waiting() == ["READY=1"]


def test_variables_are_not_left_to_children(
    systemd: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    told = Notifier()
    told.watchdog()
    told.close()

    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & os.environ.keys()
    assert systemd.waiting() == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "vsock:2:1234",
        "notify",
        "/nowhere/notify",
        "/" + "x" * 200,
        "@" + "x" * 200,
        "/tmp/\0x",
        "@",
    ],
)
def test_nobody_to_tell(address: str | None) -> None:
    environ = {"WATCHDOG_USEC": "30000000"}
    if address is not None:
        environ["NOTIFY_SOCKET"] = address
    told = Notifier(environ)
    told.ready("on")
    told.reloading()
    told.status("on")
    told.watchdog()
    told.stopping()
    told.close()

    assert told.connected is False
    assert told.watchdog_interval_s is None
    assert environ == {}


def test_systemd_that_is_gone(systemd: Receiver) -> None:
    told = notifier(systemd, WATCHDOG_USEC="1000000")
    systemd.close()
    told.ready()
    told.watchdog()
    told.close()
    told.close()


def test_systemd_that_does_not_read_is_not_waited_for(systemd: Receiver) -> None:
    told = notifier(systemd)
    count = 5000  # net.unix.max_dgram_qlen is some hundreds at most
    for number in range(count):
        told.status(f"{number} packets")

    assert len(systemd.waiting()) < count
    told.close()


def test_state_that_there_was_no_room_for_is_said_with_the_next_message(
    systemd: Receiver,
) -> None:
    told = notifier(systemd, WATCHDOG_USEC="1000000")
    for number in range(5000):
        told.status(f"{number} packets")
    told.ready("nobody reads this")
    told.status("nor this")
    systemd.waiting()
    told.watchdog()
    told.status("5000 packets")
    told.close()

    assert systemd.waiting() == ["READY=1\nWATCHDOG=1", "STATUS=5000 packets"]


def test_only_the_latest_state_is_owed(systemd: Receiver) -> None:
    told = notifier(systemd)
    for number in range(5000):
        told.status(f"{number} packets")
    told.reloading()
    told.ready()
    systemd.waiting()
    told.status("on")
    told.close()

    assert systemd.waiting() == ["READY=1\nSTATUS=on"]


def test_watchdog_is_fed_twice_in_its_time(systemd: Receiver) -> None:
    told = notifier(systemd, WATCHDOG_USEC="30000000", WATCHDOG_PID=str(os.getpid()))
    assert told.watchdog_interval_s == 15
    told.watchdog()
    told.close()

    assert systemd.waiting() == ["WATCHDOG=1"]


def test_watchdog_of_whoever_is_asked(systemd: Receiver) -> None:
    told = notifier(systemd, WATCHDOG_USEC="3000000")
    assert told.watchdog_interval_s == 1.5
    told.close()


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "-1"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "9" * 5000},
        {"WATCHDOG_USEC": "\u0663"},
        {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "me"},
    ],
)
def test_watchdog_that_is_not_meant(systemd: Receiver, variables: dict[str, str]) -> None:
    told = notifier(systemd, **variables)
    assert told.watchdog_interval_s is None
    told.watchdog()
    told.close()

    assert systemd.waiting() == []


def test_watchdog_does_not_follow_into_another_process(
    systemd: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = notifier(systemd, WATCHDOG_USEC="30000000", WATCHDOG_PID=str(os.getpid()))
    monkeypatch.setattr(os, "getpid", lambda: 4242)

    assert told.watchdog_interval_s is None
    told.close()


def test_status_is_one_line(systemd: Receiver) -> None:
    told = notifier(systemd)
    told.status("writing x\nREADY=1\x1b[2J \udce9 caf\u00e9")
    told.close()

    assert systemd.waiting() == ["STATUS=writing x READY=1 [2J   caf\u00e9"]


def test_status_is_cut_at_a_character(systemd: Receiver) -> None:
    told = notifier(systemd)
    told.status("x" + "\u00e9" * STATUS_MAX_BYTES)
    told.close()

    (message,) = systemd.waiting()
    assert message == "STATUS=x" + "\u00e9" * (STATUS_MAX_BYTES // 2 - 1)
