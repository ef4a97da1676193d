"""The totals as a person reads them."""

import pytest

from daemonlogger_py.record.totals import Totals


@pytest.mark.parametrize(
    ("received", "dropped", "share"), [(0, 0, "0.00"), (3, 1, "25.00"), (0, 7, "100.00")]
)
def test_lines(received: int, dropped: int, share: str) -> None:
    totals = Totals(received, dropped, 2, lost=4, written=5, files=6, size_bytes=789)

    assert str(totals).splitlines() == [
        f"{received} packets received",
        f"{dropped} packets dropped by the kernel ({share}%)",
        "2 packets dropped by the interface",
        "4 packets lost by daemonlogger",
        "5 packets written to 6 files, 789 bytes",
    ]
