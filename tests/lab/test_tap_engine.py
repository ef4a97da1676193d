"""The tap's engine on real interfaces: what arrives behind it, and what it says of the rest.

Without the recorder around it. Every frame is judged by what tcpdump sees at the far end, every
count by what the kernel counted.
"""

import ctypes
import fcntl
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.live import LiveSource
from daemonlogger_py.engine.offline import FileSource
from daemonlogger_py.engine.protocol import NEVER_NS, Stop
from daemonlogger_py.engine.tap import Tap
from daemonlogger_py.errors import SourceError, UsageError

from .commands import run
from .frames import QINQ, UDP, VLAN, ethernet, ipv4, ipv6, summed, tcp, udp
from .load import FIRST_NS, Load, frame
from .network import CLONE_NEWNET, Link, Namespace
from .peers import tcpdump_beside
from .records import NANOSECONDS, assert_run, records, walk
from .senders import iperf3

ETHERNET = 1
RAW_IP = 12
SECOND_NS = 10**9
MANY = 1 << 62

Made = TypeVar("Made")
Open = Callable[..., Tap]


def inside(namespace: Namespace, make_it: Callable[[], Made]) -> Made:
    """Make something in a namespace; its sockets stay there."""
    made: list[Made | BaseException] = []

    def enter() -> None:
        # setns moves the calling thread alone.
        libc = ctypes.CDLL(None, use_errno=True)
        with namespace.path.open() as handle:
            if libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
                made.append(OSError(ctypes.get_errno(), f"setns {namespace.name}"))
                return
        try:
            made.append(make_it())
        except BaseException as error:
            made.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join(10)
    (result,) = made
    if isinstance(result, BaseException):
        raise result
    return result


@pytest.fixture
def wake() -> Iterator[tuple[int, int]]:
    """The reading and the writing end of what wakes the tap."""
    ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    yield ends
    for fd in ends:
        os.close(fd)


@pytest.fixture
def open_tap(link: Link, wake: tuple[int, int]) -> Iterator[Open]:
    """Open a tap in the sending namespace, on its end of the link."""
    with ExitStack() as opened:

        def start(
            interface: str = link.sender.interface,
            *,
            namespace: Namespace = link.sender,
            linktype: int = ETHERNET,
            pace: float | None = None,
        ) -> Tap:
            tap = inside(
                namespace,
                lambda: Tap(
                    interface, linktype=linktype, wake_fd=wake[0], nanosecond=True, pace=pace
                ),
            )
            opened.callback(tap.close)
            return tap

        yield start


class Packet(NamedTuple):
    """One packet; `origlen` 0: the whole of it was captured."""

    time_ns: int
    data: bytes
    origlen: int = 0


def buffer_of(packets: Sequence[Packet | bytes]) -> Buffer:
    """A buffer with these packets; bare frames are a microsecond apart."""
    parts = [struct.pack("<IHHiIII", NANOSECONDS, 2, 4, 0, 0, 262144, 1)]
    for number, packet in enumerate(packets):
        time_ns, data, origlen = (
            packet if isinstance(packet, Packet) else (FIRST_NS + number * 1000, packet, 0)
        )
        parts.append(struct.pack("<II", *divmod(time_ns, SECOND_NS)))
        parts.append(struct.pack("<II", len(data), origlen or len(data)) + data)
    whole = b"".join(parts)
    buffer = Buffer(len(whole) + (1 << 19))
    fd = os.memfd_create("packets", os.MFD_CLOEXEC)
    try:
        with os.fdopen(fd, "wb", closefd=False) as file:
            file.write(whole)
        os.lseek(fd, 0, os.SEEK_SET)
        source = FileSource(fd, name="packets", wake_fd=-1, nanosecond=True)
        reason = source.fill(buffer, MANY, MANY, NEVER_NS, MANY, NEVER_NS)
        source.close()
    finally:
        os.close(fd)
    assert (Stop(reason), buffer.packets) == (Stop.END, len(packets))
    return buffer


