"""libpcap's word about itself, filters and headers as far as they show in Python."""

import re
import shutil
import struct
import subprocess
import sys

import pytest

from daemonlogger_py.engine.bpf import compile_for, libpcap_version
from daemonlogger_py.errors import FilterError

from ..pcaps import make
from .reading import read_all, source_on


def test_version_is_libpcaps_own() -> None:
    assert re.match(r"libpcap version \d+\.\d+", libpcap_version())


def test_version_is_the_one_that_is_loaded_not_the_one_it_was_built_with() -> None:
    script = "from daemonlogger_py.engine.bpf import libpcap_version; print(libpcap_version())"
    path = [p for p in sys.path if p]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; {script}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == libpcap_version() + "\n"


@pytest.mark.parametrize(
    ("linktype", "packet", "text"),
    [
        (make.ETHERNET, make.vlan(make.ipv4(make.udp(b""), 17), 42), "vlan 42 and udp"),
        (make.RAW, make.ipv4(make.udp(b""), 17), "udp"),
        (make.RAW, make.ipv6(make.udp(b""), 17), "ip6 and udp"),
        (make.NULL, b"\2\0\0\0" + make.ipv4(make.udp(b""), 17), "udp"),
        (make.LINUX_SLL, bytes(14) + b"\x08\0" + make.ipv4(make.udp(b""), 17), "udp"),
    ],
)
@pytest.mark.parametrize("order", "<>")
def test_filter_is_compiled_for_the_linktype(
    linktype: int, packet: bytes, text: str, order: str
) -> None:
    data = make.classic([make.Packet(0, packet), make.Packet(0, bytes(70))], linktype=linktype)

    assert [record.data for record in read_all(data, filter_text=text)] == [packet]


def test_filter_sees_the_original_length() -> None:
    data = make.classic([make.Packet(0, bytes(60), 1500), make.Packet(0, bytes(60))])

    assert len(read_all(data, filter_text="len = 1500")) == 1


@pytest.mark.parametrize("size", range(40))
def test_filter_does_not_look_behind_a_short_packet(size: int) -> None:
    """What is not there is refused, as by the kernel, and never read."""
    whole = make.ethernet(make.ipv4(make.udp(b""), 17))
    data = make.classic([make.Packet(0, whole[:size], len(whole)), make.Packet(1000, b"\xff" * 60)])

    assert len(read_all(data, filter_text="udp port 53")) == int(size >= 38)


def test_network_mask_is_none_as_for_tcpdump() -> None:
    with source_on(make.classic([])) as source:
        source.refilter("ip broadcast")


def test_long_filter() -> None:
    text = " or ".join(f"host 192.0.2.{number}" for number in range(60))

    assert len(read_all(make.classic(make.mixture()), filter_text=text)) == 7


def test_message_is_one_line() -> None:
    with (
        pytest.raises(FilterError) as caught,
        source_on(make.classic([]), filter_text="tcp\nand\n("),
    ):
        pass

    assert str(caught.value).startswith(r"filter 'tcp\nand\n('")
    assert "\n" not in str(caught.value)


def numbers(code: bytes) -> list[tuple[int, ...]]:
    return list(struct.iter_unpack("=HBBI", code))


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
def test_program_for_a_header_is_tcpdumps() -> None:
    """The same one it shows of a savefile with that header."""
    text = "ip and tcp port 80 and not vlan 5"
    shown = subprocess.run(
        ["tcpdump", "-ddd", "-r", "-", text],
        input=make.classic([], snaplen=1000),
        capture_output=True,
        check=True,
    ).stdout.decode()
    lines = [tuple(map(int, line.split())) for line in shown.splitlines()[1:]]

    assert numbers(compile_for(make.ETHERNET, 1000, text).code) == lines


def test_no_filter_accepts_all_and_without_a_snaplen_libpcaps_own_is_meant() -> None:
    compiled = compile_for(make.ETHERNET, 0, "")

    assert compiled.text == ""
    assert numbers(compiled.code) == [(6, 0, 0, 262144)]


def test_program_knows_the_files_byte_order() -> None:
    """BSD loopback has the protocol in the byte order of who captured: AF_INET is 2."""
    orders = [
        numbers(compile_for(make.NULL, 65535, "ip", swapped=swapped).code)[1][3]
        for swapped in (sys.byteorder == "big", sys.byteorder == "little")
    ]

    assert orders == [0x02000000, 2]


@pytest.mark.parametrize(
    ("linktype", "text", "reason"),
    [
        (make.ETHERNET, "inbound", "not supported on Ethernet when reading savefiles"),
        (make.RAW, "ether host 02:00:00:00:00:01", "ethernet addresses supported only on"),
        (make.ETHERNET, "tcp\0", "holds a NUL byte"),
        (65530, "ip", "unknown data link type 65530"),
    ],
)
def test_what_cannot_be_compiled_for_a_header(linktype: int, text: str, reason: str) -> None:
    with pytest.raises(FilterError, match=reason):
        compile_for(linktype, 65535, text)
