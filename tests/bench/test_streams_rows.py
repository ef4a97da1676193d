"""The judge of what a flow tool made: every kind of fault is told, and nothing else."""

import ipaddress
import struct

import pytest

from bench.conversations import SYN, Traffic
from bench.peers import Tool
from bench.rows.streams import command, verdicts
from bench.streams_load import write_capture


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    path = tmp_path_factory.mktemp("load") / "x.pcap"
    return write_capture(path, 150_000, Traffic(largest_bytes=4_000), plans=4)


@pytest.fixture(scope="module")
def said(load):
    """Every stream by its name."""
    data, at, found = load.path.read_bytes(), 24, {}
    names = {(one.source, *one[1:4:2], one.destination): one.file_name for one in load.streams}
    while at < len(data):
        caplen = struct.unpack_from("<I", data, at + 8)[0]
        packet = data[at + 30 : at + 16 + caplen]
        at += 16 + caplen
        width, header = (4, 20) if packet[0] >> 4 == 4 else (16, 40)
        source, destination = (
            str(ipaddress.ip_address(packet[header - back * width :][:width])) for back in (2, 1)
        )
        tcp = packet[header:]
        name = names[source, *struct.unpack_from(">HH", tcp), destination]
        sequence, flags = struct.unpack_from(">I", tcp, 4)[0], tcp[13]
        first, stream = found.setdefault(name, (sequence + 1, bytearray()))
        payload = tcp[(tcp[12] >> 4) * 4 :]
        if payload and not flags & SYN:
            offset = (sequence - first) % 2**32
            stream.extend(bytes(max(0, offset + len(payload) - len(stream))))
            stream[offset : offset + len(payload)] = payload
    return {name: bytes(stream) for name, (_, stream) in found.items()}


@pytest.fixture
def out(tmp_path, load, said):
    """A directory as a tool without faults leaves it."""
    lines = []
    for truth in load.streams:
        (tmp_path / truth.file_name).write_bytes(said[truth.file_name])
        (tmp_path / f"{truth.file_name}.findx").write_text(f"0|1.0|{truth.size_bytes}\n")
        lines.append(f"<tcpflow x='1'/><hashdigest type='MD5'>{truth.md5}</hashdigest>\n")
    (tmp_path / "report.xml").write_text("".join(lines))
    return tmp_path


def test_no_fault_is_told_where_there_is_none(load, out):
    assert verdicts(load, out, ()) == []
    assert verdicts(load, out, ("-FX",)) == []
    assert verdicts(load, out, ("-I",)) == []


def test_faults_are_told(load, out):
    first, second = (truth.file_name for truth in load.streams[:2])
    (out / first).write_bytes(b"x")
    (out / second).unlink()
    (out / f"{first}c1").touch()
    (out / "report.xml").write_text("<tcpflow />")
    sampled = len(load.streams[::7])
    assert verdicts(load, out, ()) == [
        f"1 reported streams instead of {len(load.streams)}",
        "1 streams missing",
        "1 files too many",
        f"1 of {sampled} streams wrong",
    ]


@pytest.mark.parametrize("rows", ["", "0|1.0|1\n", "1|1.0|99999\n"])
def test_an_index_with_a_hole_is_wrong(load, out, rows):
    (out / f"{load.streams[0].file_name}.findx").write_text(rows)
    assert verdicts(load, out, ("-I",)) == ["1 indexes wrong"]


def test_a_body_that_is_missing_or_other_is_wrong(load, out):
    expected = [body for body in load.bodies if not body.is_request][::7]
    wrong = len(expected)
    assert verdicts(load, out, ("-a",)) == [f"{wrong} of {wrong} bodies wrong"]
    whole = next(body for body in expected if not body.encoding and "zip" in body.content_type)
    stream = (out / whole.stream.file_name).read_bytes()
    body = stream.rpartition(b"\r\n\r\n")[2][: whole.size_bytes]
    for ending in ("", ".zip"):
        path = out / f"{whole.stream.file_name}-HTTPBODY-{whole.number:03}{ending}"
        path.write_bytes(body)
        assert verdicts(load, out, ("-a",)) == [f"{wrong - 1} of {wrong} bodies wrong"]
        path.unlink()


def test_a_digest_that_is_not_reported_is_told(load, out):
    report = (out / "report.xml").read_text().replace(load.streams[3].md5, "0" * 32)
    (out / "report.xml").write_text(report)
    assert "1 MD5 not reported" in verdicts(load, out, ("-a",))


def test_a_tool_that_has_no_streams_has_no_command(tmp_path):
    assert command(Tool("cp", ("cp",)), tmp_path, tmp_path, ()) == []