def send_all(tap: Tap, packets: Sequence[Packet | bytes], wait_ns: int = SECOND_NS) -> None:
    buffer = buffer_of(packets)
    reached = 0
    for _ in range(100):  # a paced one comes back now and then
        reached = tap.send(buffer, reached, wait_ns)
        if reached == len(buffer):
            break
    assert reached == len(buffer)


@contextmanager
def received(link: Link, path: Path) -> Iterator[None]:
    """Record what arrives at the far end."""
    with tcpdump_beside(link.receiver, path, "-Q", "in", "-s", "262144"):
        yield


def arrived(path: Path) -> list[bytes]:
    return [record.data for record in records(path)]


def without_offload(namespace: Namespace, interface: str) -> None:
    """Let the kernel do in software what an interface without any offload leaves to it."""

    def switch() -> None:
        ethtool = 0x8946
        set_checksum, set_scatter, set_tso, set_gso = 0x17, 0x19, 0x1F, 0x24
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            for what in (set_tso, set_gso, set_scatter, set_checksum):
                value = ctypes.create_string_buffer(struct.pack("II", what, 0), 8)
                request = struct.pack("16sP", interface.encode(), ctypes.addressof(value))
                fcntl.ioctl(control, ethtool, request.ljust(40, b"\0"))

    inside(namespace, switch)


def test_a_million_frames_arrive_in_order_and_unchanged(
    link: Link, open_tap: Open, million: Load, wake: tuple[int, int], logs: Path
) -> None:
    tap = open_tap()
    path = logs / "arrived.pcap"
    buffer = Buffer(1 << 18)
    with million.path.open("rb") as file, received(link, path):
        source = FileSource(file.fileno(), name="load", wake_fd=wake[0])
        reason = Stop.FULL
        while reason is not Stop.END:
            buffer.clear()
            reason = Stop(source.fill(buffer, MANY, MANY, NEVER_NS, MANY, NEVER_NS))
            assert tap.send(buffer, 0, SECOND_NS) == len(buffer)
        source.close()
    counters = tap.counters()
    assert counters == (million.count, counters.sent_bytes, 0, 0, 0, 0, 0)
    assert counters.sent_bytes == million.path.stat().st_size - 24 - 16 * million.count
    assert link.sender.details()["sent"] == million.count
    found = walk(path)
    assert found.damage is None
    assert_run(found.numbers, 0, million.count - 1)
    for one, other in zip(records(million.path), records(path), strict=True):
        assert one.data == other.data
    path.unlink()


def test_every_kind_of_frame_arrives_unchanged(link: Link, open_tap: Open, logs: Path) -> None:
    whole = [
        frame(0),
        b"\0" * 60,
        bytes(14),
        ethernet(ipv4(tcp(b"text"), how="full")),
        ethernet(ipv6(udp(b"text"), UDP, how="full"), tags=[VLAN]),
        ethernet(ipv4(udp(bytes(1472)), UDP, how="full")),
    ]
    part = Packet(FIRST_NS, whole[-1][:96], len(whole[-1]))
    with received(link, logs / "x"):
        tap = open_tap()
        send_all(tap, [*whole, part])
    assert arrived(logs / "x") == [*whole, part.data]
    assert tap.counters() == (7, sum(map(len, whole)) + 96, 0, 0, 0, 0, 1)


def test_tags_come_on_top_of_the_mtu(link: Link, open_tap: Open, logs: Path) -> None:
    """What the kernel takes, the tap sends; what it does not, the tap knows beforehand."""
    sent = []
    with received(link, logs / "x"):
        tap = open_tap()
        for tags, extra in [((), 0), ((VLAN,), 4), ((QINQ,), 0), ((VLAN, VLAN), 4)]:
            room = 1514 + extra - 14 - 4 * len(tags) - 28
            fits = ethernet(ipv4(udp(b"x" * room), UDP, how="none"), tags=tags)
            large = ethernet(ipv4(udp(b"x" * (room + 1)), UDP, how="none"), tags=tags)
            send_all(tap, [fits, large])
            sent.append(fits)
    assert arrived(logs / "x") == sent
    counters = tap.counters()
    assert (counters.sent, counters.too_large, counters.refused) == (4, 4, 0)


