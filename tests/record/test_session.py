"""A whole recording from its configuration: files, messages, and the check before it."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemonlogger_py import __version__
from daemonlogger_py.config.recorder import RecorderConfig, RollTime
from daemonlogger_py.engine.protocol import Stop
from daemonlogger_py.errors import SourceError
from daemonlogger_py.record import keeper, opening, session
from daemonlogger_py.record.retention import Volume
from daemonlogger_py.savefile.catalog import Catalog

from ..pcaps import make
from ..pcaps.parse import parse
from .bench import at, mixture, packets_in
from .fakes import FakeSource, Step
from .place import CAPTURES, Place

START_S = make.START_NS // 10**9


@contextmanager
def standard_input(data: bytes) -> Iterator[None]:
    """Standard input is a pipe with `data` meanwhile."""
    kept = os.dup(0)
    read_fd, write_fd = os.pipe()
    os.write(write_fd, data)
    os.close(write_fd)
    os.dup2(read_fd, 0)
    os.close(read_fd)
    try:
        yield
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_everything_that_is_said(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    assert place.run() == 0

    said = capfd.readouterr()
    assert said.out == ""
    size = len(CAPTURES["us.pcap"])
    assert said.err == (
        f"[-] Logpath set to {place.logs}\n"
        '[-] Log filename set to "t"\n'
        '[-] Pidfile configured to "daemonlogger.pid"\n'
        '[-] Pidpath configured to "/run"\n'
        "[-] In readback mode\n"
        "[-] Rollover size set to 2147483648 bytes\n"
        "[-] Rollover time configured for 0 seconds\n"
        "[-] Pruning behavior set to oldest IN DIRECTORY\n"
        f"\n-*> DaemonLogger <*-\nVersion {__version__}\n\n"
        f'Checking partition stats for log directory "{place.logs}/."\n'
        f'Reading network traffic from "{place.source}" file.\n'
        "snaplen = 262144\n"
        f"Logging packets to {place.logs}/t.{START_S}\n"
        "12 packets received\n"
        "0 packets dropped by the kernel (0.00%)\n"
        "0 packets dropped by the interface\n"
        "0 packets lost by daemonlogger\n"
        f"12 packets written to 1 files, {size} bytes\n"
    )


def test_savefile_is_the_same_to_the_byte(place: Place) -> None:
    place.run()

    assert place.names() == [f"t.{START_S}"]
    assert (place.logs / place.names()[0]).read_bytes() == CAPTURES["us.pcap"]


@pytest.mark.parametrize(
    "name",
    [name for name in CAPTURES if not name.startswith(("cut_", "bad_", "empty", "not_", "zeros"))],
)
@pytest.mark.parametrize("direct", [False, True])
def test_every_format(place: Place, name: str, direct: bool) -> None:
    place.source.write_bytes(CAPTURES[name])
    assert place.run(direct=direct) == 0

    (written,) = [(place.logs / found).read_bytes() for found in place.names()]
    expected, found = parse(CAPTURES[name]), parse(written)
    assert found.whole
    assert found.records == expected.records
    assert (found.linktype, found.nanosecond) == (expected.linktype, expected.nanosecond)


def test_standard_input(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    with standard_input(CAPTURES["us.pcapng"]):
        assert place.run(read="-") == 0

    assert place.packets() == [mixture()]
    assert 'Reading network traffic from "-" file.' in capfd.readouterr().err


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"flush": True}, "[-] Packet-buffered output activated"),
        ({"count": 5}, "[-] Configured to log 5 packets"),
        ({"filter": "udp or tcp"}, '[-] Filter set to "udp or tcp"'),
        ({"max_files": 3}, "[-] Max files to write set to 3"),
        ({"ring": True}, "[-] Ringbuffer active"),
        ({"ring": True, "prune_run": True}, "[-] Pruning behavior set to oldest THIS RUN"),
        ({"roll_size": 5000, "roll_size_given": True}, "[-] Rollover size set to 5000 bytes"),
        ({"snaplen": 96}, "[-] Snaplen set to 96"),
        ({"roll_time": RollTime(30, "s")}, "[-] Rollover time configured for 30 seconds"),
        ({"roll_time": RollTime(2, "h")}, "[-] Rollover configured for 2 hours"),
        ({"roll_packets": 7}, "[-] Rollover configured for 7 packets"),
        (
            {"ring": True, "max_bytes": 1 << 20},
            "[-] Max size of all savefiles set to 1048576 bytes",
        ),
        ({"ring": True, "min_free_bytes": 1000}, "[-] Min free space set to 1000 bytes"),
        ({"ring": True, "min_free_percent": 0.5}, "[-] Min free space set to 0.5%"),
        ({"ring": True, "max_age": 3600}, "[-] Max age set to 3600 seconds"),
    ],
)
def test_line_an_option(
    place: Place, capfd: pytest.CaptureFixture[str], settings: dict[str, object], line: str
) -> None:
    assert place.run(**settings) == 0

    assert line in capfd.readouterr().err.splitlines()


def test_use_of_the_volume_as_the_original_prints_it(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    place.run(ring=True, max_percent=100.0, roll_size=1 << 20, roll_size_given=True)

    lines = capfd.readouterr().err.splitlines()
    status = os.statvfs(place.logs)
    begin = lines.index(f"100% max disk utilization = 0 blocks free (out of {status.f_blocks})")
    assert lines[begin + 1 : begin + 4] == [
        f"Blocksize = {status.f_frsize}",
        f"Rollsize = {(1 << 20) // status.f_frsize} blocks",
        "",
    ]


def test_messages_in_json(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    place.run(log_format="json", roll_packets=5)

    said = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [record["event"] for record in said if record["event"] != "setting"] == [
        *["banner", "volume", "reading", "snaplen"],
        *["savefile", "roll", "rolling"] * 2,
        *["savefile", "statistics"],
    ]
    assert said[-1]["written"] == 12
    assert [r["path"] for r in said if r["event"] == "savefile"] == [
        str(place.logs / name) for name in place.names()
    ]


@pytest.mark.parametrize("where", ["line", "file"])
def test_filter(place: Place, tmp_path: Path, where: str) -> None:
    path = tmp_path / "filter"
    path.write_text("udp  # and nothing else\r\n\r\nor arp\n")
    place.run(**({"filter": "udp or arp"} if where == "line" else {"filter_file": str(path)}))

    packets = mixture()
    assert place.packets() == [[packets[0], packets[1], packets[2], packets[7], packets[10]]]


def test_snaplen_and_nanoseconds(place: Place) -> None:
    place.run(snaplen=50, nanosecond=True)

    found = parse((place.logs / f"t.{START_S}").read_bytes())
    assert (found.snaplen, found.nanosecond) == (50, True)
    assert [r.data for r in found.records] == [p.data[:50] for p in mixture()]
    assert [r.origlen for r in found.records] == [p.wire_bytes for p in mixture()]
    assert found.times_ns() == [p.time_ns for p in mixture()]


def test_ring_of_three(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    place.run(ring=True, max_files=3, roll_packets=2)

    assert place.packets() == [mixture()[6:8], mixture()[8:10], mixture()[10:]]
    deleted = [line for line in capfd.readouterr().err.splitlines() if "deleting" in line]
    assert [os.path.basename(line) for line in deleted] == [
        f"t.{START_S}",
        f"t.{START_S}.001",
        f"t.{START_S + 1}",
    ]


def test_ring_of_one(place: Place) -> None:
    place.run(ring=True, max_files=1, roll_packets=5)

    assert place.packets() == [mixture()[10:]]


def test_evidence_survives_a_ring(place: Place, tmp_path: Path) -> None:
    evidence = "my-evidence-of-t-do-not-delete.txt"
    (place.logs / evidence).write_text("evidence")
    (place.logs / "t.1").symlink_to(tmp_path / "x.pcap")
    (place.logs / "t.2").mkdir()
    (place.logs / "t.3").write_bytes(CAPTURES["us.pcap"])
    place.run(ring=True, max_files=2, roll_packets=3)

    assert {evidence, "t.1", "t.2"} < set(place.names())
    assert "t.3" not in place.names()
    assert len(place.names()) == 5
    assert place.source.read_bytes() == CAPTURES["us.pcap"]


def leave_pinned(place: Place) -> None:
    """Savefiles of an earlier run, of which all but the first are pinned."""
    for epoch in (100, 200, 300):
        (place.logs / f"t.{epoch}").write_bytes(CAPTURES["us.pcap"])
        os.utime(place.logs / f"t.{epoch}", (epoch, epoch))
    with Catalog.create(str(place.logs / "t.catalog")) as catalog:
        catalog.pin(150 * 10**9, 400 * 10**9, "why", 1)


def test_pins_hold_where_no_catalog_is_kept(place: Place) -> None:
    leave_pinned(place)
    place.run(ring=True, max_files=3, roll_packets=6)

    assert {"t.200", "t.300"} < set(place.names())
    assert "t.100" not in place.names()


def test_pins_hold_with_the_catalog_off(place: Place, live: FakeSource) -> None:
    leave_pinned(place)
    place.run(read=None, ring=True, max_files=2, catalog=False)

    assert {"t.200", "t.300"} < set(place.names())
    assert "t.100" not in place.names()
    assert live.closed


@pytest.mark.parametrize("begin", [session.run, session.check])
def test_pins_that_cannot_be_read_are_told(
    place: Place, capfd: pytest.CaptureFixture[str], begin: Callable[[RecorderConfig], int]
) -> None:
    (place.logs / "t.catalog").write_text("no database, and no pins")
    begin(place.config(ring=True, max_files=3))

    said = "".join(capfd.readouterr())
    assert f"[!] {place.logs}/t.catalog: " in said
    assert "its pins cannot be read: what they kept may be pruned" in said


def test_archive_takes_what_is_pruned(place: Place, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    place.run(ring=True, max_files=2, roll_packets=3, archive=str(archive))

    archived = [packets_in((archive / name).read_bytes()) for name in sorted(os.listdir(archive))]
    assert [*archived, *place.packets()] == [mixture()[n : n + 3] for n in range(0, 12, 3)]


@pytest.mark.parametrize("name", ["cut_in_packet.pcap", "cut_in_block.pcapng", "bad_caplen.pcap"])
def test_damaged_capture(place: Place, capfd: pytest.CaptureFixture[str], name: str) -> None:
    place.source.write_bytes(CAPTURES[name])
    expected = parse(CAPTURES[name])
    where = f"{place.source} is damaged at byte offset {expected.end_offset}: "
    with pytest.raises(SourceError, match=f"^{where}"):
        place.run()

    assert [len(packets) for packets in place.packets()] == [len(expected.records)]
    assert f"{len(expected.records)} packets written to 1 files" in capfd.readouterr().err


# Live, as far as it goes without an interface


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> FakeSource:
    """A source that takes the place of an interface."""
    source = FakeSource(at(range(3)), [Step(2, Stop.WAKE)], live=True)
    source.interface = "fake0"  # type: ignore[attr-defined]
    monkeypatch.setattr(opening, "_open_interface", lambda config, fd, text: source)
    return source


def test_live_recording(place: Place, live: FakeSource, capfd: pytest.CaptureFixture[str]) -> None:
    assert place.run(read=None) == 0

    lines = capfd.readouterr().err.splitlines()
    assert "[-] Interface set to fake0" in lines
    assert "sniffing on interface fake0" in lines
    assert not any("readback" in line or "Reading" in line for line in lines)
    assert place.packets() == [at(range(3))]
    assert live.closed


def test_torn_savefile_of_an_earlier_run_is_recovered(
    place: Place, live: FakeSource, capfd: pytest.CaptureFixture[str]
) -> None:
    for epoch in (100, 101):
        (place.logs / f"t.{epoch}").write_bytes(CAPTURES["cut_in_packet.pcap"])
    place.run(read=None)

    end = parse(CAPTURES["cut_in_packet.pcap"]).end_offset
    assert (place.logs / "t.101").read_bytes() == CAPTURES["us.pcap"][:end]
    assert (place.logs / "t.100").read_bytes() == CAPTURES["us.pcap"][:end], "nor was it whole"
    assert f"[!] Recovered {place.logs}/t.101: 11 whole records kept" in capfd.readouterr().err


def test_replay_recovers_nothing(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    """Old packets' savefiles have old names: what is newest by name may be anything."""
    torn = place.logs / f"t.{START_S + 1000}"
    torn.write_bytes(CAPTURES["cut_in_packet.pcap"])
    place.run()

    assert torn.read_bytes() == CAPTURES["cut_in_packet.pcap"]
    assert "Recovered" not in capfd.readouterr().err


