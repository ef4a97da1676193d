"""How many packets are in the savefiles a tool wrote.

capinfos counts where it is installed (it is not ours, so it does not judge in our favour); else,
and for a file that is cut, a walk over the record headers.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path

_ORDER = {
    b"\xd4\xc3\xb2\xa1": "<",
    b"\x4d\x3c\xb2\xa1": "<",
    b"\xa1\xb2\xc3\xd4": ">",
    b"\xa1\xb2\x3c\x4d": ">",
}
_HEADER = 24
_COUNT_LIMIT_S = 120


def packets_in(paths: Iterable[Path]) -> int:
    """Return the whole records in these savefiles. Raises ValueError if one is not a pcap."""
    return sum(_packets(path) for path in paths)


def _packets(path: Path) -> int:
    if path.stat().st_size <= _HEADER:
        return 0
    counted = _capinfos(path) if shutil.which("capinfos") else None
    return walk(path) if counted is None else counted


def _capinfos(path: Path) -> int | None:
    """Ask capinfos; None if it objects to the file."""
    run = subprocess.run(
        ["capinfos", "-T", "-r", "-c", "-M", str(path)],
        capture_output=True,
        text=True,
        timeout=_COUNT_LIMIT_S,
        check=False,
    )
    fields = run.stdout.strip().split("\t")
    if run.returncode != 0 or not fields[-1].isdigit():
        return None
    return int(fields[-1])


def walk(path: Path) -> int:
    """Count the whole records by their headers; what follows the last one is not counted."""
    packets = 0
    with path.open("rb") as file:
        order = _ORDER.get(file.read(_HEADER)[:4])
        if order is None:
            raise ValueError(f"not a pcap savefile: {path}")
        caplen_of = struct.Struct(f"{order}8xI4x").unpack
        end = path.stat().st_size
        position = _HEADER
        while len(header := file.read(16)) == 16:
            position += 16 + caplen_of(header)[0]
            if position > end:
                break
            packets += 1
            file.seek(position)
    return packets
