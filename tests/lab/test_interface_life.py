"""An interface that is late, goes down, or is removed and made again while it is recorded from."""

import time
from pathlib import Path

from .commands import run
from .conftest import Record
from .network import Link
from .recorder import Totals
from .records import numbers_of, savefiles, walk_all
from .senders import Frames


def ip(link: Link, *command: str) -> None:
    run("ip", "-n", link.receiver.name, *command)


def make_again(link: Link, number: int = 0) -> Frames:
    """Make the veth pair anew, as `Link` did, and a sender that goes on at `number`."""
    run(
        *("ip", "link", "add", link.sender.interface, "netns", link.sender.name, "type", "veth"),
        *("peer", "name", link.receiver.interface, "netns", link.receiver.name),
    )
    for end in (link.sender, link.receiver):
        off = f"echo 1 >/proc/sys/net/ipv6/conf/{end.interface}/disable_ipv6"
        run(*end.command("sh", "-c", off))
        run("ip", "-n", end.name, "link", "set", end.interface, "up")
    frames = Frames(link.sender.packet_socket())
    frames.sent = number
    return frames


def burst(frames: Frames, count: int, size: int = 60) -> None:
    for _ in range(count):
        frames.send(size)


def assert_recorded(logs: Path, totals: Totals, numbers: list[int]) -> None:
    assert (totals.received, totals.written, totals.lost) == (len(numbers),) * 2 + (0,)
    assert list(numbers_of(walk_all(savefiles(logs)))) == numbers


def test_down_and_up(link: Link, record: Record, logs: Path, frames: Frames) -> None:
    recorder = record()
    burst(frames, 100)
    recorder.grows(lambda: sum(path.stat().st_size for path in savefiles(logs)), 100 * 60)
    ip(link, "link", "set", link.receiver.interface, "down")
    recorder.says(r"interface vb: down, no packets meanwhile")
    ip(link, "link", "set", link.receiver.interface, "up")
    recorder.says(r"interface vb: up again after \d+\.\d s")
    burst(frames, 100)
    time.sleep(0.2)

    assert_recorded(logs, recorder.stop(), list(range(200)))


def test_down_for_a_moment(link: Link, record: Record) -> None:
    recorder = record()
    ip(link, "link", "set", link.receiver.interface, "down")
    ip(link, "link", "set", link.receiver.interface, "up")
    recorder.says(r"interface vb: down, no packets meanwhile")
    recorder.says(r"interface vb: up again after")
    recorder.stop()


def test_removed_and_made_again(link: Link, record: Record, logs: Path, frames: Frames) -> None:
    logs.chmod(0o777)
    # Binding the socket that is open anew needs no privilege.
    recorder = record("-u", "nobody", "-g", "nogroup")
    burst(frames, 500)
    ip(link, "link", "del", link.receiver.interface)
    recorder.says(r"interface vb: gone, waiting for it to come back")
    again = make_again(link, 500)
    try:
        recorder.says(r"interface vb: back, nothing was recorded for \d+\.\d s")
        burst(again, 500)
        time.sleep(0.2)
        totals = recorder.stop()
    finally:
        again.close()

    assert_recorded(logs, totals, list(range(1000)))
    assert totals.interface_dropped == 0


def test_filter_and_promiscuity_come_along(
    link: Link, record: Record, logs: Path, frames: Frames
) -> None:
    recorder = record("len < 100")
    assert link.receiver.details()["promiscuity"] == 1
    ip(link, "link", "del", link.receiver.interface)
    recorder.says(r"gone, waiting")
    again = make_again(link)
    try:
        recorder.says(r"back, nothing was recorded")
        assert link.receiver.details()["promiscuity"] == 1
        burst(again, 10)
        burst(again, 10, 500)
        time.sleep(0.2)
        totals = recorder.stop()
    finally:
        again.close()

    assert_recorded(logs, totals, list(range(10)))


def test_ends_while_the_interface_is_gone(link: Link, record: Record, frames: Frames) -> None:
    recorder = record()
    burst(frames, 5)
    ip(link, "link", "del", link.receiver.interface)
    recorder.says(r"gone, waiting")

    assert recorder.stop().written == 5


def test_waits_for_one_that_is_late(link: Link, record: Record, logs: Path) -> None:
    ip(link, "link", "del", link.receiver.interface)
    recorder = record("--wait-interface", listen=False)
    recorder.says(r"\[-\] Waiting for interface vb")
    again = make_again(link)
    try:
        recorder.listening()
        burst(again, 5)
        time.sleep(0.2)
        totals = recorder.stop()
    finally:
        again.close()

    assert_recorded(logs, totals, list(range(5)))


def test_interrupted_while_waiting(link: Link, record: Record, logs: Path) -> None:
    ip(link, "link", "set", link.receiver.interface, "down")
    recorder = record("--wait-interface", listen=False)
    recorder.says(r"Waiting for interface vb")
    recorder.kill()

    assert list(logs.iterdir()) == []
