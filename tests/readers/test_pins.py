"""``dlctl pin``, ``unpin``, ``pins``: what they hold, within the quota, all or nothing."""

import json
import os
import sys
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.config.archive import PinConfig, PinsConfig, UnpinConfig
from daemonlogger_py.errors import CatalogError, UsageError
from daemonlogger_py.readers import pins
from daemonlogger_py.readers.archive import UNKNOWN, Directory, Member
from daemonlogger_py.savefile.catalog_rows import END_NS, LARGEST, Pin
from daemonlogger_py.savefile.pinned import holds

from .made_ring import FIRST, NS, PREFIX, SIZE_BYTES, make_ring, open_catalog

few_ns = st.integers(0, 30).map(lambda number: number * NS // 3)
spans = st.lists(st.tuples(few_ns, few_ns | st.just(END_NS)), max_size=6)
names = st.lists(st.tuples(st.integers(0, 10) | st.just(LARGEST + 1), few_ns), max_size=6)


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    """A ring of three savefiles."""
    make_ring(tmp_path)
    return tmp_path


def pin(ring: Path, from_s: int, to_s: int, **fields: object) -> int:
    config = PinConfig(str(ring), None, (FIRST + from_s) * NS, (FIRST + to_s) * NS, "alert 4711")
    return pins.run(config._replace(**fields))  # type: ignore[arg-type]


def known(ring: Path) -> tuple[list[Pin], int | None]:
    with open_catalog(ring) as catalog:
        return catalog.pins(), catalog.pin_quota_bytes()


def member(epoch: int, modified_ns: int, size_bytes: int) -> Member:
    nowhere = Directory(-1, "", "", PREFIX, None, None)
    return Member(nowhere, "", epoch, 0, size_bytes, modified_ns, UNKNOWN, None)


def of(members: Iterable[Member]) -> pins.Held:
    sizes_bytes = [one.size_bytes for one in members]
    return pins.Held(len(sizes_bytes), sum(sizes_bytes))


def test_a_pin_says_what_it_holds(ring: Path, capsys) -> None:
    assert pin(ring, 70, 80) == 0
    assert capsys.readouterr().out.splitlines() == [
        "pin 1: 1 savefile, 3.73 KiB",
        "pins hold 1 savefile, 3.73 KiB; no quota",
    ]
    ((made,), quota_bytes) = known(ring)
    assert made[:4] == (1, (FIRST + 70) * NS, (FIRST + 80) * NS, "alert 4711")
    assert made.created_ns > FIRST * NS
    assert quota_bytes is None


def test_a_pin_of_what_is_still_to_come(ring: Path, capsys) -> None:
    assert pin(ring, 10_000, 20_000) == 0
    assert "pin 1: no savefile of the ring is of that span" in capsys.readouterr().out


def test_savefiles_are_counted_once_for_all_pins(ring: Path, capsys) -> None:
    pin(ring, 70, 80)
    pin(ring, 75, 130)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [
        "pin 2: 2 savefiles, 7.47 KiB",
        "pins hold 2 savefiles, 7.47 KiB; no quota",
    ]


def test_the_quota_is_kept(ring: Path, capsys) -> None:
    assert pin(ring, 70, 80, quota_bytes=2 * SIZE_BYTES - 1) == 0
    with pytest.raises(UsageError) as refused:
        pin(ring, 75, 130)
    assert str(refused.value) == (
        f"not pinned: pins hold 3.73 KiB ({SIZE_BYTES} bytes), and would hold 7.47 KiB"
        f" ({2 * SIZE_BYTES} bytes); accepted: at most the quota of 7.47 KiB"
        f" ({2 * SIZE_BYTES - 1} bytes)"
    )
    assert len(known(ring)[0]) == 1
    assert pin(ring, 75, 130, quota_bytes=2 * SIZE_BYTES) == 0


def test_a_refused_pin_does_not_change_the_quota(ring: Path) -> None:
    with pytest.raises(UsageError):
        pin(ring, 70, 80, quota_bytes=1)
    assert known(ring) == ([], None)


def test_the_quota_alone(ring: Path, capsys) -> None:
    pin(ring, 70, 80)
    assert pins.run(PinConfig(str(ring), quota_bytes=1024)) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "pins hold 1 savefile, 3.73 KiB; quota 1.00 KiB, which is exceeded"
    assert known(ring)[1] == 1024
    assert pins.run(PinConfig(str(ring), quota_bytes=0)) == 0
    assert known(ring)[1] is None


def test_unpin(ring: Path, capsys) -> None:
    pin(ring, 70, 80)
    pin(ring, 10, 20)
    capsys.readouterr()
    assert pins.run(UnpinConfig(str(ring), (1,))) == 0
    assert capsys.readouterr().out.splitlines() == [
        "pin 1 removed: alert 4711; 1 savefile, 3.73 KiB",
        "pins hold 1 savefile, 3.73 KiB; no quota",
    ]
    assert [one.number for one in known(ring)[0]] == [2]


def test_unpin_is_all_or_nothing(ring: Path) -> None:
    pin(ring, 70, 80)
    with pytest.raises(UsageError, match=r"^pin 7: not there; accepted: 1$"):
        pins.run(UnpinConfig(str(ring), (1, 7)))
    assert len(known(ring)[0]) == 1
    pins.run(UnpinConfig(str(ring), ()))
    assert known(ring)[0] == []
    with pytest.raises(UsageError, match="accepted: nothing, as there are no pins"):
        pins.run(UnpinConfig(str(ring), (1,)))


def test_pins(ring: Path, capsys) -> None:
    pin(ring, 70, 80)
    capsys.readouterr()
    assert pins.run(PinsConfig(str(ring))) == 0
    heading, row, total = capsys.readouterr().out.splitlines()
    assert heading.split() == ["PIN", "FROM", "TO", "SAVEFILES", "BYTES", "PINNED", "REASON"]
    cells = row.split()
    assert cells[:5] == ["1", "2023-11-14T22:14:30Z", "2023-11-14T22:14:40Z", "1", str(SIZE_BYTES)]
    assert cells[6:] == ["alert", "4711"]
    assert total == "pins hold 1 savefile, 3.73 KiB; no quota"


def test_pins_for_people(ring: Path, capsys, monkeypatch) -> None:
    pin(ring, 70, 80)
    capsys.readouterr()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    pins.run(PinsConfig(str(ring)))
    _, row, _ = capsys.readouterr().out.splitlines()
    assert row.split() == [
        "1", "2023-11-14T22:14:30Z", "22:14:40Z", "1", "3.73K", "alert", "4711",
    ]  # fmt: skip


def test_pins_as_json(ring: Path, capsys) -> None:
    pin(ring, 70, 80, quota_bytes=1 << 30)
    capsys.readouterr()
    pins.run(PinsConfig(str(ring), json=True))
    one, together = map(json.loads, capsys.readouterr().out.splitlines())
    assert one.pop("created_ns") > 0
    assert one == {
        "number": 1, "from_ns": (FIRST + 70) * NS, "to_ns": (FIRST + 80) * NS,
        "reason": "alert 4711", "savefiles": 1, "size_bytes": SIZE_BYTES,
    }  # fmt: skip
    assert together == {
        "pins": 1, "savefiles": 1, "size_bytes": SIZE_BYTES, "quota_bytes": 1 << 30,
    }  # fmt: skip


def test_no_pins(ring: Path, capsys) -> None:
    pins.run(PinsConfig(str(ring)))
    assert capsys.readouterr().out == "pins hold 0 savefiles, 0 B; no quota\n"


def test_a_hostile_reason_is_escaped(ring: Path, capsys) -> None:
    with open_catalog(ring) as catalog:
        catalog.pin(0, NS, "\x1b[2J\n", 0)
    pins.run(PinsConfig(str(ring)))
    assert "'\\x1b[2J\\n'" in capsys.readouterr().out


@pytest.mark.parametrize(
    "config", [PinConfig("", quota_bytes=1), UnpinConfig("", ()), PinsConfig("")]
)
def test_no_catalog(ring: Path, config: PinConfig | UnpinConfig | PinsConfig) -> None:
    for path in ring.glob("*.catalog*"):
        path.unlink()
    with pytest.raises(CatalogError, match=rf"{PREFIX}.catalog: not there, and pins are kept in"):
        pins.run(config._replace(ring=str(ring)))
    assert not list(ring.glob("*.catalog"))


def test_no_catalog_where_a_terminal_must_not_see_the_path(tmp_path: Path) -> None:
    ring = tmp_path / "a\x1b[2Jb"
    make_ring(ring)
    for path in ring.glob("*.catalog*"):
        path.unlink()
    with pytest.raises(CatalogError) as raised:
        pins.run(PinsConfig(str(ring)))
    assert str(raised.value).isprintable()
    assert "a\\x1b[2Jb" in str(raised.value)


@given(names, spans)
def test_all_pins_at_once_as_each_for_itself(
    files: list[tuple[int, int]], asked: list[tuple[int, int]]
) -> None:
    members = [member(*file, 1 << number) for number, file in enumerate(files)]
    held = [
        [file for file in members if holds(*span, file.epoch, file.modified_ns)]
        if span[0] < span[1]
        else []
        for span in asked
    ]
    savefiles = pins.Savefiles(iter(members))

    assert savefiles.held_by_each(asked) == [of(files) for files in held]
    once = {id(file): file for files in held for file in files}
    assert savefiles.held(asked) == of(once.values())


def test_savefiles_are_gone_through_once_for_any_number_of_pins(monkeypatch) -> None:
    savefiles = pins.Savefiles([member(5, 6 * NS, 7)] * 10)
    asked = []
    monkeypatch.setattr(pins, "bisect_right", lambda *of: asked.append(of) or bisect_right(*of))
    assert savefiles.held_by_each([(0, END_NS)] * 1000) == [pins.Held(10, 70)] * 1000
    assert savefiles.held([(0, END_NS)] * 1000) == pins.Held(10, 70)
    assert len(asked) == 30


def test_what_repairs_keep_counts_as_the_recorder_counts_it(ring: Path, capsys) -> None:
    made = sorted(path for path in ring.glob(f"{PREFIX}.[0-9]*"))
    (ring / f"{made[1].name}.damaged").write_bytes(bytes(10_000))
    alone = ring / f"{PREFIX}.{FIRST + 75}.damaged"  # its savefile is gone
    alone.write_bytes(bytes(1000))
    os.utime(alone, (FIRST + 76, FIRST + 76))
    with pytest.raises(UsageError, match=rf"would hold .* \({SIZE_BYTES + 11_000} bytes\)"):
        pin(ring, 70, 80, quota_bytes=SIZE_BYTES + 10_999)
    assert pin(ring, 70, 80, quota_bytes=SIZE_BYTES + 11_000) == 0
    assert "pin 1: 2 savefiles, 14.5 KiB" in capsys.readouterr().out
