"""Worker processes: tasks go to them in batches, results come back as they are ready.

A server process is forked at the start, before there are threads. It imports what workers need
while the parent goes on, and forks them; it is asked for another when one dies. Such a death costs
the result of the task that was being done, the tasks behind it are given to others. Nothing here
waits for a worker unless it is told to.

Tasks and results are what JSON takes, tuples becoming lists; a result is no text, which is what an
exception becomes. What a worker says may be wrong, as hostile data may have taken it over: what no
worker of ours would say costs a result, and that worker is killed, so that nothing waits for it.
"""

import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

from daemonlogger_py.errors import StorageError

Work = Callable[[Any], Any]

_LENGTH = struct.Struct("<I")
_FORK = b"f"
_WAIT = b"w"
_NUMBER = struct.Struct("<q")
_RECEIVE_BYTES = 1 << 16
MOST_RESULT_BYTES = 256 << 20
"""A larger result is taken for that of a worker which is no longer ours."""
# What a worker has before it: enough to go on while nobody looks, little enough to share fairly.
_BATCH_TASKS = 32
_BATCH_WEIGHT = 2 << 20
_AHEAD_WEIGHT = 4 << 20


class Failure(NamedTuple):
    """In the place of a result: the task raised, or its worker died."""

    problem: str


class _Worker:
    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.pid = 0  # until it was told
        self.out = bytearray()
        self.received = bytearray()
        self.tasks: deque[tuple[int, Any, int]] = deque()  # in the order of their results
        self.weight = 0
        self.ready = False  # it has said so


