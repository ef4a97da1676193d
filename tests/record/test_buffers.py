"""The pool: last in, first out, never more than allowed, and back to little after a stall."""

import threading

import pytest

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.record import buffers
from daemonlogger_py.record.buffers import BUFFER_BYTES, LEAST, SPARE, BufferPool

RECORD_BYTES = 65551


def pool_of(count: int) -> BufferPool:
    """A pool that allows `count` buffers."""
    return BufferPool(RECORD_BYTES, count * (BUFFER_BYTES + RECORD_BYTES))


def take(pool: BufferPool, count: int) -> list[Buffer]:
    taken = [pool.take() for _ in range(count)]
    return [buffer for buffer in taken if buffer is not None]


def test_buffers_have_room_for_a_record_more() -> None:
    pool = pool_of(4)
    (buffer,) = take(pool, 1)

    assert pool.buffer_bytes == BUFFER_BYTES + RECORD_BYTES
    assert buffer.capacity >= pool.buffer_bytes


@pytest.mark.parametrize("memory_bytes", [0, 1, 3 * (BUFFER_BYTES + RECORD_BYTES) + 1])
def test_three_are_the_least(memory_bytes: int) -> None:
    pool = BufferPool(RECORD_BYTES, memory_bytes)

    assert pool.limit == LEAST == 3
    assert len(take(pool, 10)) == 3


@pytest.mark.parametrize("count", [3, 4, 100])
def test_never_more_than_allowed(count: int) -> None:
    pool = pool_of(count)

    assert pool.limit == count
    assert pool.allocated == 0, "memory is for what waits, not for what might"
    assert len(take(pool, count + 5)) == count
    assert pool.allocated == count
    assert pool.take() is None


def test_allowed_memory_is_not_exceeded_by_a_record() -> None:
    allowed = 5 * (BUFFER_BYTES + RECORD_BYTES) - 1

    assert BufferPool(RECORD_BYTES, allowed).limit == 4


def test_last_in_first_out() -> None:
    pool = pool_of(4)
    first, second, third = take(pool, 3)
    for buffer in (first, third, second):
        pool.give(buffer)

    assert take(pool, 3) == [second, third, first]
    assert pool.allocated == 3


def test_disk_that_keeps_up_needs_one() -> None:
    pool = pool_of(100)
    for _ in range(50):
        (buffer,) = take(pool, 1)
        pool.give(buffer)

    assert pool.allocated == 1


def test_taken_buffers_are_empty() -> None:
    pool = pool_of(3)
    (buffer,) = take(pool, 1)
    buffer.clear(b"what was before")
    pool.give(buffer)

    (again,) = take(pool, 1)
    assert again is buffer
    assert bytes(again) == b""


def test_buffer_that_comes_back_can_be_taken_when_all_were_out() -> None:
    pool = pool_of(3)
    first, *_ = take(pool, 3)
    assert pool.take() is None
    pool.give(first)

    assert pool.take() is first
    assert pool.take() is None


def test_memory_of_a_stall_is_let_go() -> None:
    pool = pool_of(100)
    taken = take(pool, 40)
    for buffer in taken:
        pool.give(buffer)
    del taken
    pool.shrink()

    assert pool.allocated == SPARE
    pool.shrink()
    assert pool.allocated == SPARE
    assert len(take(pool, 200)) == 100, "the limit is what it was"


def test_shrinking_lets_go_of_what_was_written_first() -> None:
    pool = pool_of(100)
    taken = take(pool, 20)
    for buffer in taken:
        pool.give(buffer)
    pool.shrink()

    assert take(pool, SPARE) == taken[-1 : -SPARE - 1 : -1]


def test_buffers_that_are_out_are_not_let_go() -> None:
    pool = pool_of(100)
    taken = take(pool, 30)
    pool.give(taken.pop())
    pool.shrink()

    assert pool.allocated == 30


def test_nobody_starves_at_first() -> None:
    assert not pool_of(3).starving


def test_one_thread_takes_and_another_gives() -> None:
    pool = pool_of(5)
    there, back = threading.Semaphore(0), threading.Semaphore(5)
    on_the_way: list[Buffer] = []

    def give() -> None:
        for _ in range(2000):
            there.acquire()
            pool.give(on_the_way.pop())
            back.release()

    thread = threading.Thread(target=give)
    thread.start()
    for _ in range(2000):
        back.acquire()
        buffer = pool.take()
        assert buffer is not None
        on_the_way.append(buffer)
        there.release()
    thread.join()

    assert pool.allocated <= 5
    assert len(take(pool, 9)) == 5


def test_machine_without_memory_is_a_smaller_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits in the buffers there are must not be lost for one that cannot be had."""
    pool = BufferPool(16, 1 << 30)
    first = pool.take()

    def refuse(capacity: int) -> Buffer:
        raise MemoryError

    monkeypatch.setattr(buffers, "Buffer", refuse)
    assert first is not None
    assert pool.take() is None
    assert pool.limit == 1
    pool.give(first)
    assert pool.take() is first


def test_buffer_that_grew_is_not_kept() -> None:
    pool = BufferPool(16, 0)
    buffer = pool.take()
    assert buffer is not None
    pool.give(Buffer(4 << 20))

    assert pool.take() is not None
    assert len(pool._spare) == 0
