"""Signals become wishes, and wake whoever waits."""

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from daemonlogger_py.record.signals import FINISHING, HANDLED, Signals

WAIT_MS = 20_000


@pytest.fixture
def signals() -> Iterator[Signals]:
    with closing(Signals()) as made, made:
        yield made


def is_awake(signals: Signals, wait_ms: int = 0) -> bool:
    waiter = select.poll()
    waiter.register(signals.wake_fd, select.POLLIN)
    return bool(waiter.poll(wait_ms))


def wishes(signals: Signals) -> tuple[signal.Signals | None, bool, bool, bool]:
    return signals.finish, signals.finish_again, signals.roll, signals.statistics


def test_nothing_is_wished_for_at_first(signals: Signals) -> None:
    assert wishes(signals) == (None, False, False, False)
    assert not is_awake(signals)


@pytest.mark.parametrize("number", FINISHING)
def test_finishing(signals: Signals, number: signal.Signals) -> None:
    called: list[bool] = []
    signals.on_finish = lambda: called.append(True)
    os.kill(os.getpid(), number)

    assert is_awake(signals, WAIT_MS)
    assert wishes(signals) == (number, False, False, False)
    assert called == [True]


def test_hangup_and_statistics(signals: Signals) -> None:
    os.kill(os.getpid(), signal.SIGHUP)
    assert is_awake(signals, WAIT_MS)
    assert wishes(signals) == (None, False, True, False)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert wishes(signals) == (None, False, True, True)


@pytest.mark.parametrize("second", FINISHING)
def test_second_signal_to_end_is_told_apart(signals: Signals, second: signal.Signals) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    assert not signals.finish_again
    os.kill(os.getpid(), second)

    assert wishes(signals) == (second, True, False, False)


def test_second_signal_to_end_is_seen_once_for_each(signals: Signals) -> None:
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)
    signals.finish_again = False  # the loop has said so
    os.kill(os.getpid(), signal.SIGTERM)

    assert signals.finish_again


@pytest.mark.parametrize("number", HANDLED)
def test_signal_ends_a_wait(signals: Signals, number: signal.Signals) -> None:
    timer = threading.Timer(0.005, os.kill, (os.getpid(), number))
    timer.start()
    assert is_awake(signals, WAIT_MS)
    timer.join()


def test_waking_and_draining(signals: Signals) -> None:
    for _ in range(3):
        signals.wake()
    assert is_awake(signals)
    signals.drain()
    assert not is_awake(signals)
    signals.drain()  # nothing to drain is no reason to wait
    os.kill(os.getpid(), signal.SIGHUP)
    assert is_awake(signals, WAIT_MS)
    signals.drain()
    assert not is_awake(signals)
    assert signals.roll, "draining does not take wishes away"


def test_any_thread_may_wake(signals: Signals) -> None:
    thread = threading.Thread(target=signals.wake)
    thread.start()
    assert is_awake(signals, WAIT_MS)
    thread.join()


def test_pipe_that_is_full_stays_readable_and_nobody_waits(signals: Signals) -> None:
    for _ in range(100_000):
        signals.wake()
    os.kill(os.getpid(), signal.SIGUSR1)

    assert is_awake(signals)
    assert signals.statistics
    signals.drain()
    assert not is_awake(signals)


def test_descriptors_are_not_inherited(signals: Signals) -> None:
    assert not os.get_inheritable(signals.wake_fd)
    assert not os.get_blocking(signals.wake_fd)


def test_everything_is_as_before_in_the_end() -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    handlers = {number: signal.getsignal(number) for number in HANDLED}
    before = descriptors()
    with closing(Signals()) as signals, signals:
        assert all(signal.getsignal(number) != handlers[number] for number in HANDLED)
        assert descriptors() == before + 2
        wake_fd = signals.wake_fd
    assert {number: signal.getsignal(number) for number in HANDLED} == handlers
    assert descriptors() == before
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(wake_fd)


def test_everything_is_as_before_after_an_error() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RuntimeError, match="within"), closing(Signals()) as signals, signals:
        raise RuntimeError("within")

    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.set_wakeup_fd(-1) == -1


def test_source_may_be_finished_while_nobody_looks(signals: Signals) -> None:
    """The handler itself finishes the source: it may wait where the loop cannot."""
    order: list[str] = []
    signals.on_finish = lambda: order.append("finished")
    os.kill(os.getpid(), signal.SIGTERM)
    order.append("looked")

    assert order == ["finished", "looked"]


@pytest.fixture
def _as_before() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in HANDLED}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_as_before")
@pytest.mark.parametrize("late", HANDLED)
def test_after_a_finished_recording_nothing_changes_how_it_ends(late: signal.Signals) -> None:
    """The first signal said how; the process may need a while to be gone."""
    with closing(Signals()) as signals:
        with signals.early():
            with signals:
                os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), late)  # where QUIT and TERM simply ended it before
        os.kill(os.getpid(), late)  # where it is Python's, or the kernel's, to end it

    assert signals.finish is signal.SIGTERM
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


@pytest.mark.usefixtures("_as_before")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGQUIT, 131)])
def test_without_a_recording_a_signal_simply_ends_it(number: signal.Signals, status: int) -> None:
    handlers = {number: signal.getsignal(number) for number in HANDLED}
    with closing(Signals()) as signals:
        with pytest.raises(SystemExit) as raised, signals.early(), signals:
            raise SystemExit(0)
        assert raised.value.code == 0
        with pytest.raises(SystemExit) as raised, signals.early():
            os.kill(os.getpid(), number)
    assert raised.value.code == status
    assert {number: signal.getsignal(number) for number in HANDLED} == handlers
