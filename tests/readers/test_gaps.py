"""What readers say of gaps, and the gap since a recorder was killed."""

import os
import socket
from pathlib import Path

import pytest

from daemonlogger_py.config.archive import Where
from daemonlogger_py.readers import gaps
from daemonlogger_py.readers.archive import Archive, Directory
from daemonlogger_py.readers.gaps import (
    Untold,
    answers,
    directory_lines,
    gap_lines,
    lives,
    ring_lines,
)
from daemonlogger_py.savefile.catalog_end import End, leave
from daemonlogger_py.savefile.catalog_rows import GAP_KINDS, Gap, Run

from .made_ring import FIRST, NS, PREFIX, add_gap, make_ring, open_catalog, write_savefile

HERE = Directory(-1, "/pcap", "/pcap", "eth0", None, None)
THERE = HERE._replace(shown="/other", path="/other")


def line(**fields: object) -> str:
    made = Gap(from_ns=FIRST * NS, **fields)  # type: ignore[arg-type]
    (found,) = gap_lines([(HERE, made)])
    return found


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"kind": "stopped", "to_ns": (FIRST + 130) * NS, "detail": "SIGTERM"},
            "[!] not recorded 2023-11-14T22:13:20Z to 22:15:30Z: stopped (SIGTERM)",
        ),
        ({"kind": "stopped"}, "[!] not recorded since 2023-11-14T22:13:20Z: stopped"),
        (
            {"kind": "dropped", "to_ns": (FIRST + 1) * NS, "packets": 1234},
            "[!] incomplete 2023-11-14T22:13:20Z to 22:13:21Z: 1,234 packets dropped by the kernel",
        ),
        (
            {"kind": "clock_stepped", "to_ns": FIRST * NS + 5, "detail": "back by 3.5 s"},
            (
                "[!] times are not to be relied on at 2023-11-14T22:13:20Z:"
                " the clock was set (back by 3.5 s)"
            ),
        ),
        (
            {"kind": "crashed", "to_ns": (FIRST + 86400) * NS},
            (
                "[!] not recorded 2023-11-14T22:13:20Z to 2023-11-15T22:13:20Z:"
                " the recorder was killed"
            ),
        ),
        (
            {"kind": "unknown", "detail": "the catalog was lost"},
            "[!] not known what was recorded since 2023-11-14T22:13:20Z: the catalog was lost",
        ),
        (
            {"kind": "crashed", "detail": "the recorder was killed"},
            "[!] not recorded since 2023-11-14T22:13:20Z: the recorder was killed",
        ),
        (
            {"kind": "of_the_future"},
            "[!] not recorded since 2023-11-14T22:13:20Z: of_the_future",
        ),
    ],
)
def test_a_line(fields: dict[str, object], expected: str) -> None:
    assert line(**fields) == expected


@pytest.mark.parametrize("kind", GAP_KINDS)
def test_every_kind_has_its_words(kind: str) -> None:
    assert set(gaps.MEANING) == {*GAP_KINDS}
    assert line(kind=kind).count("_") == 0


def test_a_detail_cannot_command_the_terminal() -> None:
    assert "\x1b" not in line(kind="stopped", detail="\x1b[2J\n")


def test_rings_are_told_apart_where_there_are_several() -> None:
    gap = Gap(kind="stopped", from_ns=FIRST * NS)
    one, other = gap_lines([(HERE, gap), (THERE, gap)])
    assert "Z in /pcap/eth0: stopped" in one
    assert "Z in /other/eth0: stopped" in other


def test_lines_are_bounded() -> None:
    many = [(HERE, Gap(kind="dropped", from_ns=FIRST * NS))] * 1000
    found = gap_lines(many)
    assert len(found) == gaps.MOST_LINES
    assert found[-1] == "[!] and 981 gaps more: dlctl ls lists them"
    assert gap_lines([]) == []


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A ring whose last run has no end, and whose recorder is not there."""
    make_ring(tmp_path)
    with open_catalog(tmp_path) as catalog:
        catalog.begin_run(Run(seen_ns=(FIRST + 500) * NS, pid=1, boot_id="another boot"))
    return tmp_path


def test_a_killed_recorder_left_a_gap_that_lasts(killed: Path) -> None:
    with Archive(Where(rings=(str(killed),))) as archive:
        ((_, gap),) = archive.gaps()
        assert (gap.kind, gap.from_ns, gap.to_ns) == ("crashed", (FIRST + 500) * NS, None)
        assert archive.gaps(to_ns=(FIRST + 500) * NS) == []
        assert len(archive.gaps(from_ns=(FIRST + 900) * NS)) == 1


def test_a_recorder_that_ended_alone_says_so_itself(killed: Path) -> None:
    """Its catalog's process had been killed, and nobody wrote the end into the catalog."""
    dir_fd = os.open(killed, os.O_RDONLY | os.O_DIRECTORY)
    leave(dir_fd, f"{PREFIX}.catalog", End(0, (FIRST + 700) * NS, "SIGTERM"))
    os.close(dir_fd)
    with Archive(Where(rings=(str(killed),))) as archive:
        ((_, gap),) = archive.gaps()
        assert (gap.kind, gap.from_ns, gap.detail) == ("stopped", (FIRST + 700) * NS, "SIGTERM")
        assert archive.gaps(to_ns=(FIRST + 700) * NS) == []


def test_a_recorder_that_lives_left_none(killed: Path) -> None:
    with open_catalog(killed) as catalog:
        catalog.begin_run(Run(seen_ns=FIRST * NS, pid=os.getpid(), boot_id=boot_id()))
    with Archive(Where(rings=(str(killed),))) as archive:
        assert archive.gaps() == []