def test_frames_of_every_length_keep_their_order(link: Link, open_tap: Open, logs: Path) -> None:
    """They leave by the ring or by a message of their own, as long as they are."""
    for end in (link.sender, link.receiver):
        run("ip", "-n", end.name, "link", "set", end.interface, "mtu", "9000")
    packets = [b"\2" * 12 + b"\x88\xb5" + bytes([n % 251]) * n for n in range(0, 9001, 7)]
    packets += [b"\2" * 12 + b"\x88\xb5" + bytes([n % 251]) * n for n in range(1980, 2000)]
    packets += [packet for pair in zip(packets, packets[::-1], strict=True) for packet in pair]
    with received(link, logs / "x"):
        tap = open_tap()
        send_all(tap, packets)
    assert arrived(logs / "x") == packets
    assert tap.counters().sent == len(packets)


def test_large_datagrams_are_counted_and_named(link: Link, open_tap: Open, logs: Path) -> None:
    small = frame(0, 60)
    large = ethernet(ipv4(udp(bytes(9000 - 42)), UDP, how="full"))
    with received(link, logs / "x"):
        tap = open_tap()
        assert tap.remark is None
        send_all(tap, [small, large, small, bytes(5000), large])
    assert arrived(logs / "x") == [small, small]
    assert tap.counters() == (2, 120, 3, 0, 0, 0, 0)
    assert tap.remark == "frame of 9000 bytes, MTU 1500, not TCP: cannot be segmented"


@pytest.mark.parametrize("shape", ["ipv4", "ipv6", "vlan", "qinq", "vlan, ipv6", "hop by hop"])
@pytest.mark.parametrize("how", ["partial", "full"])
def test_kernel_segments_super_frames(
    link: Link, open_tap: Open, logs: Path, shape: str, how: str
) -> None:
    """An interface without offload: every segment and every checksum is the kernel's work."""
    payload = bytes(number % 251 for number in range(60_000))
    tags = {"vlan": [VLAN], "qinq": [QINQ, VLAN], "vlan, ipv6": [VLAN]}.get(shape, [])
    body = tcp(payload, options=b"\1" * 12)
    if "ipv6" in shape:
        packet = ipv6(body, how=how)
    elif shape == "hop by hop":
        packet = ipv6(body, extensions=[0])
    else:
        packet = ipv4(body, how=how)
    without_offload(link.sender, link.sender.interface)
    marks = [frame(number, 60) for number in range(2)]
    with received(link, logs / "x"):
        tap = open_tap()
        send_all(tap, [marks[0], ethernet(packet, tags=tags), marks[1]])
    first, *segments, last = arrived(logs / "x")
    assert [first, last] == marks
    assert len(segments) > 40
    head = 14 + 4 * len(tags)
    assert all(len(s) <= 1514 + 4 * shape.startswith("vlan") for s in segments)
    assert b"".join(payload_of(s[head:]) for s in segments) == payload
    assert tap.counters() == (3, 120 + head + len(packet), 0, 0, 0, 0, 0)


def payload_of(packet: bytes) -> bytes:
    """The TCP payload of an IP packet whose lengths and checksums are right."""
    if packet[0] >> 4 == 4:
        assert summed(packet[:20]) == 0xFFFF
        assert int.from_bytes(packet[2:4], "big") == len(packet)
        start, addresses = 20, packet[12:20]
    else:
        assert int.from_bytes(packet[4:6], "big") == len(packet) - 40
        start, addresses = 40 + 8 * (packet[6] == 0), packet[8:40]
    body = packet[start:]
    assert summed(addresses + struct.pack(">II", len(body), 6) + body) == 0xFFFF
    return body[32:]