class Pool:
    """Processes that do `make_work()(task)` for tasks; `make_work` is called in each of them.

    What it returns may have a method `ahead`, which is given the tasks that are to be done next.

    `prepare` is called once before them, in the process that forks them: to import what they need.

    `fits(task, result)` is whether the work may have given that result, or anything JSON takes.
    """

    def __init__(
        self,
        make_work: Callable[[], Work],
        count: int,
        prepare: Callable[[], object] = bool,
        *,
        fits: Callable[[Any, Any], bool] = lambda _task, _result: True,
    ) -> None:
        """Have them started, and wait for nothing. Raises StorageError without processes for it.

        Where a worker cannot be started, `take` raises that.
        """
        self._fits = fits
        self._waiting: deque[tuple[int, Any, int]] = deque()
        self._done: list[tuple[int, Any]] = []
        self._workers: list[_Worker] = []
        self._untold: deque[_Worker] = deque()  # without a process ID, in the order of asking
        self._server_pid = 0
        self._control, theirs = _pair()
        try:
            self._server_pid = fork()
        except OSError as error:
            self._control.close()
            theirs.close()
            raise StorageError(f"no worker process can be started: {error.strerror}") from error
        if not self._server_pid:
            _in_child(_serve, theirs, self._control, make_work, prepare)
        theirs.close()
        with ExitStack() as undo:
            undo.callback(self.close)
            for _ in range(count):
                self._workers.append(self._start())
            undo.pop_all()

    @property
    def pids(self) -> list[int]:
        """Process IDs of the workers, once they all have one."""
        self._learn_pids()
        return [worker.pid for worker in self._workers]

    @property
    def waiting(self) -> int:
        """How many tasks no worker has yet."""
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether a task was not answered yet."""
        return bool(self._waiting) or any(worker.tasks for worker in self._workers)

    def give(self, ticket: int, task: Any, weight: int) -> None:
        """Add a task; `weight` is how much work it is, in bytes to be read."""
        self._waiting.append((ticket, task, weight))

    def take(self, timeout_s: float | None = 0.0) -> list[tuple[int, Any]]:
        """Pass tasks on and return (ticket, result or Failure) of those that are done.

        Waits up to `timeout_s` (None: as long as it takes) for something to happen.
        """
        self._pass_on()
        poll = select.poll()
        by_fd = {}
        for worker in self._workers:
            by_fd[worker.link.fileno()] = worker
            poll.register(worker.link, select.POLLIN | (select.POLLOUT if worker.out else 0))
        for fd, events in poll.poll(None if timeout_s is None else timeout_s * 1000):
            worker = by_fd[fd]
            if events & select.POLLOUT:
                self._send(worker)
            if events & ~select.POLLOUT:
                self._receive(worker)
        self._pass_on()
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        """End all processes, at once; may be called twice."""
        with suppress(StorageError):
            self._learn_pids()
        for worker in self._workers:
            _kill(worker)
            worker.link.close()
        self._workers.clear()
        self._untold.clear()
        if self._server_pid:
            self._control.close()
            os.waitpid(self._server_pid, 0)
            self._server_pid = 0

    def _start(self) -> _Worker:
        link, theirs = _pair()
        link.settimeout(0)
        worker = _Worker(link)
        with theirs:
            self._ask(_FORK, 0, [theirs.fileno()])
        self._untold.append(worker)
        return worker

    def _learn_pids(self) -> None:
        while self._untold:
            worker = self._untold.popleft()
            worker.pid = self._answer()
            if worker.pid < 0:
                raise StorageError(f"no worker process can be started: {os.strerror(-worker.pid)}")

    def _ask(self, what: bytes, number: int, fds: Sequence[int] = ()) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # its answer will be missing
            socket.send_fds(self._control, [what + _NUMBER.pack(number)], fds)

    def _answer(self) -> int:
        answer = b""
        with suppress(ConnectionResetError):
            answer = self._control.recv(_NUMBER.size, socket.MSG_WAITALL)
        if len(answer) < _NUMBER.size:
            raise StorageError("the process that starts workers has ended")
        return int(_NUMBER.unpack(answer)[0])

    def _pass_on(self) -> None:
        while self._waiting:
            worker = min(self._workers, key=_load)
            if worker.weight > _AHEAD_WEIGHT or len(worker.tasks) > 2 * _BATCH_TASKS:
                return
            batch: list[Any] = []
            weight = 0
            while self._waiting and len(batch) < _BATCH_TASKS and weight < _BATCH_WEIGHT:
                entry = self._waiting.popleft()
                batch.append(entry[1])
                weight += entry[2]
                worker.tasks.append(entry)
            worker.weight += weight
            message = json.dumps(batch).encode()
            worker.out += _LENGTH.pack(len(message)) + message
            self._send(worker)

    def _send(self, worker: _Worker) -> None:
        with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):  # _receive sees why
            while worker.out:
                del worker.out[: worker.link.send(worker.out)]

    def _receive(self, worker: _Worker) -> None:
        try:
            data = worker.link.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self._replace(worker)
            return
        received = worker.received
        received += data
        start = 0
        while len(received) - start >= _LENGTH.size:
            size = _LENGTH.unpack_from(received, start)[0]
            if size > MOST_RESULT_BYTES or (worker.ready and not worker.tasks):
                self._replace(worker)
                return
            end = start + _LENGTH.size + size
            if end > len(received):
                break
            if worker.ready and not self._take_result(worker, received[start + _LENGTH.size : end]):
                self._replace(worker)
                return
            worker.ready = True
            start = end
        del received[:start]

    def _take_result(self, worker: _Worker, said: bytearray) -> bool:
        ticket, task, weight = worker.tasks[0]
        try:
            result = json.loads(said)
        except (ValueError, RecursionError):
            return False
        if not isinstance(result, str) and not self._fits(task, result):
            return False
        worker.tasks.popleft()
        worker.weight -= weight
        self._done.append((ticket, Failure(result) if isinstance(result, str) else result))
        return True

    def _replace(self, worker: _Worker) -> None:
        self._learn_pids()
        # Who took it over need not let it end; one that sees its link closed ends by itself.
        _kill(worker)
        worker.link.close()
        self._workers.remove(worker)
        self._ask(_WAIT, worker.pid)
        why = ended(self._answer())
        if not worker.ready:
            raise StorageError(f"a worker process {why} as it was started")
        if worker.tasks:
            self._done.append((worker.tasks.popleft()[0], Failure(f"its worker process {why}")))
            self._waiting.extendleft(reversed(worker.tasks))
        self._workers.append(self._start())


def _pair() -> tuple[socket.socket, socket.socket]:
    try:
        return socket.socketpair()
    except OSError as error:
        raise StorageError(f"no worker process can be started: {error.strerror}") from error


def _kill(worker: _Worker) -> None:
    if worker.pid > 0:
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)


def _load(worker: _Worker) -> tuple[int, int]:
    return worker.weight, len(worker.tasks)


def ended(status: int) -> str:
    """How a process ended, from what waitpid said."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended with status {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def fork() -> int:
    """Fork this process, which has no threads of its own: 0 in the child, else its process ID."""
    if sys.stderr is not None:  # as it is where the program was started without one
        sys.stderr.flush()
    with warnings.catch_warnings():
        # There are no threads of ours yet; those of others (a test's timer) hold no lock of ours.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _in_child(run: Callable[..., None], *arguments: Any) -> None:
    """Run in a process that was just forked, and never return to what the parent was doing."""
    status = 1
    try:
        # Whoever started us decides when to end: a signal for the whole group is for him.
        gc.freeze()  # what the parent left unreachable is not for us to finish
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        run(*arguments)
        status = 0
    except BaseException as error:  # nothing may get into what the parent was doing
        with suppress(OSError):
            os.write(2, f"worker process: {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(status)


def _serve(
    control: socket.socket,
    parents: socket.socket,
    make_work: Callable[[], Work],
    prepare: Callable[[], object],
) -> None:
    """Fork workers, and tell how they ended, until the other end is closed."""
    parents.close()
    prepare()
    while True:
        request, fds, _, _ = socket.recv_fds(control, 1 + _NUMBER.size, 1)
        if not request:
            break
        if request[:1] == _FORK:
            answer = _fork_worker(control, fds[0], make_work)
            os.close(fds[0])
        else:
            answer = os.waitpid(_NUMBER.unpack(request[1:])[0], 0)[1]
        control.sendall(_NUMBER.pack(answer))
    # Workers end as their connections do. Their times become ours, and thereby our parent's.
    with suppress(ChildProcessError):
        while True:
            os.wait()


def _fork_worker(control: socket.socket, fd: int, make_work: Callable[[], Work]) -> int:
    try:
        pid = fork()
    except OSError as error:
        return -(error.errno or 1)
    if not pid:
        _in_child(_labour, control, fd, make_work)
    return pid


def _labour(control: socket.socket, fd: int, make_work: Callable[[], Work]) -> None:
    """Do tasks until there is nobody to send results to."""
    control.close()
    work = make_work()
    ahead = getattr(work, "ahead", None)
    # The parent closes what it has of the connection, read or not, when it needs us no more. `fd`
    # stays open: it kills us once our end is closed, and how we ended is to be told.
    with (
        socket.socket(fileno=os.dup(fd)) as link,
        link.makefile("rb") as tasks,
        suppress(ConnectionResetError, BrokenPipeError),
    ):
        link.sendall(_LENGTH.pack(0))
        while length := tasks.read(_LENGTH.size):
            batch = json.loads(tasks.read(*_LENGTH.unpack(length)))
            if ahead is not None:
                ahead(batch)
            for task in batch:
                link.sendall(_message(work, task))


def _message(work: Work, task: Any) -> bytes:
    try:
        result = json.dumps(work(task)).encode()
    except Exception as error:
        result = json.dumps(f"{type(error).__name__}: {error}"[:1000]).encode()
    return _LENGTH.pack(len(result)) + result


def count(processors: int | None = None) -> int:
    """How many workers are of use: as many as processors, at most 8 and at least 1."""
    if processors is None:
        processors = len(os.sched_getaffinity(0))
    return max(1, min(8, processors))
