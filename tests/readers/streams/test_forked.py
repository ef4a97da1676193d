"""Worker processes: results of all tasks, whatever becomes of some of the workers."""

import errno
import os
import signal
import socket
import stat
import struct
import time
from contextlib import suppress

import pytest

from daemonlogger_py.errors import StorageError
from daemonlogger_py.readers.streams import forked
from daemonlogger_py.readers.streams.forked import Failure, Pool, count, ended


def link() -> socket.socket:
    """The end that a worker answers by: the last socket that it was given."""
    found = [fd for fd in map(int, os.listdir("/proc/self/fd")) if is_socket(fd)]
    return socket.socket(fileno=os.dup(max(found)))


def is_socket(fd: int) -> bool:
    with suppress(OSError):
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    return False


def work(task):
    what, argument = task
    if what == "say":
        with link() as taken_over:
            taken_over.sendall(argument.encode("latin-1"))
            time.sleep(60)
    if what == "leave":
        for fd in filter(is_socket, map(int, os.listdir("/proc/self/fd"))):
            os.close(fd)
        time.sleep(60)
    if what == "linger":
        signal.signal(signal.SIGALRM, lambda *_: time.sleep(60))
        signal.setitimer(signal.ITIMER_REAL, 0.2)
    if what == "double":
        return [argument * 2]
    if what == "raise":
        raise ValueError(argument)
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "exit":
        os._exit(argument)
    if what == "pid":
        time.sleep(argument)
        return [os.getpid()]
    if what == "sleep":
        time.sleep(argument)
    return [None]


@pytest.fixture
def pool():
    made = Pool(lambda: work, 2)
    yield made
    made.close()


def test_no_descriptor_is_left_for_workers(monkeypatch):
    def socketpair():
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(forked.socket, "socketpair", socketpair)
    with pytest.raises(StorageError, match="Too many open files"):
        Pool(lambda: work, 2)


def test_standard_error_need_not_be_there(monkeypatch):
    monkeypatch.setattr(forked.sys, "stderr", None)
    Pool(lambda: work, 1).close()


def test_worker_that_cannot_be_forked_is_an_error(monkeypatch):
    fork = forked.fork

    def once(made=[]):  # noqa: B006 -- counts the calls in each process
        made.append(None)
        if len(made) > 1:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return fork()

    monkeypatch.setattr(forked, "fork", once)
    pool = Pool(lambda: work, 2)
    with pytest.raises(StorageError, match="no worker process can be started: Resource"):
        pool.take(60)
    pool.close()


def test_preparation_is_done_once_and_not_here(tmp_path):
    made = []

    def prepare():
        made.append(os.getpid())
        with (tmp_path / "prepared").open("a") as file:
            file.write("once")

    pool = Pool(lambda: lambda task: [made[0], os.getppid()], 2, prepare)
    for ticket in range(2):
        pool.give(ticket, None, 3 << 20)
    found = results(pool)
    pool.close()
    assert made == []
    assert found[0] == found[1] == [found[0][0]] * 2
    assert (tmp_path / "prepared").read_text() == "once"


def test_preparation_that_fails_is_an_error(capfd):
    pool = Pool(lambda: work, 2, lambda: 1 / 0)
    with pytest.raises(StorageError, match="has ended"):
        pool.take(60)
    pool.close()
    assert "ZeroDivisionError" in capfd.readouterr().err


def results(pool):
    found = {}
    while pool.busy:
        found.update(pool.take(10))
    return found


def test_results_of_all_tasks(pool):
    for ticket in range(500):
        pool.give(ticket, ("double", ticket), 1)
    assert results(pool) == {ticket: [ticket * 2] for ticket in range(500)}
    assert pool.waiting == 0


class Foreseeing:
    def __init__(self):
        self.seen = []

    def ahead(self, tasks):
        self.seen = list(tasks)

    def __call__(self, task):
        return [task in self.seen]


class Failing:
    def ahead(self, tasks):
        raise ZeroDivisionError

    def __call__(self, task):
        return [task]


def test_tasks_are_told_ahead():
    pool = Pool(Foreseeing, 2)
    for ticket in range(100):
        pool.give(ticket, ticket, 1)
    assert results(pool) == {ticket: [True] for ticket in range(100)}
    pool.close()


def test_all_workers_work(pool):
    # Each weighs what a worker has before it at most, so that the next goes to another.
    for ticket in range(4):
        pool.give(ticket, ("pid", 0.05), 3 << 20)
    assert {pid for (pid,) in results(pool).values()} == set(pool.pids)


def test_large_tasks_and_results(pool):
    for ticket in range(6):
        pool.give(ticket, ("double", "x" * 3_000_000), 1)
    assert {len(result[0]) for result in results(pool).values()} == {6_000_000}


def test_giving_never_waits(pool):
    pool.give(0, ("sleep", 0.3), 100 << 20)
    pool.give(1, ("sleep", 0.3), 100 << 20)
    begin = time.monotonic()
    for ticket in range(2, 1000):
        pool.give(ticket, ("double", "x" * 10_000), 1 << 20)
        pool.take()
    assert pool.waiting
    assert time.monotonic() - begin < 60  # the pool's test, not a benchmark: it is not stuck
    assert len(results(pool)) >= 998


def test_exception_costs_its_result(pool):
    pool.give(0, ("raise", "why"), 1)
    pool.give(1, ("double", 1), 1)
    assert results(pool) == {0: Failure("ValueError: why"), 1: [2]}