def test_unfinished_checksums_are_completed(link: Link, open_tap: Open, logs: Path) -> None:
    shapes = [
        lambda how: ethernet(ipv4(tcp(b"text"), how=how)),
        lambda how: ethernet(ipv6(tcp(b"odd"), how=how)),
        lambda how: ethernet(ipv4(udp(b"text"), UDP, how=how)),
        lambda how: ethernet(ipv6(udp(b"odd"), UDP, how=how), tags=[VLAN]),
    ]
    without_offload(link.sender, link.sender.interface)
    with received(link, logs / "x"):
        tap = open_tap()
        send_all(tap, [shape("partial") for shape in shapes])
    assert arrived(logs / "x") == [shape("full") for shape in shapes]
    assert tap.counters().sent == 4


def stream_of(path: Path) -> bytes:
    """What the largest TCP stream in a savefile carries towards the server, put together."""
    flows: dict[bytes, dict[int, bytes]] = {}
    for data in arrived(path):
        if data[12:14] != b"\x08\x00" or data[23] != 6:
            continue
        packet = data[14 : 14 + int.from_bytes(data[16:18], "big")]
        start = 20 + (packet[32] >> 4) * 4
        sequence = int.from_bytes(packet[24:28], "big")
        parts = flows.setdefault(packet[12:24], {})
        if len(packet) - start > len(parts.get(sequence, b"")):
            parts[sequence] = packet[start:]
    parts = max(flows.values(), key=lambda found: sum(map(len, found.values())))
    # An iperf3 transfer begins with a cookie; all sequence numbers count from there.
    first = next(s for s, part in parts.items() if (s - 1) % 2**32 not in parts and len(part) == 37)
    out = bytearray()
    for offset, part in sorted(((s - first) % 2**32, part) for s, part in parts.items()):
        assert offset <= len(out), f"{offset - len(out)} bytes are missing at {len(out)}"
        out += part[len(out) - offset :]
    return bytes(out)


@pytest.mark.alone
@pytest.mark.parametrize("offload", [True, False], ids=["offload", "software"])
def test_transfer_arrives_whole(
    link: Link, wake: tuple[int, int], open_tap: Open, logs: Path, full: bool, offload: bool
) -> None:
    """A TCP transfer with its super-frames, tapped: behind the tap every byte can be read."""
    amount = (1 << 30) if full else 50_000_000
    _, server = link.with_addresses()
    # No faster than tcpdump at the far end can follow; frames stay as large as they were.
    shaper = ("tbf", "rate", "2gbit", "burst", "1m", "limit", "10m")
    run(*link.sender.command("tc", "qdisc", "add", "dev", "va", "root", *shaper))
    with Link("ta", "tb") as behind:
        if not offload:
            without_offload(behind.sender, "ta")
        source = inside(
            link.receiver, lambda: LiveSource("vb", wake_fd=-1, filter_text="tcp", snaplen=262144)
        )
        tap = open_tap("ta", namespace=behind.sender)
        stop = threading.Event()

        def forward() -> None:
            buffer = Buffer(1 << 20)
            while True:
                buffer.clear()
                until_ns = time.monotonic_ns() + 20_000_000
                reason = Stop(source.fill(buffer, MANY, MANY, NEVER_NS, 10_000_000, until_ns))
                assert tap.send(buffer, 0, SECOND_NS) == len(buffer)
                if reason is Stop.END:
                    return
                if stop.is_set():
                    source.finish()

        thread = threading.Thread(target=forward)
        with received(behind, logs / "x"):
            thread.start()
            try:
                moved = iperf3(link, server, amount)
            finally:
                stop.set()
                thread.join(30)
        assert source.counters().dropped == 0
        source.close()
        counters = tap.counters()
        assert counters == (counters.sent, counters.sent_bytes, 0, 0, 0, 0, 0)
        largest = max(len(data) for data in arrived(logs / "x"))
        assert largest > 1514 if offload else largest <= 1514
        assert behind.sender.details()["send_dropped"] == 0
        assert len(stream_of(logs / "x")) >= moved > 0.9 * amount


