"""The memory of records: lead, alignment, the buffer protocol, and what a view forbids."""

import ctypes
import gc
from collections.abc import Callable

import pytest

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.protocol import Stop

from ..pcaps import make
from .reading import fill, source_on

PAGE_BYTES = 4096
FOUR = make.mixture()[:4]
RECORDS = make.classic(FOUR)[24:]


class PyBuffer(ctypes.Structure):
    """Py_buffer: where an object's memory is."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("rest", ctypes.c_char * 128),
    )


def address_of(buffer: Buffer) -> int:
    view = PyBuffer()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(buffer), ctypes.byref(view), 0)
    address = view.buf
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))
    return int(address or 0)


def filled(capacity: int = 1 << 17, lead: bytes = b"") -> Buffer:
    """A buffer with the first four packets of the mixture."""
    buffer = Buffer(capacity)
    buffer.clear(lead)
    with source_on(make.classic(FOUR)) as source:
        assert fill(source, buffer) is Stop.END
    return buffer


def test_new_buffer_is_empty() -> None:
    buffer = Buffer(1 << 16)

    assert bytes(buffer) == b""
    assert (len(buffer), buffer.capacity) == (0, 1 << 16)
    assert (buffer.packets, buffer.first_ns, buffer.last_ns, buffer.waiting_since_ns) == (0,) * 4


@pytest.mark.parametrize("capacity", [1, 4095, 4096, 4097, 524_304])
def test_capacity_is_in_pages(capacity: int) -> None:
    buffer = Buffer(capacity)

    assert capacity <= buffer.capacity < capacity + PAGE_BYTES
    assert buffer.capacity % PAGE_BYTES == 0


@pytest.mark.parametrize("capacity", [1, 4096, 1 << 19])
def test_memory_is_aligned_to_pages(capacity: int) -> None:
    buffers = [Buffer(capacity) for _ in range(8)]
    for buffer in buffers:
        buffer.clear(b"x")

    addresses = {address_of(buffer) for buffer in buffers}
    assert len(addresses) == len(buffers)
    assert [address % PAGE_BYTES for address in addresses] == [0] * len(buffers)


def test_memory_stays_aligned_when_a_long_record_makes_it_grow() -> None:
    buffer = Buffer(1 << 16)
    long = make.classic([make.Packet(make.START_NS, bytes(200_000))])
    with source_on(long) as source:
        fill(source, buffer)

    assert buffer.capacity > 200_000
    assert address_of(buffer) % PAGE_BYTES == 0


@pytest.mark.parametrize("capacity", [-1, 1 << 70, "4096"])
def test_capacity_that_is_none(capacity: int) -> None:
    with pytest.raises((OverflowError, TypeError)):
        Buffer(capacity)


def test_memory_that_is_not_there() -> None:
    with pytest.raises(MemoryError):
        Buffer(1 << 62)


def test_bytes_are_the_records() -> None:
    buffer = filled()

    assert bytes(buffer) == RECORDS
    assert len(buffer) == len(RECORDS)
    assert buffer.packets == 4
    assert (buffer.first_ns, buffer.last_ns) == (FOUR[0].time_ns, FOUR[3].time_ns // 1000 * 1000)
    assert buffer.waiting_since_ns > 0


def test_view_is_of_bytes_and_read_only() -> None:
    with memoryview(filled()) as view:
        assert (view.format, view.itemsize, view.ndim, view.nbytes) == ("B", 1, 1, len(RECORDS))
        assert view.readonly
        assert view.c_contiguous
        with pytest.raises(TypeError):
            view[0] = 0


def test_clearing_forgets_the_records() -> None:
    buffer = filled()
    buffer.clear()

    assert bytes(buffer) == b""
    assert (buffer.packets, buffer.first_ns, buffer.last_ns, buffer.waiting_since_ns) == (0,) * 4


@pytest.mark.parametrize("lead", [b"", b"l", bytes(range(256)) * 15])
def test_lead_goes_before_the_first_record_and_is_none(lead: bytes) -> None:
    buffer = filled(lead=lead)

    assert bytes(buffer) == lead + RECORDS
    assert buffer.packets == 4
    buffer.clear(memoryview(lead))
    assert bytes(buffer) == lead
    assert (buffer.packets, buffer.first_ns, buffer.waiting_since_ns) == (0, 0, 0)


def test_lead_may_fill_the_buffer_and_no_more() -> None:
    buffer = Buffer(PAGE_BYTES)
    buffer.clear(b"x" * PAGE_BYTES)
    assert bytes(buffer) == b"x" * PAGE_BYTES

    with pytest.raises(ValueError, match="lead of 4097 bytes in a buffer of 4096"):
        buffer.clear(b"y" * (PAGE_BYTES + 1))
    assert bytes(buffer) == b"x" * PAGE_BYTES


def test_lead_may_come_from_another_buffer() -> None:
    buffer = Buffer(PAGE_BYTES)
    with memoryview(filled()) as view:
        buffer.clear(view[-20:])

    assert bytes(buffer) == RECORDS[-20:]


def test_nothing_is_cleared_while_it_is_being_written() -> None:
    buffer = filled()
    first, second = memoryview(buffer), memoryview(buffer)
    for view in (first, second):
        with pytest.raises(BufferError, match="the buffer is being written"):
            buffer.clear()
        view.release()
    buffer.clear()

    assert bytes(buffer) == b""


@pytest.mark.parametrize("order", "<>")
def test_view_keeps_its_memory_when_a_long_record_comes(order: str) -> None:
    """A view is of memory: while one is alive, growing may not free it."""
    long = make.classic([make.Packet(make.START_NS, b"\xaa" * 200_000)], order=order)
    buffer = Buffer(1 << 16)
    buffer.clear(b"lead")
    with memoryview(buffer) as view, source_on(long) as source:
        address = address_of(buffer)
        with pytest.raises(BufferError):
            fill(source, buffer)
        assert address_of(buffer) == address
        assert bytes(view) == b"lead"


def test_buffer_lives_as_long_as_its_views() -> None:
    views = [memoryview(filled()) for _ in range(20)]
    gc.collect()

    assert {bytes(view) for view in views} == {RECORDS}


@pytest.mark.parametrize(
    "misuse", [lambda b: b.clear(7), lambda b: b.clear("text"), lambda b: setattr(b, "packets", 1)]
)
def test_misuse_is_refused(misuse: Callable[[Buffer], None]) -> None:
    buffer = filled()
    with pytest.raises((TypeError, AttributeError)):
        misuse(buffer)

    assert bytes(buffer) == RECORDS
