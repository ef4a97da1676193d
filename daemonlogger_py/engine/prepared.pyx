"""What a tap makes of frames and of time stamps, shown without an interface.

`Tap.send` prepares frames by the same functions (vnet.pxd, pace.pxd); nothing here sends.
"""
from typing import NamedTuple

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

from daemonlogger_py.engine.pace cimport Pace, advance
from daemonlogger_py.engine.tap_sockets cimport DLT_EN10MB
from daemonlogger_py.engine.vnet cimport (
    BAD_LENGTH,
    CUT,
    FRAGMENT,
    NO_ROOM,
    NOT_CERTAIN,
    NOT_IP,
    NOT_TAKEN,
    NOT_TCP,
    Outgoing,
    Verdict,
    prepare_frame,
    virtio_net_hdr,
)

# Why a frame cannot be sent, by the verdict on it.
PROBLEMS = {
    CUT: "cut by the snaplen",
    NOT_IP: "not IP",
    FRAGMENT: "an IP fragment",
    NOT_TCP: "not TCP",
    BAD_LENGTH: "with lengths that do not agree",
    NOT_CERTAIN: "with IP options and a checksum not of its addresses",
    NO_ROOM: "with headers too long",
    NOT_TAKEN: "refused by the interface",
}


class Prepared(NamedTuple):
    """A frame as it is handed to the kernel."""

    header: bytes  # virtio-net header, in this machine's byte order
    frame: bytes  # with the checksum field that the header promises
    problem: str | None  # why it cannot be sent


def prepare(const uint8_t[::1] frame not None, uint32_t mtu, *, int linktype=1, bint cut=False):
    """Show what `Tap.send` hands to the kernel for a frame of Ethernet (1) or raw IP."""
    cdef Outgoing out
    cdef Verdict verdict
    cdef uint8_t nothing = 0
    cdef const uint8_t *data = &frame[0] if frame.shape[0] else &nothing
    verdict = prepare_frame(data, frame.shape[0], cut, linktype == DLT_EN10MB, mtu, &out)
    raw = bytearray(frame)
    if out.sum_at:
        raw[out.sum_at : out.sum_at + 2] = (out.sum[0], out.sum[1])
    header = (<char *>&out.header)[: sizeof(virtio_net_hdr)]
    return Prepared(header, bytes(raw), PROBLEMS.get(verdict))


def due_times(times_ns, double pace):
    """Show when frames recorded at these times (ns) leave, in ns after the first."""
    cdef Pace state
    memset(&state, 0, sizeof(state))
    state.factor = pace
    return [advance(&state, time_ns, 0) for time_ns in times_ns]