def test_what_the_kernel_refuses_stops_nothing(link: Link, open_tap: Open, logs: Path) -> None:
    good = frame(0, 60)
    with received(link, logs / "x"):
        tap = open_tap()
        assert tap.refusal is None
        send_all(tap, [good, b"", bytes(13), good, bytes(3), good] * 50)
    assert arrived(logs / "x") == [good] * 150
    assert tap.counters() == (150, 9000, 0, 150, 0, 0, 0)
    assert tap.refusal == "frame of 0 bytes: Invalid argument"


def test_mtu_that_changes_is_noticed(link: Link, open_tap: Open) -> None:
    large = ethernet(ipv4(udp(bytes(3000)), UDP, how="none"))
    tap = open_tap()
    send_all(tap, [large])
    for end in (link.sender, link.receiver):
        run("ip", "-n", end.name, "link", "set", end.interface, "mtu", "9000")
    send_all(tap, [large])
    run("ip", "-n", link.sender.name, "link", "set", link.sender.interface, "mtu", "1400")
    send_all(tap, [large, frame(0, 1450)])
    assert tap.mtu == 1400
    assert (tap.counters().sent, tap.counters().too_large) == (1, 3)


def test_interface_that_goes_down_and_comes_back(link: Link, open_tap: Open, logs: Path) -> None:
    ip = ("ip", "-n", link.sender.name, "link", "set", link.sender.interface)
    tap = open_tap()
    with received(link, logs / "x"):
        send_all(tap, [frame(0)])
        run(*ip, "down")
        assert not tap.down
        send_all(tap, [frame(1), frame(2)])
        assert tap.down
        assert tap.failure == "interface va is down"
        assert not tap.revive()
        run(*ip, "up")
        send_all(tap, [frame(3)])
        assert tap.down  # until somebody looks
        revived(tap)
        assert tap.failure is None
        send_all(tap, [frame(4)])
    assert arrived(logs / "x") == [frame(0), frame(4)]
    assert tap.counters() == (2, 120, 0, 0, 0, 3, 0)


def revived(tap: Tap) -> None:
    """Wait until the interface is back: the kernel takes a moment to find its carrier."""
    deadline = time.monotonic() + 20
    while not tap.revive():
        assert time.monotonic() < deadline, tap.failure
        time.sleep(0.01)


def test_far_end_that_goes_down_is_no_silence(link: Link, open_tap: Open) -> None:
    """Without carrier the kernel takes frames and throws them away: they are not "sent"."""
    ip = ("ip", "-n", link.receiver.name, "link", "set", link.receiver.interface)
    tap = open_tap()
    send_all(tap, [frame(0)])
    run(*ip, "down")
    deadline = time.monotonic() + 20
    while not tap.down:
        assert time.monotonic() < deadline
        send_all(tap, [])
        time.sleep(0.01)
    assert tap.failure == "interface va has no carrier"
    send_all(tap, [frame(1)] * 3)
    run(*ip, "up")
    revived(tap)
    send_all(tap, [frame(2)])
    assert tap.counters() == (2, 120, 0, 0, 0, 3, 0)
    assert link.receiver.details()["received"] == 2


