"""``dlctl streams`` as its user runs it: files, console, report, signals, failures."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import daemonlogger_py
from daemonlogger_py.config.streams import StreamsConfig
from daemonlogger_py.errors import UsageError
from daemonlogger_py.readers.streams.run import run
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import Gap
from tests.flow.segments import (
    ACK,
    ETHERNET,
    FIN,
    SYN,
    UDP,
    Side,
    ethernet,
    ipv4,
    records,
    timed,
    udp,
)

CLIENT = Side()
SERVER = CLIENT.peer()
CLIENT_FILE = "010.000.000.001.40000-010.000.000.002.00080"
SERVER_FILE = "010.000.000.002.00080-010.000.000.001.40000"
CONVERSATION = [
    CLIENT.syn(),
    SERVER.syn(flags=SYN | ACK),
    CLIENT.sends(0, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    SERVER.sends(
        0, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello"
    ),
    CLIENT.fin(27),
    SERVER.sends(69, b"", FIN | ACK),
]
TESTED = Path(daemonlogger_py.__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(TESTED)}
COMMAND = (sys.executable, "-m", "daemonlogger_py.cli.dlctl", "streams")


def capture(path, frames, *, linktype=ETHERNET):
    header = struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, linktype)
    path.write_bytes(header + records(timed(frames)))
    return path


@pytest.fixture
def pcap(tmp_path):
    return capture(tmp_path / "in.pcap", CONVERSATION)


def streams(*arguments, cwd, check=0, **options):
    ran = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        timeout=60,
        env=ENVIRONMENT,
        **options,
    )
    assert ran.returncode == check, ran.stderr.decode()
    return ran


def report(path):
    return ET.parse(path).getroot()


def stored(directory):
    return {
        path.name: path.read_bytes()
        for path in sorted(directory.iterdir())
        if path.name not in {"report.xml", "in.pcap"}
    }


def test_streams_and_a_report_are_stored_where_it_runs(pcap, tmp_path):
    ran = streams("-r", pcap, cwd=tmp_path)

    assert (ran.stdout, ran.stderr) == (b"", b"")
    assert stored(tmp_path)[CLIENT_FILE].startswith(b"GET /")
    assert stored(tmp_path)[SERVER_FILE].endswith(b"hello")
    document = report(tmp_path / "report.xml")
    assert [name.text for name in document.iter("filename")] == [CLIENT_FILE, SERVER_FILE]
    assert (document.findtext("total_flows"), document.findtext("total_packets")) == ("2", "6")
    assert document.findtext("outcome") == "finished"


def test_files_that_are_open_at_the_end_are_reported(tmp_path):
    path = capture(tmp_path / "in.pcap", CONVERSATION[:4])
    streams("-r", path, cwd=tmp_path)

    assert report(tmp_path / "report.xml").findtext("open_fds_at_end") == "2"


def test_everything_at_once(pcap, tmp_path):
    streams("-a", "-o", "out", "-I", "-r", pcap, "tcp", "port", "80", cwd=tmp_path)
    files = stored(tmp_path / "out")

    assert files[f"{SERVER_FILE}-HTTPBODY-001.txt"] == b"hello"
    assert files[f"{SERVER_FILE}.findx"] == b"0|1000000000.003000|69\n"
    document = report(tmp_path / "out" / "report.xml")
    assert [digest.get("type") for digest in document.iter("hashdigest")] == ["MD5", "MD5"]
    assert [run.get("file_offset") for run in document.iter("byte_run")] == ["64"]


def test_the_console_prints_packets_and_stores_nothing(pcap, tmp_path):
    ran = streams("-C", "-B", "-r", pcap, cwd=tmp_path)

    assert ran.stdout.startswith(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\nHTTP/1.1 200")
    assert stored(tmp_path) == {}
    assert not (tmp_path / "report.xml").exists()


def test_a_console_and_a_report(pcap, tmp_path):
    ran = streams("-c", "-X", "r.xml", "-r", pcap, cwd=tmp_path)

    assert ran.stdout.startswith(CLIENT_FILE.encode() + b": GET")
    assert [size.text for size in report(tmp_path / "r.xml").iter("filesize")] == ["27", "69"]


def test_json_is_a_line_for_each_stream(pcap, tmp_path):
    ran = streams("--json", "-e", "md5", "-o", "out", "-r", pcap, cwd=tmp_path)
    first, second = map(json.loads, ran.stdout.splitlines())

    assert (first["name"], first["stream_bytes"]) == (f"out/{CLIENT_FILE}", 27)
    assert second["session"] == first["session"]
    assert len(second["md5"]) == 32


def test_state_carries_over_from_file_to_file(tmp_path):
    one = capture(tmp_path / "1.pcap", [CLIENT.syn(), CLIENT.sends(0, b"abc")])
    two = capture(tmp_path / "2.pcap", [CLIENT.sends(3, b"def"), Side(port=7).syn(b"new")])
    three = capture(tmp_path / "3.pcap", [CLIENT.sends(6, b"ghi"), Side(port=9).syn(b"new")])
    streams("-o", "out", "-r", one, "-R", three, "-r", two, cwd=tmp_path)

    assert stored(tmp_path / "out") == {
        CLIENT_FILE: b"abcdefghi",
        "010.000.000.001.00007-010.000.000.002.00080": b"new",
    }


def test_a_connection_that_spans_the_savefiles_of_a_ring_is_one_stream(tmp_path):
    ring = tmp_path / "ring"
    ring.mkdir()
    for turn in range(4):
        capture(ring / f"dl.{1_000_000_000 + turn}", [CLIENT.sends(turn * 3, b"%03d" % turn)])
    streams("--ring", ring, "-o", "out", cwd=tmp_path)

    assert stored(tmp_path / "out") == {CLIENT_FILE: b"000001002003"}


def test_what_a_ring_did_not_record_is_said_before_it_is_read(tmp_path):
    ring = tmp_path / "ring"
    ring.mkdir()
    capture(ring / "dl.1000000000", [CLIENT.syn(), CLIENT.sends(0, b"abc")])
    with Catalog.create(str(ring / "dl.catalog")) as catalog:
        second_ns = 10**18 + 10**9
        catalog.add_gap(Gap(kind="stopped", from_ns=second_ns, to_ns=2 * 10**18, detail="SIGTERM"))
    line = (
        b"dlctl streams: [!] not recorded 2001-09-09T01:46:41Z to 2033-05-18T03:33:20Z:"
        b" stopped (SIGTERM)\n"
    )
    assert streams("--ring", ring, "-o", "out", cwd=tmp_path).stderr == line
    assert streams("--ring", ring, "-o", "out", "-q", cwd=tmp_path).stderr == b""
    early = ("--ring", ring, "-o", "out", "--to", "2001-09-09T01:46:41Z")
    assert streams(*early, cwd=tmp_path).stderr == b""


def test_a_directory_that_holds_a_ring_says_what_was_not_recorded(tmp_path):
    ring = tmp_path / "ring"
    ring.mkdir()
    capture(ring / "dl.1000000000", [CLIENT.syn(), CLIENT.sends(0, b"abc")])
    with Catalog.create(str(ring / "dl.catalog")) as catalog:
        second_ns = 10**18 + 10**9
        catalog.add_gap(Gap(kind="stopped", from_ns=second_ns, to_ns=2 * 10**18, detail="SIGTERM"))
    asked = ("--ring", ring), ("-r", ring)
    told, same = (streams(*one, "-o", "out", cwd=tmp_path).stderr for one in asked)
    assert same == told
    assert b"stopped (SIGTERM)" in told
    assert streams("-r", ring, "-o", "out", "-q", cwd=tmp_path).stderr == b""


def test_gaps_are_told_at_the_end_and_listed_when_asked(tmp_path):
    pcap = capture(tmp_path / "in.pcap", [CLIENT.syn(), CLIENT.sends(2, b"c")])
    ran = streams("-o", "out", "--gaps", "-r", pcap, cwd=tmp_path)

    assert ran.stderr == b"dlctl streams: 2 bytes are missing in 1 of 1 streams\n"
    (gap,) = report(tmp_path / "out" / "report.xml").iter("gap")
    assert (gap.get("file_offset"), gap.get("len")) == ("0", "2")


def test_packets_and_what_is_left_of_them_are_kept_apart(tmp_path):
    arp = b"\xff" * 12 + b"\x08\x06" + bytes(28)
    pcap = capture(tmp_path / "in.pcap", [*CONVERSATION, arp, CLIENT.syn()[:40]])
    streams("-K", "-o", "out", "-w", "rest.pcap", "-r", pcap, cwd=tmp_path)

    assert {name: len(data) > 24 for name, data in stored(tmp_path / "out").items()} == {
        f"{CLIENT_FILE}.pcap": True,
        f"{SERVER_FILE}.pcap": True,
    }
    assert (tmp_path / "rest.pcap").read_bytes()[24 + 16 :] == CLIENT.syn()[:40]
    document = report(tmp_path / "out" / "report.xml")
    assert list(document.iter("fileobject")) == []
    assert (document.findtext("total_flows"), document.findtext("total_packets")) == ("0", "0")


@pytest.mark.parametrize("frames", [[], CONVERSATION], ids=["empty", "filtered"])
def test_a_savefile_is_one_although_no_packet_was_read(tmp_path, frames):
    # Of another linktype than what follows: it is the first input that counts.
    first = capture(tmp_path / "1.pcap", frames, linktype=101)
    second = capture(tmp_path / "2.pcap", [])
    streams("-w", "w.pcap", "-r", first, "-r", second, "ip6 and udp port 9", cwd=tmp_path)

    assert (tmp_path / "w.pcap").read_bytes() == first.read_bytes()[:24]


def test_a_name_is_numbered_in_the_order_of_the_first_data(tmp_path):
    sides = [Side(port=port) for port in range(1, 60)]
    frames = [side.syn() for side in reversed(sides)]
    frames += [side.sends(0, b"%d" % number) for number, side in enumerate(sides)]
    streams("-T", "same", "-r", capture(tmp_path / "in.pcap", frames), cwd=tmp_path)

    assert stored(tmp_path) == {
        f"same{f'c{number}' if number else ''}": b"%d" % number for number in range(59)
    }


@pytest.mark.parametrize("options", [["-d", "2"], ["-d", "5"], ["-v"]])
def test_totals_and_streams_are_told_as_much_as_is_wanted(pcap, tmp_path, options):
    told = streams(*options, "-r", pcap, cwd=tmp_path).stderr.decode().splitlines()

    assert told[0] == "dlctl streams: reportfilename: ./report.xml"
    assert told[1:-2] == (
        []
        if "2" in options
        else [
            f"dlctl streams: {CLIENT_FILE}: closed (fin), 3 packets, 27 bytes",
            f"dlctl streams: {SERVER_FILE}: closed (fin), 3 packets, 69 bytes",
        ]
    )
    assert told[-2:] == [
        "dlctl streams: Total flows processed: 2",
        "dlctl streams: Total packets processed: 6",
    ]


def test_a_missing_file_is_told_and_the_others_are_read(pcap, tmp_path):
    ran = streams("-o", "out", "-r", "missing.pcap", "-r", pcap, cwd=tmp_path, check=1)

    assert ran.stderr == b"dlctl streams: missing.pcap: No such file or directory\n"
    assert len(stored(tmp_path / "out")) == 2


def test_a_torn_file_is_read_to_where_it_is_torn(pcap, tmp_path):
    pcap.write_bytes(pcap.read_bytes()[:-10])
    ran = streams("-o", "out", "-r", pcap, cwd=tmp_path, check=1)

    assert ran.stderr.count(b"\n") == 1
    assert b"in.pcap" in ran.stderr
    assert stored(tmp_path / "out")[SERVER_FILE].endswith(b"hello")
    assert report(tmp_path / "out" / "report.xml").findtext("outcome") == "finished"


def test_a_linktype_that_is_not_decoded_is_told_by_file(pcap, tmp_path):
    other = capture(tmp_path / "user.pcap", [b"frame"], linktype=147)
    ran = streams("-o", "out", "-r", other, "-r", pcap, cwd=tmp_path, check=1)

    assert b"user.pcap: linktype 147 is not decoded" in ran.stderr
    assert len(stored(tmp_path / "out")) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-r", "in.pcap", "no such filter("], b"filter"),
        (["-r", "in.pcap", "-m", "abc"], b"-m"),
        (["-r", "in.pcap", "-T", "%q"], b"%q"),
        (["-r", "in.pcap", "-T", "../%A"], b"../%A"),
        (["--nonsense"], b"--nonsense"),
        (["--ring", "missing"], b"missing"),
        (["-c", "-w", "-", "-r", "in.pcap"], b"-w"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_before_anything_is_made(
    pcap, tmp_path, arguments, words
):
    ran = streams("-o", "out", *arguments, cwd=tmp_path, check=2)

    assert ran.stderr.count(b"\n") == 1
    assert words in ran.stderr
    assert not (tmp_path / "out").exists()


def test_what_comes_again_behind_the_end_is_counted(tmp_path):
    frames = [CLIENT.syn(), CLIENT.sends(0, b"abcd"), CLIENT.fin(4), CLIENT.sends(0, b"abxx")]
    streams("-o", "out", "-r", capture(tmp_path / "in.pcap", frames), cwd=tmp_path)

    assert stored(tmp_path / "out") == {CLIENT_FILE: b"abcd"}
    assert report(tmp_path / "out" / "report.xml").findtext("late_bytes") == "4"


def test_a_source_that_has_the_name_of_a_further_file_stays(pcap, tmp_path):
    other = capture(tmp_path / "rest.1", [CLIENT.syn()[14:40]], linktype=228)
    before = other.read_bytes()
    streams("-o", "out", "-w", "rest", "-r", pcap, "-r", other, cwd=tmp_path)

    assert other.read_bytes() == before
    assert (tmp_path / "rest.2").read_bytes()[40:] == CLIENT.syn()[14:40]


def test_bytes_that_ordered_leaves_out_are_told(tmp_path):
    frames = [CLIENT.sends(10, b"behind"), CLIENT.sends(0, b"before")]
    ran = streams("-C", "--ordered", "-r", capture(tmp_path / "in.pcap", frames), cwd=tmp_path)

    assert ran.stdout == b"behind\n"
    assert ran.stderr == b"dlctl streams: 6 bytes came too late to be printed in order\n"


def test_what_is_read_is_not_written_to(pcap, tmp_path):
    before = pcap.read_bytes()
    ran = streams("-o", "out", "-w", "./in.pcap", "-r", pcap, cwd=tmp_path, check=2)

    assert b"is read as well" in ran.stderr
    assert pcap.read_bytes() == before

    ran = streams("-o", "out", "-w", "same", "-X", "same", "-r", pcap, cwd=tmp_path, check=2)

    assert b"the report is written there as well" in ran.stderr
    assert not (tmp_path / "same").exists()

    ran = streams("-o", "out", "-X", pcap, "-r", "in.pcap", cwd=tmp_path, check=2)

    assert b"-X" in ran.stderr
    assert pcap.read_bytes() == before


def test_a_module_that_is_not_installed_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "httptools", None)
    config = StreamsConfig(http=True, outdir=str(tmp_path / "out"), files=("in.pcap",))

    with pytest.raises(UsageError, match=r"httptools is not installed.*daemonlogger-py\[read\]"):
        run(config)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["tcp", "http"])
def test_a_descriptor_that_is_not_open_is_refused_before_a_file_gets_its_number(
    pcap, tmp_path, name
):
    for number in (5, 9, 12):
        ran = streams(
            "-a", "-o", "out", "-S", f"{name}_alert_fd={number}", "-r", pcap, cwd=tmp_path, check=2
        )
        assert ran.stderr.startswith(f"dlctl: -S {name}_alert_fd={number}: is not open".encode())
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_directory_of_another_user_is_refused_before_anything_is_read(tmp_path):
    tmp_path.chmod(0o755)
    path = capture(tmp_path / "in.pcap", CONVERSATION)
    (tmp_path / "out").mkdir(mode=0o755)
    ran = streams("-U", "65534", "-o", "out", "-r", path, cwd=tmp_path, check=1)

    assert ran.stderr.startswith(b"dlctl: -U '65534': may not write to the directory -o 'out'; acc")
    assert ran.stderr.count(b"\n") == 1
    assert (tmp_path / "out").stat().st_uid == 0
    assert list((tmp_path / "out").iterdir()) == []

    options = ("-U", "65534", "-r", path)
    streams("-FX", "-o", "out", "-X", "/dev/null", *options, cwd=tmp_path)
    (tmp_path / "out").chmod(0o777)
    streams("-o", "out", *options, cwd=tmp_path)
    streams("-o", "made", *options, cwd=tmp_path)
    for name in ("out", "made"):
        assert stored(tmp_path / name).keys() == {CLIENT_FILE, SERVER_FILE}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the root directory")
@pytest.mark.parametrize(
    ("options", "printed"),
    [
        (["-c", "-w", "/w.pcap"], b"/out/" + CLIENT_FILE.encode()),
        (["-K", "-w", "/w.pcap"], b""),
        (["-a", "-I", "--json", "-S", "tcp_cmd=/none"], b'{"name": "'),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_in_another_root_directory_python_finds_all_that_a_run_needs(
    pcap, tmp_path, options, printed
):
    jail = tmp_path / "jail"
    jail.mkdir()
    os.chown(jail, 65534, 65534)
    ran = streams(
        "-U",
        "65534",
        "-z",
        jail,
        "-o",
        "/out",
        *options,
        "-r",
        pcap,
        cwd=tmp_path,
        check=1 if "--json" in options else 0,
    )

    assert ran.stdout.startswith(printed)
    assert b"Traceback" not in ran.stderr
    assert b"No module" not in ran.stderr


def test_silence(pcap, tmp_path):
    ran = streams("-d", "0", "-r", "missing.pcap", "-r", pcap, cwd=tmp_path, check=1)

    assert ran.stderr == b""


def test_a_full_disk_is_told_and_the_report_is_well_formed(tmp_path):
    pcap = capture(
        tmp_path / "in.pcap", [CLIENT.sends(at * 1000, b"x" * 1000) for at in range(900)]
    )

    def no_large_files():
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    ran = streams("-o", "out", "-r", pcap, cwd=tmp_path, check=1, preexec_fn=no_large_files)

    assert ran.stderr.decode() == f"dlctl: {CLIENT_FILE}: File too large\n"
    assert stored(tmp_path / "out")[CLIENT_FILE] == b"x" * 100_000
    assert report(tmp_path / "out" / "report.xml").findtext("outcome") == "failed"


def test_a_reader_of_the_console_that_has_enough_ends_the_run(tmp_path):
    pcap = capture(tmp_path / "in.pcap", [CLIENT.sends(at, b"x" * 60000) for at in range(200)])
    ran = subprocess.run(
        f"{' '.join(COMMAND)} -C -r {pcap} | head -c 10",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        env=ENVIRONMENT,
    )

    assert (ran.stdout, ran.stderr) == (b"x" * 10, b"")


def test_what_is_closed_is_told_while_no_packets_come(tmp_path):
    source, sink = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "-a", "--json", "-o", "out", "-r", "-"],
        stdin=source,
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env=ENVIRONMENT,
    )
    os.close(source)
    watchdog = threading.Timer(30, process.kill)
    watchdog.start()
    os.write(sink, struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, ETHERNET))
    os.write(sink, records(timed(CONVERSATION)))
    lines = [process.stdout.readline() for _ in range(2)]
    while (
        process.poll() is None
        and b"<fileobject>" not in (tmp_path / "out" / "report.xml").read_bytes()
    ):
        time.sleep(0.02)
    ended = process.poll()
    os.close(sink)
    process.communicate()
    watchdog.cancel()

    assert ended is None, "nothing was told before the input ended"
    assert [json.loads(line)["why"] for line in lines] == ["fin", "fin"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_reading_and_all_that_was_read_is_written(tmp_path, number):
    source, sink = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "-o", "out", "-r", "-"],
        stdin=source,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=ENVIRONMENT,
    )
    os.close(source)
    os.write(sink, struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, ETHERNET))
    os.write(sink, records(timed(CONVERSATION[:4])))
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (tmp_path / "out" / SERVER_FILE).exists():
        time.sleep(0.02)
    process.send_signal(number)
    _, told = process.communicate(timeout=30)
    os.close(sink)

    assert process.returncode == 0
    assert number.name.encode() in told
    assert stored(tmp_path / "out")[SERVER_FILE].endswith(b"hello")
    document = report(tmp_path / "out" / "report.xml")
    assert document.findtext("outcome") == "interrupted"
    assert len(list(document.iter("fileobject"))) == 2


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        ("-C", signal.SIGINT),
        ("--json -o out", signal.SIGTERM),
        ("-w - -o out", signal.SIGINT),
        ("-w fifo -o out", signal.SIGINT),
        ("-X fifo -o out", signal.SIGTERM),
    ],
)
def test_a_reader_that_takes_nothing_does_not_keep_a_run_from_ending(tmp_path, arguments, number):
    frames = [frame for at in range(2000) for frame in exchange(at)]
    pcap = capture(tmp_path / "in.pcap", frames)
    os.mkfifo(tmp_path / "fifo")
    process = subprocess.Popen(
        [*COMMAND, *arguments.split(), "-r", str(pcap)],
        stdout=subprocess.PIPE,  # which nobody reads
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=ENVIRONMENT,
    )
    while not (heeds_signals(process.pid) and ("fifo" in arguments or is_full(process.stdout))):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    began = time.monotonic()
    process.wait(timeout=30)
    took_s = time.monotonic() - began
    process.stdout.close()
    told = process.stderr.read()
    process.stderr.close()

    assert process.returncode == 128 + number
    assert took_s < 20
    assert told.startswith(f"dlctl: stopped by {number.name}: ".encode())


def exchange(number):
    """A connection of its own, and a datagram."""
    side = Side(port=1000 + number)
    other = ethernet(ipv4(udp(1000 + number, 53, b"x" * 300), "10.0.0.1", "10.0.0.2", UDP))
    return side.syn(), side.sends(0, b"x" * 300), side.fin(300), other


def heeds_signals(pid):
    """Whether a process has installed its handlers: one for INT is there from Python's start."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def is_full(pipe):
    """Whether a pipe takes nothing more, or hardly."""
    count = bytearray(4)
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return int.from_bytes(count, sys.byteorder) > 60_000


@pytest.mark.parametrize(
    ("arguments", "shown"), [("-o out", True), ("-C -B", False), ("--json -o out", False)]
)
def test_no_bar_is_drawn_over_what_is_printed_on_the_terminal(pcap, tmp_path, arguments, shown):
    pytest.importorskip("rich")
    ours, theirs = pty.openpty()
    ran = subprocess.Popen(
        [*COMMAND, *arguments.split(), "-r", pcap],
        cwd=tmp_path,
        stdout=theirs,
        stderr=theirs,
        env={**ENVIRONMENT, "TERM": "xterm"},
    )
    os.close(theirs)
    screen = b""
    try:
        while piece := os.read(ours, 1 << 16):
            screen += piece
    except OSError:
        pass  # as a terminal ends
    os.close(ours)
    assert ran.wait() == 0
    assert (b"\x1b" in screen) == shown
    assert (b"hello" in screen) == ("-C" in arguments)
