"""The time of a first packet is that of the capture, whatever its byte order and resolution."""

import pytest

from daemonlogger_py.savefile.beginning import BEGINNING_BYTES, FILE_HEADER_BYTES, first_time_ns

from ..pcaps.make import NANOSECONDS, Packet, classic

TIME_NS = 1_700_000_000_123_456_000


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [NANOSECONDS, 0xA1B2C3D4])
def test_first_time(order: str, magic: int) -> None:
    beginning = classic([Packet(TIME_NS, bytes(60))], magic=magic, order=order)[:BEGINNING_BYTES]
    assert first_time_ns(beginning) == TIME_NS
    assert first_time_ns(beginning[:-1]) is None
    assert first_time_ns(beginning[:FILE_HEADER_BYTES]) is None
    assert first_time_ns(b"") is None
    assert first_time_ns(bytes(4) + beginning[4:]) is None
