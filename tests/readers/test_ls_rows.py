"""One savefile and one gap as people, programs and JSON have them."""

import json

from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.readers.archive import Directory, Member
from daemonlogger_py.readers.ls_rows import (
    FOR_PEOPLE,
    FOR_PROGRAMS,
    Listed,
    json_line,
    rows_for_people,
    rows_for_programs,
)
from daemonlogger_py.savefile.catalog_rows import Entry, Gap

NS = 1_000_000_000
DAY = 86_400
FIRST = 1_700_000_000  # 2023-11-14T22:13:20Z
PLACE = Directory(-1, "ring", "ring", "p", None, None)


def listed(
    epoch: int = FIRST, *, entry: Entry | None = None, pins: tuple[int, ...] = (), **fields: object
) -> Listed:
    member = Member(
        PLACE, f"p.{epoch}", epoch, 0, 10_000_000, (epoch + 60) * NS, "unknown",
        entry,
    )._replace(**fields)  # type: ignore[arg-type]  # fmt: skip
    return Listed(member, entry.first_ns if entry else None, pins)


def known(epoch: int = FIRST, **fields: object) -> Entry:
    entry = Entry(
        f"p.{epoch}", epoch, 0, "sealed", 10_000_000, (epoch + 60) * NS, packets=12_345,
        first_ns=epoch * NS + 999_999_999, last_ns=(epoch + 59) * NS,
    )  # fmt: skip
    return entry._replace(**fields)  # type: ignore[arg-type]


def people(*things: Listed | Gap) -> list[list[str]]:
    return [list(row.cells) for row in rows_for_people(things)]


def programs(*things: Listed | Gap, paths: bool = False) -> list[list[str]]:
    return [list(row.cells) for row in rows_for_programs(things, paths=paths)]


def test_a_savefile() -> None:
    thing = listed(entry=known(dropped=2, lost=3), state="sealed", pins=(1, 7))
    assert people(thing) == [
        ["2023-11-14 UTC", *[""] * 7],
        ["p.1700000000", "sealed", "22:13:20", "22:14:19", "12,345", "9.54M", "5", "1,7"],
    ]
    assert programs(thing) == [
        [
            "p.1700000000", "sealed", "2023-11-14T22:13:20Z", "2023-11-14T22:14:19Z", "12345",
            "10000000", "5", "1,7", "",
        ]
    ]  # fmt: skip
    assert programs(thing, paths=True)[0][0] == "ring/p.1700000000"


def test_a_savefile_that_the_catalog_does_not_know() -> None:
    thing = listed()
    assert people(thing)[1] == ["p.1700000000", "unknown", "-", "-", "-", "9.54M", "-", ""]
    assert programs(thing)[0][1:] == [
        "unknown", "-", "-", "-", "10000000", "-", "-", "not in the catalog",
    ]  # fmt: skip
    assert programs(listed(state="open"))[0][-1] == ""


def test_a_savefile_without_packets() -> None:
    thing = listed(entry=known(packets=0, first_ns=None, last_ns=None))
    assert people(thing)[1][2:5] == ["-", "-", "0"]


def test_a_gap() -> None:
    gap = Gap(4, "stopped", FIRST * NS, (FIRST + 9) * NS, detail="SIGTERM")
    assert people(gap)[1] == ["stopped: SIGTERM", "gap", "22:13:20", "22:13:29", *[""] * 4]
    assert programs(gap) == [
        [
            "(stopped)", "gap", "2023-11-14T22:13:20Z", "2023-11-14T22:13:29Z", "-", "-", "-", "-",
            "SIGTERM",
        ]
    ]  # fmt: skip


def test_a_gap_that_lasts_and_one_that_was_counted() -> None:
    gap = Gap(4, "disk_full", FIRST * NS, None, packets=1234)
    assert people(gap)[1] == ["disk full", "gap", "22:13:20", "-", "", "", "1,234", ""]
    assert programs(gap)[0][3:7] == ["-", "-", "-", "1234"]