def test_interface_that_is_made_anew(link: Link, open_tap: Open, logs: Path) -> None:
    tap = open_tap()
    send_all(tap, [frame(0)])
    run("ip", "-n", link.sender.name, "link", "del", "va")
    send_all(tap, [frame(1)] * 100)
    assert tap.failure == "interface va is gone"
    assert not tap.revive()
    run(
        *("ip", "link", "add", "va", "netns", link.sender.name, "type", "veth"),
        *("peer", "name", "vb", "netns", link.receiver.name),
    )
    assert not tap.revive()
    assert tap.failure == "interface va is down"
    for end in (link.sender, link.receiver):
        run("ip", "-n", end.name, "link", "set", end.interface, "up")
    revived(tap)
    with received(link, logs / "x"):
        send_all(tap, [frame(2)])
    assert arrived(logs / "x") == [frame(2)]
    assert tap.counters() == (2, 120, 0, 0, 0, 100, 0)


def test_interface_of_that_name_may_become_another(link: Link, open_tap: Open) -> None:
    tap = open_tap()
    name = link.sender.name
    run("ip", "-n", name, "link", "del", "va")
    run("ip", "-n", name, "tuntap", "add", "va", "mode", "tun")
    send_all(tap, [frame(0)])
    assert not tap.revive()
    assert tap.failure == "interface va came back with another link-layer type"


def test_privileges_are_not_needed_to_come_back(link: Link, wake: tuple[int, int]) -> None:
    """The process, a child here, has let go of everything before the interface goes away."""
    tap = inside(link.sender, lambda: Tap("va", linktype=ETHERNET, wake_fd=wake[0]))
    buffer = buffer_of([frame(0)])
    ready, go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            tap.send(buffer, 0, 0)
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            tap.send(buffer, 0, 0)
            deadline = time.monotonic() + 20
            while not tap.revive() and time.monotonic() < deadline:
                time.sleep(0.01)
            tap.send(buffer, 0, 0)
            status = 0 if tap.counters() == (2, 120, 0, 0, 0, 1, 0) else 2
        finally:
            os._exit(status)
    tap.close()
    assert os.read(ready[0], 1) == b"x"
    run("ip", "-n", link.sender.name, "link", "del", "va")
    run(
        *("ip", "link", "add", "va", "netns", link.sender.name, "type", "veth"),
        *("peer", "name", "vb", "netns", link.receiver.name),
    )
    os.write(go[1], b"x")
    for end in (link.receiver, link.sender):
        run("ip", "-n", end.name, "link", "set", end.interface, "up")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    for fd in (*ready, *go):
        os.close(fd)


@contextmanager
def tun(namespace: Namespace, name: str) -> Iterator[int]:
    """An interface for raw IP; what is sent out of it can be read here."""

    def attach() -> int:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        set_interface, layer_3, no_header = 0x400454CA, 0x0001, 0x1000
        request = struct.pack("16sH", name.encode(), layer_3 | no_header)
        fcntl.ioctl(fd, set_interface, request.ljust(40, b"\0"))
        return fd

    fd = inside(namespace, attach)
    try:
        run("ip", "-n", namespace.name, "link", "set", name, "up")
        yield fd
    finally:
        os.close(fd)


def test_raw_ip(link: Link, open_tap: Open) -> None:
    packets = [
        ipv4(udp(b"text"), UDP, how="full"),
        ipv6(tcp(b"text"), how="full"),
        ipv4(udp(bytes(1472)), UDP, how="full"),
    ]
    with tun(link.sender, "d0") as fd:
        tap = open_tap("d0", linktype=RAW_IP)
        send_all(tap, [*packets, ipv4(udp(bytes(1473)), UDP, how="full")])
        assert [os.read(fd, 65536) for _ in packets] == packets
        assert tap.remark == "frame of 1501 bytes, MTU 1500, not TCP: cannot be segmented"
        payload = bytes(number % 251 for number in range(20_000))
        send_all(tap, [ipv4(tcp(payload, options=b"\1" * 12))])
        segments = [os.read(fd, 65536) for _ in range(14)]
        assert b"".join(map(payload_of, segments)) == payload


def limit_queue(link: Link, limit: str = "20k", rate: str = "80mbit") -> None:
    """Let so much pass, by default 10 MB/s, and so much wait."""
    queue = ("tbf", "rate", rate, "burst", "10k", "limit", limit)
    run(*link.sender.command("tc", "qdisc", "add", "dev", "va", "root", *queue))


