"""Signals end waits once, in order, and leave nothing changed behind them."""

import os
import select
import signal
import threading

import pytest

from daemonlogger_py.readers.inputs.stopping import FINISHING, Stopping, StopSignals


def readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


def test_a_request_makes_both_descriptors_readable_and_one_stays_so() -> None:
    with Stopping() as stopping:
        assert not stopping.requested
        assert not readable(stopping.wake_fd)
        assert not readable(stopping.stop_fd)
        stopping.request()
        stopping.request()
        assert stopping.requested
        assert readable(stopping.wake_fd)
        stopping.drain()
        stopping.drain()
        assert not readable(stopping.wake_fd)
        assert readable(stopping.stop_fd)


def test_requests_never_block() -> None:
    with Stopping() as stopping:
        for _ in range(70_000):  # more than a pipe holds
            stopping.request()
        stopping.drain()
        assert not readable(stopping.wake_fd)


def test_leaves_no_descriptor_open() -> None:
    before = os.listdir("/proc/self/fd")
    with Stopping(), StopSignals():
        pass
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("number", FINISHING)
def test_signals_request_and_the_second_is_as_orderly(number: signal.Signals) -> None:
    before = {one: signal.getsignal(one) for one in FINISHING}
    with StopSignals() as stopping:
        assert stopping.signal is None
        signal.raise_signal(number)
        assert stopping.requested
        assert stopping.signal is number
        assert readable(stopping.wake_fd)
        signal.raise_signal(signal.SIGINT)
        assert stopping.signal is number
    assert {one: signal.getsignal(one) for one in FINISHING} == before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_signal_wakes_a_thread_that_waits_natively() -> None:
    woken: list[bool] = []
    with StopSignals() as stopping:
        thread = threading.Thread(
            target=lambda: woken.append(bool(select.select([stopping.stop_fd], [], [], 30)[0]))
        )
        thread.start()
        os.kill(os.getpid(), signal.SIGTERM)
        thread.join(30)
    assert woken == [True]


def test_another_handlers_signal_wakes_and_changes_nothing() -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with StopSignals() as stopping:
            signal.raise_signal(signal.SIGUSR1)
            assert readable(stopping.wake_fd)
            assert not stopping.requested
            assert not readable(stopping.stop_fd)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_hangup_that_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as stopping:
            signal.raise_signal(signal.SIGHUP)
            assert not stopping.requested
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
