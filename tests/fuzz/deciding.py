"""libpcap's own word on a packet, and packets of which only some bits are known.

`bpf_filter` and `bpf_validate` are called in the library that the engine is linked to.
"""

import ctypes
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from daemonlogger_py.engine import bpf

Instruction = tuple[int, int, int, int]  # code, if true, if false, number: struct bpf_insn

_library = ctypes.CDLL(bpf.__file__)
_library.bpf_filter.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint, ctypes.c_uint]
_library.bpf_filter.restype = ctypes.c_uint
_library.bpf_validate.argtypes = [ctypes.c_char_p, ctypes.c_int]


def assemble(program: Sequence[Instruction]) -> bytes:
    """The program as `Filter.code` has it."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def is_valid(code: bytes) -> bool:
    """Whether libpcap would run it."""
    return bool(_library.bpf_validate(code, len(code) // 8))


def is_determinate(code: bytes) -> bool:
    """Whether a valid program writes each word of memory before it reads it.

    bpf_filter does not clear it: where a word is read that was not written, the answer is chance.
    libpcap (1.10) compiles such programs where a header's length varies, which that of radiotap
    does, and where Geneve is looked for.
    """
    program = list(struct.iter_unpack("=HBBI", code))
    nothing_yet = 0xFFFF + 1  # more than all words: no way leads there
    written = [0] + [nothing_yet] * len(program)
    for at, (kind, if_so, if_not, number) in enumerate(program):
        before = written[at]
        if before == nothing_yet or kind & 7 == 6:
            continue
        if kind in (0x60, 0x61) and not before >> number & 1:
            return False
        after = before | 1 << number if kind in (0x02, 0x03) else before
        targets = [at + 1]
        if kind == 0x05:
            targets = [at + 1 + number] if number < len(program) else []
        elif kind & 7 == 5:
            targets = [at + 1 + if_so, at + 1 + if_not]
        for target in targets:
            known = written[target]
            written[target] = after if known == nothing_yet else known & after
    return True


def accepts(code: bytes, packet: bytes, origlen: int) -> bool:
    """Whether libpcap's filter accepts the packet; only for what is valid."""
    return _library.bpf_filter(code, packet, origlen, len(packet)) != 0


class Known(NamedTuple):
    """What is known of a class of packets: those bits of `data` that are set in `mask`."""

    data: bytes
    mask: bytes

    @property
    def sure_bytes(self) -> int:
        """Up to the last byte of which a bit is known, all packets have them all."""
        return len(self.mask.rstrip(b"\0"))

    def completed(self, other: bytes) -> bytes:
        """A packet of the class: `other`, with what is known put in."""
        assert len(other) >= self.sure_bytes
        mask = self.mask[: len(other)].ljust(len(other), b"\0")
        data = self.data[: len(other)].ljust(len(other), b"\0")
        return bytes(
            known & bits | byte & ~bits for known, bits, byte in zip(data, mask, other, strict=True)
        )


def extremes(known: Known) -> Iterator[bytes]:
    """Packets of the class whose unknown bits are all 0, and all 1, short and long."""
    for fill in (b"\0", b"\xff"):
        for count in (known.sure_bytes, len(known.mask), len(known.mask) + 1600):
            yield known.completed(fill * count)