@contextmanager
def roomy_sockets() -> Iterator[None]:
    """Sockets opened now may have 8 MB on the way."""
    setting = Path("/proc/sys/net/core/wmem_default")
    before = setting.read_text()
    setting.write_text("8000000")
    try:
        yield
    finally:
        setting.write_text(before)


@pytest.mark.parametrize("limit", ["20k", "20m"], ids=["interface", "socket"])
def test_full_queue_is_waited_for(link: Link, open_tap: Open, logs: Path, limit: str) -> None:
    limit_queue(link, limit)
    packets = [frame(number, 1000) for number in range(1000)]
    with received(link, logs / "x"):
        tap = open_tap()
        send_all(tap, packets, wait_ns=30 * SECOND_NS)
        link.settle(1000)
    assert arrived(logs / "x") == packets
    assert tap.counters() == (1000, 1_000_000, 0, 0, 0, 0, 0)


def test_full_ring_is_waited_for(link: Link, open_tap: Open, logs: Path) -> None:
    """Where sockets may hold more than the ring does, frames wait for a slot of it."""
    limit_queue(link, "20m")
    packets = [frame(number, 1000) for number in range(2000)]
    with received(link, logs / "x"):
        with roomy_sockets():
            tap = open_tap()
        buffer = buffer_of(packets)
        began = time.monotonic()
        reached = tap.send(buffer, 0, 0)
        lasted_s = time.monotonic() - began
        assert reached == len(buffer)
        counters = tap.counters()
        assert counters.sent + counters.dropped == 2000
        assert 500 < counters.sent < 700 + 10_000 * lasted_s  # the slots, and what left meanwhile
        send_all(tap, packets, wait_ns=30 * SECOND_NS)
        link.settle(counters.sent + 2000)
    assert arrived(logs / "x")[counters.sent :] == packets
    assert tap.counters().sent == counters.sent + 2000


def test_full_queue_is_not_waited_for_any_longer(link: Link, open_tap: Open) -> None:
    limit_queue(link, rate="8mbit")
    tap = open_tap()
    begin = time.monotonic_ns()
    send_all(tap, [frame(number, 1000) for number in range(3000)], wait_ns=50_000_000)
    assert time.monotonic_ns() - begin < SECOND_NS  # all of it takes three
    counters = tap.counters()
    assert counters.sent + counters.dropped == 3000
    assert counters.dropped > 1000
    assert counters.sent > 50


def test_wake_up_ends_the_wait_for_a_queue(
    link: Link, open_tap: Open, wake: tuple[int, int], logs: Path
) -> None:
    limit_queue(link)
    packets = [frame(number, 1000) for number in range(1000)]
    buffer = buffer_of(packets)
    with received(link, logs / "x"):
        tap = open_tap()
        os.write(wake[1], b"x")
        reached = tap.send(buffer, 0, 30 * SECOND_NS)
        assert 0 < reached < len(buffer)
        again = tap.send(buffer, reached, 30 * SECOND_NS)
        assert reached <= again < len(buffer)  # the wake-up is still to be served
        os.read(wake[0], 1)
        assert tap.send(buffer, again, 30 * SECOND_NS) == len(buffer)
        link.settle(1000)
    assert arrived(logs / "x") == packets


