"""What is refused before anything is said or created, when recording and when checking alike."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from daemonlogger_py.errors import FilterError, SourceError, UsageError
from daemonlogger_py.record import keeper, opening, session
from daemonlogger_py.record.retention import Volume

from .place import CAPTURES, Place


def refused(place: Place, capfd: pytest.CaptureFixture[str], **settings: Any) -> str:
    """Both ways to begin refuse it in the same words; nothing is said, created or left open."""
    messages = []
    before = (place.names(), len(os.listdir("/proc/self/fd")), signal.getsignal(signal.SIGTERM))
    for begin in (session.run, session.check):
        with pytest.raises((UsageError, SourceError)) as caught:
            begin(place.config(**settings))
        messages.append(str(caught.value))
    after = (place.names(), len(os.listdir("/proc/self/fd")), signal.getsignal(signal.SIGTERM))

    assert after == before
    assert capfd.readouterr() == ("", "")
    assert messages[0] == messages[1]
    assert "\n" not in messages[0]
    return messages[0]


def test_log_directory(place: Place, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    assert refused(place, capfd, log_dir=missing) == f"-l {missing}: No such file or directory"
    file = str(place.source)
    assert refused(place, capfd, log_dir=file) == f"-l {file}: Not a directory"
    text = refused(place, capfd, log_dir="/proc/self")
    assert text.startswith("-l /proc/self: no savefile can be made there: ")


def test_probe_of_the_log_directory_is_gone(place: Place) -> None:
    with pytest.raises(SourceError):
        place.run(read=str(place.logs))

    assert place.names() == []


@pytest.mark.parametrize("ring", [False, True])
def test_a_name_is_not_given_again_once_its_savefile_is_compressed(
    place: Place, ring: bool
) -> None:
    place.run(ring=ring)
    (first,) = [name for name in place.names() if name.startswith("t.")]
    (place.logs / first).rename(place.logs / f"{first}.gz")
    place.run(ring=ring)

    assert place.names() == [f"{first}.001", f"{first}.gz"]


def test_names_go_on_from_what_is_compressed_where_order_is_age(place: Place) -> None:
    now_s = int(time.time())
    for name in (f"t.{now_s}", f"t.{now_s + 6}.002.gz", "t.9999999999.gz"):
        (place.logs / name).touch()
    dir_fd = os.open(place.logs, os.O_RDONLY)
    found = []
    for ring in (False, True):
        config = place.config(ring=ring, read=None)
        log_dir = opening._log_dir(config, dir_fd, lambda *_args, **_facts: None)
        found.append(log_dir.newest_epoch())
        assert [name.name for name in log_dir.newest] == [f"t.{now_s}"]
    os.close(dir_fd)

    assert found == [0, now_s + 6]


def test_capture(place: Place, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    assert refused(place, capfd, read=missing) == f"-R {missing}: No such file or directory"
    logs = str(place.logs)
    assert refused(place, capfd, read=logs) == f"-R {logs}: Is a directory"
    place.source.write_bytes(CAPTURES["not_pcap.txt"])
    text = refused(place, capfd)
    assert text.startswith(f"-R {place.source}: not a savefile, at byte offset 0: ")


def test_filters(place: Place, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = refused(place, capfd, filter="tcp and")
    assert text.startswith("filter 'tcp and': ")
    path = tmp_path / "filter"
    path.write_text("port nosuchport")
    assert "nosuchport" in refused(place, capfd, filter_file=str(path))
    path.write_text("# nothing\n")
    text = refused(place, capfd, filter_file=str(path))
    assert text.startswith(f"-f/--filter-file: filter file '{path}': holds no filter")
    path.unlink()
    text = refused(place, capfd, filter_file=str(path))
    assert text.startswith(f"-f/--filter-file: filter file '{path}': No such file")
    with pytest.raises(FilterError) as caught:
        place.run(filter="tcp and")
    assert caught.value.exit_status == 2


def test_interface(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    text = refused(place, capfd, read=None, interface="nosuch0")

    assert "nosuch0" in text


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        ({"max_bytes": 9999}, 9999),
        ({"max_percent": 50.0}, 50_000),
        ({"min_free_bytes": 99_000}, 1000),
        ({"min_free_percent": 90.0, "max_bytes": 50_000}, 10_000),
    ],
)
def test_roll_size_that_the_limits_can_never_hold(
    place: Place,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    limits: dict[str, float],
    most: int,
) -> None:
    monkeypatch.setattr(keeper, "look_at_volume", lambda fd: Volume(100_000, 100_000))
    settings = {"ring": True, "roll_size_given": True, **limits}
    text = refused(place, capfd, roll_size=most + 1, **settings)
    assert text == f"-s {most + 1}: more than the {most} bytes that the ring's limits leave"

    assert place.run(roll_size=most, **settings) == 0


def test_roll_size_that_the_volume_can_never_hold(
    place: Place, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "look_at_volume", lambda fd: Volume(100_000, 100_000))
    text = refused(place, capfd, ring=True, roll_size=100_001, roll_size_given=True)

    assert text == "-s 100001: more than the 100000 bytes that its volume holds"


@pytest.mark.parametrize(
    ("max_bytes", "roll_size"), [(8 << 20, 1 << 20), (1 << 40, 2 << 30), (100_000, 64 * 1024)]
)
def test_roll_size_that_nobody_asked_for_is_lowered(
    place: Place,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    max_bytes: int,
    roll_size: int,
) -> None:
    monkeypatch.setattr(keeper, "look_at_volume", lambda fd: Volume(1 << 50, 1 << 50))
    place.run(ring=True, max_bytes=max_bytes)

    assert f"[-] Rollover size set to {roll_size} bytes" in capfd.readouterr().err


@pytest.mark.parametrize("settings", [{"max_bytes": 10_000}, {"min_free_bytes": 100 << 40}])
def test_limits_that_leave_no_savefile_any_room(
    place: Place, capfd: pytest.CaptureFixture[str], settings: dict[str, int]
) -> None:
    """Accepted, they would prune the whole ring and still not hold."""
    text = refused(place, capfd, ring=True, **settings)

    assert text.startswith("-r: no savefile fits into the ")