def test_a_recorder_that_answers_left_none(killed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(killed)  # a socket's path is short
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(f"{PREFIX}.socket")
        listening.listen()
        assert answers(f"{PREFIX}.catalog")
        with Archive(Where(rings=(".",))) as archive:
            assert archive.gaps() == []
    assert not answers(f"{PREFIX}.catalog")


def test_a_gap_that_lasts_ends_where_one_without_a_catalog_began(tmp_path: Path) -> None:
    make_ring(tmp_path)
    add_gap(tmp_path, "stopped", 300, None, detail="SIGTERM")
    write_savefile(tmp_path / f"{PREFIX}.{FIRST + 400}", FIRST + 400)
    with Archive(Where(rings=(str(tmp_path),))) as archive:

        def spans(from_s: int, to_s: int) -> list[tuple[int, int | None]]:
            found = archive.gaps((FIRST + from_s) * NS, (FIRST + to_s) * NS)
            assert all(gap.kind == "stopped" for _, gap in found)
            return [
                (gap.from_ns // NS - FIRST, gap.to_ns and gap.to_ns // NS - FIRST)
                for _, gap in found
            ]

        assert spans(0, 1000) == [(300, 400), (460, None)]
        assert spans(0, 450) == [(300, 400)]
        assert spans(410, 450) == []
        assert spans(410, 1000) == [(460, None)]
        assert spans(0, 300) == []


def test_whether_one_answers_does_not_depend_on_how_long_the_path_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    assert not answers(str(deep / "p.catalog"))
    assert not answers(str(deep / "gone" / "p.catalog"))
    assert not answers(str(deep / ("p" * 120 + ".catalog")))
    monkeypatch.chdir(deep)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind("p.socket")
        assert not answers(str(deep / "p.catalog"))  # nobody listens yet
        listening.listen()
        assert answers(str(deep / "p.catalog"))
        assert answers("p.catalog")


def test_whether_a_process_lives() -> None:
    assert lives(Run(pid=os.getpid(), boot_id=boot_id()))
    assert lives(Run(pid=os.getpid(), boot_id=boot_id().replace("-", "")))
    assert not lives(Run(pid=os.getpid(), boot_id="another"))
    assert not lives(Run(pid=0, boot_id=boot_id()))
    assert not lives(Run(pid=2**22 + 1, boot_id=boot_id()))  # above what the kernel gives out


def test_what_is_said_before_a_ring_is_read(tmp_path: Path) -> None:
    make_ring(tmp_path)
    add_gap(tmp_path, "stopped", 130, 200, detail="SIGTERM")
    (line,) = ring_lines(str(tmp_path), None, None, None)
    assert line == "[!] not recorded 2023-11-14T22:15:30Z to 22:16:40Z: stopped (SIGTERM)"
    assert ring_lines(str(tmp_path), PREFIX, None, (FIRST + 130) * NS) == []
    (tmp_path / f"{PREFIX}.catalog").write_bytes(b"damaged")
    (complaint,) = ring_lines(str(tmp_path), None, None, None)
    assert "is damaged" in complaint


def test_directories_say_what_their_rings_miss(tmp_path: Path) -> None:
    ring, plain, empty = tmp_path / "ring", tmp_path / "plain", tmp_path / "empty"
    for path in (ring, plain, empty):
        path.mkdir()
    make_ring(ring)
    add_gap(ring, "stopped", 130, 200, detail="SIGTERM")
    (plain / "some.pcap").write_bytes((ring / f"{PREFIX}.{FIRST}").read_bytes())
    (line,) = directory_lines([str(ring), str(plain), str(ring)], None, None)
    assert line == "[!] not recorded 2023-11-14T22:15:30Z to 22:16:40Z: stopped (SIGTERM)"
    assert directory_lines([str(ring)], None, (FIRST + 130) * NS) == []
    others = [str(plain), str(plain / "some.pcap"), "-", str(tmp_path / "nowhere")]
    assert directory_lines(others, None, None) == []
    assert directory_lines([str(empty)], None, None) == []


def test_every_gap_is_told_once() -> None:
    untold = Untold()
    early = HERE, Gap(number=4, kind="stopped", from_ns=10)
    earlier = HERE, Gap(number=5, kind="dropped", from_ns=5)
    elsewhere = THERE, Gap(number=1, kind="dropped", from_ns=20)
    assert untold.of([earlier, early]) == [earlier, early]
    assert untold.of([earlier, early, elsewhere]) == [elsewhere]
    later = HERE, Gap(number=6, kind="lost", from_ns=1)
    assert untold.of([later, earlier, early, elsewhere]) == [later]
    assert untold.of([later, earlier, early, elsewhere]) == []


def test_a_killed_recorder_is_told_once_a_run() -> None:
    untold = Untold()
    unwritten = HERE, Gap(kind="crashed", from_ns=10, run=7, detail="none runs now")
    written = HERE, Gap(number=9, kind="crashed", from_ns=8, to_ns=20, run=7)
    again = HERE, Gap(kind="crashed", from_ns=30, run=8, detail="none runs now")
    assert untold.of([unwritten]) == [unwritten]
    assert untold.of([unwritten]) == []
    assert untold.of([written]) == []
    assert untold.of([written, again]) == [again]
    assert untold.of([written, again]) == []


def test_what_no_row_has_is_told_once() -> None:
    untold = gaps.Untold()
    place = Directory(-1, "ring", "ring", "p", None, None)
    found = [(place, Gap(from_ns=1, to_ns=2)), (place, Gap(from_ns=5, to_ns=6))]
    assert untold.of(found) == found
    assert untold.of(found) == []
    later = (place, Gap(from_ns=7, to_ns=8))
    assert untold.of([*found, later]) == [later]