@pytest.mark.alone
@pytest.mark.parametrize("pace", [1.0, 4.0])
def test_recorded_timing(link: Link, open_tap: Open, logs: Path, pace: float) -> None:
    """No frame is early by more than what leaves together, and no delay is carried on."""
    seen = []
    while len(seen) < 5:  # where the first one was late, all others seem early
        late = lateness(link, open_tap(pace=pace), logs / "x", pace)
        seen.append((min(late), sorted(late)[len(late) // 2]))
        if seen[-1][0] > -500_000 and seen[-1][1] < 20_000_000:
            return
    raise AssertionError(seen)


def lateness(link: Link, tap: Tap, path: Path, pace: float) -> list[float]:
    """Send frames through a tap and return how late each came, in ns after the first."""
    gaps_us = [0, 10_000, 200, 20, 20, 20, 50_000, 1000, 1000, 200_000, 0, 0, 100_000]
    times_ns = [FIRST_NS + 1000 * sum(gaps_us[: i + 1]) for i in range(len(gaps_us))]
    packets = [Packet(t, frame(i)) for i, t in enumerate(times_ns)]
    with tcpdump_beside(link.receiver, path, "--time-stamp-precision=nano"):
        send_all(tap, packets)
    found = list(records(path))
    assert [record.data for record in found] == [packet.data for packet in packets]
    first = found[0].time_ns
    return [
        record.time_ns - first - (t - times_ns[0]) / pace
        for record, t in zip(found, times_ns, strict=True)
    ]


def test_wake_up_ends_the_wait_for_the_time(open_tap: Open, wake: tuple[int, int]) -> None:
    hour_ns = 3600 * SECOND_NS
    packets = [Packet(FIRST_NS + i * hour_ns, frame(i)) for i in range(3)]
    buffer = buffer_of(packets)
    tap = open_tap(pace=1)
    threading.Timer(0.3, os.write, (wake[1], b"x")).start()
    reached = tap.send(buffer, 0, SECOND_NS)
    assert reached == 76
    assert tap.send(buffer, reached, SECOND_NS) == reached
    assert tap.counters().sent == 1


def test_records_are_checked(open_tap: Open) -> None:
    tap = open_tap()
    buffer = buffer_of([frame(0), frame(1)])
    with pytest.raises(ValueError, match="offset 153 in a buffer of 152 bytes"):
        tap.send(buffer, 153, 0)
    with pytest.raises(ValueError, match="no record at byte offset 140"):
        tap.send(buffer, 140, 0)  # less than a record's header
    with pytest.raises(ValueError, match=r"no record at byte offset \d+"):
        tap.send(buffer, 10, 0)  # in the middle of one
    assert tap.send(buffer, 76, 0) == 152
    assert tap.send(buffer, 152, 0) == 152
    assert tap.counters().sent == 1


def test_interface_that_is_down_is_refused(link: Link, open_tap: Open) -> None:
    run("ip", "-n", link.sender.name, "link", "set", "va", "down")
    with pytest.raises(SourceError, match=r"^tap interface va is down$"):
        open_tap()


def test_interface_of_another_kind_is_refused(link: Link, open_tap: Open) -> None:
    with pytest.raises(UsageError, match=r"^-o/--tap va: not an interface for raw IP, as "):
        open_tap(linktype=RAW_IP)
    with (
        tun(link.sender, "d0"),
        pytest.raises(UsageError, match=r"^-o/--tap d0: not an interface for Ethernet, as "),
    ):
        open_tap("d0")


def test_opened_without_carrier_it_is_down(link: Link, open_tap: Open) -> None:
    run("ip", "-n", link.receiver.name, "link", "set", "vb", "down")
    deadline = time.monotonic() + 20
    while not (tap := open_tap()).down:
        assert time.monotonic() < deadline
        tap.close()
        time.sleep(0.05)
    assert tap.failure == "interface va has no carrier"


def test_tap_hears_nothing(link: Link, open_tap: Open) -> None:
    """It is a sending socket: nothing queues up in it, nor does its own traffic."""
    open_tap()
    wire = link.receiver.packet_socket()
    for _ in range(100):
        wire.send(frame(0))
    wire.close()
    link_wide = inside(link.sender, lambda: Path("/proc/thread-self/net/packet").read_text())
    rows = [row.split() for row in link_wide.splitlines()[1:]]
    assert [(row[3], row[6]) for row in rows] == [("0000", "0")] * 2  # protocol, bytes waiting
