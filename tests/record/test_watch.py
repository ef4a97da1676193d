"""An interface that goes down, comes up, vanishes and comes back: what is said of it."""

import socket
import struct
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.record import watch
from daemonlogger_py.record.watch import (
    DOWN,
    NO_CARRIER,
    UP,
    InterfaceWatch,
    LinkEvents,
    state,
)

from .fakes import Told


class Interface:
    """Stands for a live source and for what the kernel says of its interface."""

    interface = "fake0"

    def __init__(self) -> None:
        self.state: str | None = UP
        self.gone = False
        self.revivable = True
        self.revivals = 0

    def revive(self) -> bool:
        self.revivals += 1
        return self.revivable


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(watch, "time", clock)
    return clock


@pytest.fixture
def interface(monkeypatch: pytest.MonkeyPatch) -> Interface:
    interface = Interface()
    monkeypatch.setattr(watch, "state", lambda asking, name: interface.state)
    return interface


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def watched(interface: Interface, clock: Clock, told: Told) -> Iterator[InterfaceWatch]:
    with closing(InterfaceWatch(interface, told)) as made:  # type: ignore[arg-type]
        yield made


def test_nothing_is_said_while_nothing_changes(watched: InterfaceWatch, told: Told) -> None:
    for _ in range(3):
        watched.look()

    assert told.all == []
    assert watched.up


@pytest.mark.parametrize("how", [DOWN, NO_CARRIER])
def test_down_and_up_again(
    watched: InterfaceWatch, interface: Interface, clock: Clock, told: Told, how: str
) -> None:
    interface.state = how
    watched.look()
    watched.look()
    assert not watched.up
    clock.now += 2.5
    interface.state = UP
    watched.look()

    assert watched.up
    assert told.texts() == [
        f"[!] interface fake0: {how}, no packets meanwhile",
        "[!] interface fake0: up again after 2.5 s",
    ]
    assert told.facts("interface_up") == [{"interface": "fake0", "state": UP, "seconds": 2.5}]


def test_time_down_is_counted_from_the_first_loss(
    watched: InterfaceWatch, interface: Interface, clock: Clock, told: Told
) -> None:
    for found in (NO_CARRIER, DOWN, NO_CARRIER, UP):
        interface.state = found
        watched.look()
        clock.now += 1

    assert told.texts()[-1] == "[!] interface fake0: up again after 3.0 s"


def test_one_that_was_never_up_is_said_to_be_down(
    interface: Interface, clock: Clock, told: Told
) -> None:
    interface.state = NO_CARRIER
    with closing(InterfaceWatch(interface, told)) as watched:  # type: ignore[arg-type]
        watched.look()

    assert told.texts() == ["[!] interface fake0: without carrier, no packets meanwhile"]


def test_gone_and_back(
    watched: InterfaceWatch, interface: Interface, clock: Clock, told: Told
) -> None:
    interface.gone, interface.state = True, None
    assert watched.lost()
    assert watched.waiting
    assert not watched.up
    watched.look()
    assert not watched.back()
    interface.state = DOWN
    assert not watched.back()
    assert interface.revivals == 0
    interface.state = UP
    interface.revivable = False
    assert not watched.back()
    interface.revivable = True
    clock.now += 7.0
    assert watched.back()

    assert not watched.waiting
    assert watched.up
    assert told.texts() == [
        "[!] interface fake0: gone, waiting for it to come back",
        "[!] interface fake0: back, nothing was recorded for 7.0 s",
    ]


def test_source_that_failed_though_its_interface_is_there(
    watched: InterfaceWatch, told: Told
) -> None:
    assert not watched.lost()
    assert not watched.waiting
    assert told.all == []


def test_interface_that_comes_and_goes_all_the_time_is_not_given_up(
    watched: InterfaceWatch, interface: Interface
) -> None:
    interface.gone = True
    for _ in range(100):
        assert watched.lost()
        assert watched.back()


def test_time_without_packets_is_counted_from_when_it_went_down(
    watched: InterfaceWatch, interface: Interface, clock: Clock, told: Told
) -> None:
    interface.state = DOWN
    watched.look()
    clock.now += 4.0
    interface.gone = True
    assert watched.lost()
    clock.now += 1.0
    interface.state = UP
    assert watched.back()

    assert told.texts()[-1] == "[!] interface fake0: back, nothing was recorded for 5.0 s"


def message(kind: int, index: int, flags: int, *, more: bytes = b"") -> bytes:
    body = struct.pack("=BxHiII", 0, 1, index, flags, 0) + more
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


class Datagrams:
    """Stands for a netlink socket that has these to read."""

    def __init__(self, *datagrams: bytes) -> None:
        self.datagrams = [*datagrams]

    def recv(self, most: int) -> bytes:
        if not self.datagrams:
            raise BlockingIOError
        return self.datagrams.pop(0)

    def close(self) -> None:
        pass


def states(*datagrams: bytes) -> list[str]:
    events = LinkEvents()
    events.close()
    events._socket = Datagrams(*datagrams)  # type: ignore[assignment]
    return list(events.states(7))


def test_changes_between_two_looks() -> None:
    first = message(16, 7, 0x1, more=b"\0" * 5) + b"\0" * 3 + message(16, 8, 0x0)
    assert states(first, message(17, 7, 0x41), message(16, 7, 0x0), message(16, 7, 0x41)) == [
        NO_CARRIER,
        DOWN,
        UP,
    ]


@given(st.binary(max_size=200))
def test_whatever_the_kernel_says_is_survived(data: bytes) -> None:
    assert set(states(data)) <= {UP, DOWN, NO_CARRIER}
    whole = message(16, 7, 0x41)
    for size in range(len(whole)):
        assert states(whole[:size]) == []


def test_short_loss_between_two_looks_is_said(
    watched: InterfaceWatch, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched._events, "states", lambda index: iter([DOWN, NO_CARRIER, UP]))
    watched.look()

    assert told.events() == ["interface_down", "interface_down", "interface_up"]


def test_state_of_what_there_is() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        assert state(asking, "lo") in (UP, DOWN)
        assert state(asking, "any") is None
        assert state(asking, "nosuch0") is None
