"""Which savefiles a span of time needs: never one too few, and few too many."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.errors import UsageError
from daemonlogger_py.readers.inputs.ring import SLACK_NS, Ring

from ...pcaps.make import NANOSECONDS, Packet, classic
from .reading import EPOCH, NS, capture, packets

Make = Callable[..., Ring]


@pytest.fixture
def ring(tmp_path) -> Iterator[Make]:
    opened: list[Ring] = []

    def make(prefix: str | None = None) -> Ring:
        opened.append(Ring(str(tmp_path), prefix))
        return opened[-1]

    yield make
    for made in opened:
        made.close()
        made.close()


def fill(directory: Path, *seconds: int, prefix: str = "p") -> None:
    """Savefiles of a minute's packets each, that begin so many seconds after EPOCH."""
    for second in seconds:
        begin = EPOCH + second
        (directory / f"{prefix}.{begin}").write_bytes(capture(3, start_s=begin))


def chosen(made: Ring, from_s: float | None, to_s: float | None) -> list[int]:
    """Seconds after EPOCH at which the savefiles needed begin."""
    limits = (None if s is None else int((EPOCH + s) * NS) for s in (from_s, to_s))
    return [savefile.epoch - EPOCH for savefile in made.needed(*limits)]


def test_prefix_is_found_where_there_is_one(tmp_path, ring: Make) -> None:
    fill(tmp_path, 0, 60)
    (tmp_path / "p.catalog").write_bytes(b"not a savefile")
    (tmp_path / "libc.so.6").write_bytes(b"not a savefile by its content")
    (tmp_path / "p.99999999999").mkdir()
    (tmp_path / "p.99999999998").symlink_to(f"p.{EPOCH}")
    assert [savefile.name for savefile in ring().savefiles()] == [f"p.{EPOCH}", f"p.{EPOCH + 60}"]


def test_a_catalog_stands_for_savefiles_that_are_compressed(tmp_path, ring: Make) -> None:
    for name in ("t.catalog", ".catalog"):
        (tmp_path / name).touch()
    (tmp_path / "x.catalog").mkdir()
    assert ring().prefix == "t"  # nothing else says whose the directory is
    fill(tmp_path, 0)
    assert ring().prefix == "p"
    (tmp_path / f"t.{EPOCH}.gz").touch()
    with pytest.raises(UsageError, match=rf"^--ring {tmp_path}: .*accepted: p, t$"):
        ring()


def test_several_catalogs_are_several_prefixes(tmp_path, ring: Make) -> None:
    for name in ("t.catalog", "u.catalog"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match=rf"^--ring {tmp_path}: .*accepted: t, u$"):
        ring()


def test_several_prefixes_are_listed(tmp_path, ring: Make) -> None:
    fill(tmp_path, 0)
    fill(tmp_path, 60, prefix="other")
    with pytest.raises(UsageError, match=rf"^--ring {tmp_path}: .*accepted: other, p$"):
        ring()
    assert [savefile.name for savefile in ring("other").savefiles()] == [f"other.{EPOCH + 60}"]


def test_no_ring(tmp_path, ring: Make) -> None:
    with pytest.raises(UsageError, match=r"no savefiles PREFIX\.EPOCH"):
        ring()
    with pytest.raises(UsageError, match="No such file or directory"):
        Ring(str(tmp_path / "gone"))
    with pytest.raises(UsageError, match=r"^--prefix: "):
        ring("a/b")
    assert ring("p").savefiles() == []


def test_order_is_by_number(tmp_path, ring: Make) -> None:
    for name in ("p.9", "p.10", "p.10.002", "p.10.1000", "p.10.011"):
        (tmp_path / name).write_bytes(capture(1))
    names = [savefile.name for savefile in ring().savefiles()]
    assert names == ["p.9", "p.10", "p.10.002", "p.10.011", "p.10.1000"]


@pytest.mark.parametrize(
    ("from_s", "to_s", "expected"),
    [
        (None, None, [0, 60, 120, 180]),
        (70, 110, [60]),
        (70, 130, [60, 120]),
        (200, None, [180]),
        (10_000, None, [180]),  # it may still be written
        (None, 50, [0]),
        (None, -100, []),
        (62, 110, [0, 60]),  # within the slack
        (70, 118, [60, 120]),
        (0, 10_000, [0, 60, 120, 180]),
    ],
)
def test_span(tmp_path, ring: Make, from_s, to_s, expected: list[int]) -> None:
    fill(tmp_path, 0, 60, 120, 180)
    assert chosen(ring(), from_s, to_s) == expected


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("magic", [0xA1B2C3D4, NANOSECONDS])
def test_the_first_packet_counts_not_the_name_alone(
    tmp_path, ring: Make, order: str, magic: int
) -> None:
    # An idle link: the second one was opened long before its first packet came.
    for name, first in ((0, 0), (60, 1000), (2000, 2000)):
        data = classic(packets(2, start_s=EPOCH + first), order=order, magic=magic)
        (tmp_path / f"p.{EPOCH + name}").write_bytes(data)
    assert chosen(ring(), 500, 900) == [0, 60]
    assert chosen(ring(), 1100, 1200) == [60]