def test_each_day_begins_with_its_date() -> None:
    midnight = (FIRST // DAY + 1) * DAY
    over = known(midnight - 30, last_ns=(midnight + 29) * NS)
    shown = people(listed(midnight - 30, entry=over), listed(midnight + 30), listed(midnight + 90))
    assert [row[0] for row in shown] == [
        "2023-11-14 UTC",
        "p.1700006370",
        "2023-11-15 UTC",
        "p.1700006430",
        "p.1700006490",
    ]
    assert shown[1][2:4] == ["23:59:30", "00:00:29+1d"]


def test_where_nothing_else_is_known_the_day_is_that_of_the_file() -> None:
    other = PLACE._replace(prefix=None)
    thing = listed(directory=other, epoch=0, modified_ns=(FIRST + 60) * NS)
    assert people(thing)[0][0] == "2023-11-14 UTC"


def test_many_pins_are_counted() -> None:
    assert programs(listed(pins=(1, 2, 3)))[0][7] == "1,2,3"
    assert programs(listed(pins=tuple(range(1, 13))))[0][7] == "1,2,3,+9"


def test_names_and_details_cannot_command_the_terminal() -> None:
    hostile = "p\x1b[2J\n.5"
    thing = listed(name=hostile)
    gap = Gap(kind="stopped", from_ns=FIRST * NS, to_ns=None, detail="\x1b]0;x\x07")
    for row in [*people(thing, gap), *programs(thing, gap)]:
        assert "".join(row).isprintable()


@given(st.lists(st.one_of(st.just(listed()), st.just(Gap(from_ns=FIRST * NS)))))
def test_every_row_has_every_cell(things: list[Listed | Gap]) -> None:
    assert all(len(row) == len(FOR_PEOPLE) for row in people(*things))
    assert all(len(row) == len(FOR_PROGRAMS) for row in programs(*things))
    assert all("" not in row[:-1] for row in programs(*things))


def test_json_of_a_savefile() -> None:
    thing = listed(entry=known(sha256=bytes(32), dropped=2), state="sealed", pins=(1,))
    found = json.loads(json_line(thing))
    assert found == {
        "type": "savefile", "path": "ring/p.1700000000", "name": "p.1700000000", "state": "sealed",
        "epoch": FIRST, "serial": 0, "size_bytes": 10_000_000, "modified_ns": (FIRST + 60) * NS,
        "in_catalog": True, "first_ns": FIRST * NS + 999_999_999, "packets": 12_345,
        "last_ns": (FIRST + 59) * NS, "ordered": True, "opened_ns": None, "sealed_ns": None,
        "dropped": 2, "lost": 0, "why": None, "position": None, "run": None, "linktype": 0,
        "snaplen": 0, "nanosecond": False, "sha256": "00" * 32, "pins": [1],
    }  # fmt: skip


def test_the_path_in_json_opens_the_file() -> None:
    place = PLACE._replace(path="rn/e\x1b[31m\udcffX", shown="rn/'e\\x1b[31m\\udcffX'")
    line = json_line(listed(directory=place))
    assert json.loads(line)["path"] == f"rn/e\x1b[31m\udcffX/p.{FIRST}"
    assert line.isascii()
    assert line.isprintable()


def test_json_of_what_is_not_known_and_of_a_gap() -> None:
    found = json.loads(json_line(listed(name="p.\udcff")))
    assert (found["in_catalog"], found["packets"], found["dropped"]) == (False, None, None)
    assert found["name"] == "p.\udcff"
    assert found["path"] == "ring/p.\udcff"
    gap = json.loads(json_line(Gap(3, "dropped", 1, 2, packets=5, savefile="p.1")))
    assert gap == {
        "type": "gap", "number": 3, "kind": "dropped", "from_ns": 1, "to_ns": 2, "packets": 5,
        "savefile": "p.1", "run": None, "detail": "",
    }  # fmt: skip
