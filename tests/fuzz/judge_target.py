"""What must be true of every filter that judges a class, or a savefile by its index.

An input is a program with what is known of a class of packets, or a savefile with a filter. Of a
class, "no" and "yes" have to be libpcap's own answer on packets made of it. Of a savefile, every
packet the filter accepts has to be in a block that is wanted, and then it is not passed over.
"""

import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from daemonlogger_py.engine.bpf import compile_for
from daemonlogger_py.errors import FilterError
from daemonlogger_py.readers.extract.glance import Glance
from daemonlogger_py.readers.extract.judge import Judge
from daemonlogger_py.readers.extract.program import Program
from daemonlogger_py.readers.index.builder import UnindexableError, build
from daemonlogger_py.readers.index.sidecar import Sidecar, sidecar_name

from .deciding import Known, accepts, extremes, is_determinate, is_valid
from .model import ETHERNET, MICROSECONDS, RECORD_HEADER_BYTES, read_classic
from .trial import pick

TAIL_BYTES = 8
MOST_INSTRUCTIONS = 64
FILTERS = (
    "host 10.0.0.1 and port 80",
    "tcp and not port 80",
    "udp port 53 or vlan",
    "ip6 proto 17 or ip6 proto 6",
    "vlan 1 and ip",
    "mpls and ip",
    "pppoes and ip",
    "ip[6:2] & 0x1fff != 0",
    "tcp[13] & 4 != 0 and portrange 1-1024",
    "ip proto 47 or icmp[0] = 8",
    "geneve and udp",
    "net 10.0.0.0/8 or ip6 net 2001:db8::/32",
    "link[12:2] < 1500",
    "len > 60 or arp",
    "ether[0] & 1 = 0",
)


@dataclass(frozen=True, slots=True)
class JudgeTrial:
    """One input taken apart."""

    content: bytes
    savefile: bool
    instructions: int
    known_bytes: int
    prefix_bytes: int
    fill: int
    origlen: int
    filter: str

    @classmethod
    def of(cls, data: bytes) -> "JudgeTrial":
        """Whatever is too short has nothing but the tail."""
        tail = data[-TAIL_BYTES:].rjust(TAIL_BYTES, b"\0")
        content = data[:-TAIL_BYTES]
        instructions = min(tail[1] % (MOST_INSTRUCTIONS + 1), len(content) // 8)
        known_bytes = min(tail[2], (len(content) - 8 * instructions) // 2)
        return cls(
            content=content,
            savefile=bool(tail[0] & 1),
            instructions=instructions,
            known_bytes=known_bytes,
            prefix_bytes=tail[3] % (known_bytes + 1),
            fill=tail[4],
            origlen=tail[5] | tail[6] << 8,
            filter=pick(FILTERS, tail[7]),
        )


WARM_UP_TIMES = 20
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None


def one_input(data: bytes) -> None:
    """Hold everything that must be true of the input `data`."""
    trial = JudgeTrial.of(data)
    if trial.savefile:
        judge_savefile(trial)
    else:
        judge_class(trial)


def judge_class(trial: JudgeTrial) -> None:
    """The verdict does not depend on where the prefix ends, and is that of the packets."""
    behind = 8 * trial.instructions
    code = trial.content[:behind]
    known = Known(
        trial.content[behind : behind + trial.known_bytes],
        trial.content[behind + trial.known_bytes : behind + 2 * trial.known_bytes],
    )
    program = Program(code)
    verdict = program.verdict(known.data, known.mask, trial.prefix_bytes)
    assert program.verdict(known.data, known.mask) is verdict
    if verdict is None or not is_valid(code) or not terminates(code) or not is_determinate(code):
        return
    rest = trial.content[behind + 2 * trial.known_bytes :] + bytes([trial.fill])
    count = known.sure_bytes + trial.fill
    other = (rest * (count // len(rest) + 1))[:count]
    for packet in (known.completed(other), *extremes(known)):
        assert accepts(code, packet, trial.origlen) is verdict, (packet, verdict)


def terminates(code: bytes) -> bool:
    """Whether it only jumps forward, and shifts by what C defines: libpcap does not look."""
    for at in range(0, len(code), 8):
        kind = int.from_bytes(code[at : at + 2], "little")
        number = int.from_bytes(code[at + 4 : at + 8], "little")
        if (kind == 0x05 and number >= 1 << 31) or (kind in (0x64, 0x74) and number > 31):
            return False
    return True


def judge_savefile(trial: JudgeTrial) -> None:
    """Blocks that hold what the filter accepts are wanted, those outside the times are not."""
    savefile = read_classic(trial.content)
    if savefile is None:
        return
    fd = os.memfd_create("savefile")
    try:
        os.write(fd, trial.content)
        sidecar = build(fd, "savefile")
    except UnindexableError:
        return
    finally:
        os.close(fd)
    swapped = not savefile.native
    try:
        code = compile_for(savefile.linktype, savefile.snapshot, trial.filter, swapped=swapped).code
    except FilterError:
        return
    if not is_determinate(code):
        return
    judge = Judge(code)
    first_ns, last_ns = trial.origlen * 1_000_000_000, (1 << 64) - 1 - trial.fill
    whole, later = judge.select(sidecar), judge.select(sidecar, first_ns, last_ns)
    assert not whole.damaged
    assert not later.damaged
    assert later.blocks_wanted <= whole.blocks_wanted <= whole.blocks == later.blocks
    with stored(sidecar) as dir_fd:
        asked = [(sidecar.savefile, sidecar.size_bytes, sidecar.modified_ns)]
        nothing = Glance(trial.filter, 0, (1 << 64) - 1).passes_over(dir_fd, asked) == [True]
        never = Glance(trial.filter, first_ns, last_ns).passes_over(dir_fd, asked) == [True]
    at = 24
    for record in savefile.records:
        if at >= sidecar.end_offset:
            break
        if accepts(code, record.packet, record.origlen):
            assert not nothing
            assert any(begin <= at < end for begin, end, _, _ in whole.ranges), at
            if first_ns <= record.stamp_ns(nanosecond=savefile.nanosecond) <= last_ns:
                assert not never
                assert any(begin <= at < end for begin, end, _, _ in later.ranges), at
        at += RECORD_HEADER_BYTES + record.caplen


@contextmanager
def stored(sidecar: Sidecar) -> Iterator[int]:
    """Give a directory in memory that the sidecar is in."""
    path = tempfile.mkdtemp(prefix="fuzz-judge-", dir=MEMORY)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with open(os.path.join(path, sidecar_name(sidecar.savefile)), "wb") as file:
            file.write(sidecar.encode())
        yield fd
    finally:
        os.close(fd)
        shutil.rmtree(path)


def warm_up() -> None:
    """Have what is allocated by the first calls and kept be there before growth is looked for."""
    header = struct.pack("=IHHiIII", MICROSECONDS, 2, 4, 0, 0, 262_144, ETHERNET)
    for _ in range(WARM_UP_TIMES):
        one_input(header + bytes(80) + b"\1".ljust(TAIL_BYTES, b"\0"))


warm_up()