def test_names_of_those_without_packets_do_not_bound_others(tmp_path, ring: Make) -> None:
    fill(tmp_path, 0, 120)
    (tmp_path / f"p.{EPOCH + 60}").write_bytes(capture(0))
    (tmp_path / f"p.{EPOCH + 180}").write_bytes(b"")
    assert chosen(ring("p"), 70, 80) == [0, 60]
    assert chosen(ring("p"), 130, 140) == [120]
    assert chosen(ring("p"), 130, None) == [120, 180]


def test_a_clock_that_was_set_back_leaves_nothing_out(tmp_path, ring: Make) -> None:
    for name, first in ((0, 0), (60, 60), (120, -5000), (180, -4900)):
        (tmp_path / f"p.{EPOCH + name}").write_bytes(capture(2, start_s=EPOCH + first))
    # The packets of the second may be from after as well as from before the change.
    assert 60 in chosen(ring(), -4990, -4960)
    assert 120 in chosen(ring(), -4990, -4960)


@given(
    st.lists(st.lists(st.integers(0, 400), max_size=4), min_size=1, max_size=6),
    st.integers(0, 400),
    st.integers(0, 100),
)
def test_no_packet_of_the_span_is_in_what_was_left_out(
    tmp_path_factory, spans: list[list[int]], start: int, length: int
) -> None:
    """Any savefiles of sorted seconds, named after their first packet or the last one before it."""
    seconds = sorted(second for span in spans for second in span)
    directory = tmp_path_factory.mktemp("ring")
    epoch = 0
    held: dict[str, list[int]] = {}
    at = 0
    for serial, span in enumerate(spans):
        mine = seconds[at : at + len(span)]
        at += len(span)
        epoch = mine[0] if mine else epoch
        name = f"p.{EPOCH + epoch}.{serial + 1:03d}"
        held[name] = mine
        data = classic([Packet((EPOCH + second) * NS, b"x" * 60) for second in mine])
        (directory / name).write_bytes(data)
    made = Ring(str(directory), "p")
    needed = {s.name for s in made.needed((EPOCH + start) * NS, (EPOCH + start + length) * NS)}
    made.close()
    for name, mine in held.items():
        if any(start <= second < start + length for second in mine):
            assert name in needed


def test_slack_covers_disorder_between_savefiles(tmp_path, ring: Make) -> None:
    (tmp_path / f"p.{EPOCH}").write_bytes(capture(2))
    (tmp_path / f"p.{EPOCH + 60}").write_bytes(capture(2, start_s=EPOCH + 60))
    beyond_s = SLACK_NS / NS
    assert chosen(ring(), 60 + beyond_s, None) == [0, 60]
    assert chosen(ring(), 61 + beyond_s, None) == [60]


def test_pruned_while_it_is_looked_at(tmp_path, ring: Make, monkeypatch) -> None:
    fill(tmp_path, 0, 60)
    made = ring()
    listed = made.savefiles()
    (tmp_path / f"p.{EPOCH}").unlink()
    monkeypatch.setattr(made, "savefiles", lambda: listed)
    assert len(made.needed(EPOCH * NS, None)) == 2


def test_new_savefiles_are_seen_however_soon_they_come(tmp_path, ring: Make) -> None:
    fill(tmp_path, 0)
    made = ring()
    (first,) = made.savefiles()
    for second in range(1, 50):
        fill(tmp_path, second)
        assert len(made.after(first)) == second
    assert len(made.after(None)) == 50


def test_an_unchanged_directory_is_not_read_again(tmp_path, ring: Make, monkeypatch) -> None:
    fill(tmp_path, 0)
    os.utime(tmp_path, (EPOCH, EPOCH))
    made = ring()
    made.savefiles()
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", None)
    assert len(made.savefiles()) == 1
    made._looked_s -= 10  # what a server's clock hides comes to light after a while
    monkeypatch.setattr(os, "scandir", scandir)
    fill(tmp_path, 60)
    os.utime(tmp_path, (EPOCH, EPOCH))
    assert len(made.savefiles()) == 2


def test_complete_is_what_a_newer_one_with_a_header_follows(tmp_path, ring: Make) -> None:
    fill(tmp_path, 0)
    made = ring()
    (first,) = made.savefiles()
    assert not made.is_complete(first)
    (tmp_path / f"p.{EPOCH + 1}").write_bytes(b"")
    assert not made.is_complete(first)
    (tmp_path / f"p.{EPOCH + 1}").write_bytes(capture(0))
    assert made.is_complete(first)