@pytest.mark.parametrize(
    ("task", "problem"),
    [(("kill", 0), "was ended by SIGKILL"), (("exit", 7), "ended with status 7")],
)
def test_dead_worker_costs_its_result_only(pool, task, problem):
    before = pool.pids
    for ticket in range(200):
        pool.give(ticket, task if ticket in (20, 90) else ("double", ticket), 1)
    found = results(pool)
    assert {ticket for ticket, result in found.items() if isinstance(result, Failure)} == {20, 90}
    assert found[20].problem == f"its worker process {problem}"
    assert found[199] == [398]
    assert pool.pids != before
    assert len(pool.pids) == 2


@pytest.mark.parametrize(
    "said",
    [
        (struct.pack("<I", 3) + b"[1]") * 3,
        struct.pack("<I", forked.MOST_RESULT_BYTES + 1) + b"[1]",
        struct.pack("<I", 3) + b"xyz",
        struct.pack("<I", 3) + b'"\xff"',
        struct.pack("<I", 1_000_000) + b"[" * 1_000_000,
    ],
    ids=["more results than tasks", "too long a result", "no JSON", "no UTF-8", "too deep"],
)
def test_worker_that_says_what_none_would_is_ended(said):
    pool = Pool(lambda: work, 1)
    try:
        (hostile,) = pool.pids
        pool.give(1, ("say", said.decode("latin-1")), 1)
        (first,) = results(pool).values()
        pool.give(2, ("double", 4), 1)
        assert results(pool) == {2: [8]}
        assert pool.pids != [hostile]
        assert first in ([1], Failure("its worker process was ended by SIGKILL"))
    finally:
        pool.close()


def test_result_that_does_not_fit_its_task_ends_the_worker():
    pool = Pool(lambda: work, 1, fits=lambda task, result: result == [task[1] * 2])
    try:
        (hostile,) = pool.pids
        pool.give(1, ("none", 3), 1)
        pool.give(2, ("double", 4), 1)
        pool.give(3, ("raise", "why"), 1)
        assert results(pool) == {
            1: Failure("its worker process was ended by SIGKILL"),
            2: [8],
            3: Failure("ValueError: why"),
        }
        assert pool.pids != [hostile]
    finally:
        pool.close()


def test_worker_that_closes_its_link_and_lives_on_is_not_waited_for():
    pool = Pool(lambda: work, 1)
    try:
        (hostile,) = pool.pids
        begin = time.monotonic()
        pool.give(1, ("leave", None), 1)
        pool.give(2, ("double", 4), 1)
        found = results(pool)
        assert time.monotonic() - begin < 30
        assert found == {1: Failure("its worker process was ended by SIGKILL"), 2: [8]}
        assert not os.path.exists(f"/proc/{hostile}")
    finally:
        pool.close()


def test_worker_that_lives_on_when_it_is_not_needed_is_not_waited_for():
    pool = Pool(lambda: work, 1)
    pool.give(1, ("linger", None), 1)
    assert results(pool) == {1: [None]}
    time.sleep(0.4)  # until it lingers, deaf to the end of its connection
    begin = time.monotonic()
    pool.close()
    assert time.monotonic() - begin < 30


def test_how_a_worker_ended_by_itself_is_told():
    """It is killed once its end is seen, which is not before it is at its end."""
    for _ in range(20):
        pool = Pool(Failing, 1)
        pool.give(1, ("double", 4), 1)
        assert results(pool) == {1: Failure("its worker process ended with status 1")}
        pool.close()


def test_idle_worker_that_dies_is_replaced(pool):
    while not all(worker.ready for worker in pool._workers):
        pool.take(10)
    for pid in pool.pids:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    pool.give(2, ("double", 5), 1)
    found = {}
    while 2 not in found and time.monotonic() < deadline:
        found.update(pool.take(1))
    # It was given to a worker that was dead already, or to its successor.
    assert found[2] in ([10], Failure("its worker process was ended by SIGKILL"))
    pool.give(3, ("double", 6), 1)
    pool.give(4, ("double", 7), 1)
    assert set(results(pool)) == {3, 4}


def test_worker_that_cannot_start_is_an_error(capfd):
    def broken():
        raise ZeroDivisionError("nothing works")

    pool = Pool(broken, 1)
    with pytest.raises(StorageError, match="ended with status 1 as it was started"):
        pool.take(60)
    pool.close()
    assert "ZeroDivisionError: nothing works" in capfd.readouterr().err


def test_close_ends_everything_at_once():
    pool = Pool(lambda: work, 2)
    pids = pool.pids
    pool.give(0, ("sleep", 600), 1)
    pool.give(1, ("sleep", 600), 1)
    pool.take()
    pool.close()
    pool.close()
    deadline = time.monotonic() + 30
    while any(os.path.exists(f"/proc/{pid}") for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids if not _is_zombie(pid))


def _is_zombie(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_interrupt_is_for_the_parent(pool):
    for pid in pool.pids:
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
    pool.give(0, ("double", 1), 1)
    assert results(pool) == {0: [2]}


def test_how_a_process_ended():
    assert ended(3 << 8) == "ended with status 3"
    assert ended(signal.SIGSEGV) == "was ended by SIGSEGV"
    assert ended(40) == "was ended by signal 40"


def test_how_many_workers():
    assert count(1) == 1
    assert count(2) == 2
    assert count(100) == 8
    assert count() >= 1


def test_fork_without_processes_is_an_error(monkeypatch):
    def none():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(forked, "fork", none)
    with pytest.raises(StorageError, match="no worker process can be started: Resource"):
        Pool(lambda: work, 1)
