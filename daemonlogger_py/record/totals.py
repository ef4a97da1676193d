"""What became of every packet: the figures that the recorder says and others ask for."""

from typing import NamedTuple


class Totals(NamedTuple):
    """What became of every packet: received = written + lost + on their way to the disk."""

    received: int
    dropped: int
    if_dropped: int
    lost: int
    written: int
    files: int
    size_bytes: int

    def __str__(self) -> str:
        """As a person reads them, on several lines."""
        offered = self.received + self.dropped
        share = 100 * self.dropped / offered if offered else 0.0
        return (
            f"{self.received} packets received\n"
            f"{self.dropped} packets dropped by the kernel ({share:.2f}%)\n"
            f"{self.if_dropped} packets dropped by the interface\n"
            f"{self.lost} packets lost by daemonlogger\n"
            f"{self.written} packets written to {self.files} files, {self.size_bytes} bytes"
        )