# --check


def test_check_says_what_would_be_recorded_and_does_nothing(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    (place.logs / "t.1").write_bytes(CAPTURES["us.pcap"])
    assert session.check(place.config()) == 0

    said = capfd.readouterr()
    assert said.err == ""
    assert said.out.splitlines()[-2:] == [
        f'Would record from file "{place.source}" into {place.logs}: all of the above is in order',
        "Nothing would be pruned: there is no ring",
    ]
    assert "[-] In readback mode" in said.out
    assert "Logging packets" not in said.out
    assert place.names() == ["t.1"]


def test_check_says_what_would_be_pruned_now(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    for epoch in range(5):
        (place.logs / f"t.{epoch}").write_bytes(CAPTURES["us.pcap"])
    assert session.check(place.config(ring=True, max_files=4)) == 0

    assert capfd.readouterr().out.splitlines()[-3:] == [
        f"Would prune {place.logs}/t.0: max files 4",
        f"Would prune {place.logs}/t.1: max files 4",
        "2 of 5 savefiles would be pruned",
    ]
    assert place.names() == [f"t.{epoch}" for epoch in range(5)]


def test_check_says_which_limit_would_not_hold(
    place: Place, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "look_at_volume", lambda fd: Volume(1 << 30, 1 << 20))
    session.check(place.config(ring=True, min_free_bytes=1 << 25))

    assert capfd.readouterr().out.splitlines()[-2:] == [
        "[!] min free 32m: would not hold, nothing else is left to prune",
        "0 of 0 savefiles would be pruned",
    ]


@pytest.mark.parametrize("begin", [session.run, session.check])
def test_nothing_is_left_behind(place: Place, begin) -> None:
    handler = signal.getsignal(signal.SIGINT)
    before = len(os.listdir("/proc/self/fd"))
    begin(place.config(ring=True, max_files=3))

    assert len(os.listdir("/proc/self/fd")) == before
    assert signal.getsignal(signal.SIGINT) is handler
    assert not [name for name in place.names() if name.startswith(".")]
