"""Names: exactly PREFIX.EPOCH or PREFIX.EPOCH.SERIAL, and nothing that merely looks like it."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from daemonlogger_py.savefile.listing import NAME_MAX
from daemonlogger_py.savefile.names import COMPRESSED, Naming, SavefileName

PREFIXES = ["daemonlogger.pcap", "t", "a.b", "a+b", "[x]*", "^$", "a b", "é", "\udcff", ".", "a.1"]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    ("ending", "epoch", "serial"),
    [
        (".0", 0, 0),
        (".1228873098", 1228873098, 0),
        (".4294967295", 2**32 - 1, 0),
        (".12.001", 12, 1),
        (".12.1000", 12, 1000),
        (".12.1", 12, 1),
        (".12.000", 12, 0),
        (".0012.0001", 12, 1),
        (".99999999999999999999999999", 99999999999999999999999999, 0),
    ],
)
def test_ours(prefix: str, ending: str, epoch: int, serial: int) -> None:
    name = prefix + ending
    assert Naming(prefix).parse(name) == SavefileName(epoch, serial, name)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    "ending",
    [
        "",
        ".",
        "..",
        ".12.",
        "..12",
        ".12..1",
        ".12.3.4",
        ".12.001.gz",
        ".12a",
        ".a12",
        ".-1",
        ".+1",
        ". 1",
        ".1 ",
        ".1_0",
        ".12\n",
        ".12.1\n",
        ".\n12",
        ".0x10",
        ".1e3",
        ".²",
        ".12.²",
        ".١٢",
        ".12.٣",
        ".12\0",
        ".12\udc80",
        ".\udcff",
        ".catalog",
        ".12.part",
        "12",
        "x.12",
    ],
)
def test_not_ours(prefix: str, ending: str) -> None:
    assert Naming(prefix).parse(prefix + ending) is None


@pytest.mark.parametrize("before", [".", "x", " ", "\n", "\udc80", "my-evidence-of-"])
def test_prefix_is_the_beginning(before: str) -> None:
    assert Naming("t").parse(before + "t.12") is None


def test_prefix_is_literal() -> None:
    assert Naming("a.b").parse("axb.1") is None
    assert Naming("a*").parse("aaa.1") is None
    assert Naming("A").parse("a.1") is None


def test_evidence_is_not_ours() -> None:
    assert Naming("t").parse("my-evidence-of-t-do-not-delete.txt") is None


def test_too_many_digits_are_no_name() -> None:
    assert Naming("t").parse("t." + "9" * 10_000) is None
    longest = "t." + "9" * (NAME_MAX - 2)
    parsed = Naming("t").parse(longest)
    assert parsed is not None
    assert parsed.epoch == int("9" * (NAME_MAX - 2))


@pytest.mark.parametrize("prefix", ["", "a/b", "/", "a\0b"])
def test_prefix_that_is_no_file_name(prefix: str) -> None:
    with pytest.raises(ValueError, match="savefile prefix"):
        Naming(prefix)


def test_format() -> None:
    naming = Naming("p")
    assert naming.format(1228873098) == "p.1228873098"
    assert naming.format(5, 1) == "p.5.001"
    assert naming.format(5, 999) == "p.5.999"
    assert naming.format(5, 1000) == "p.5.1000"
    for epoch, serial in [(-1, 0), (0, -1)]:
        with pytest.raises(ValueError, match="negative"):
            naming.format(epoch, serial)


def test_order_is_by_number() -> None:
    naming = Naming("p")
    names = ["p.9", "p.10", "p.10.001", "p.10.2", "p.10.010", "p.10.999", "p.10.1000", "p.11"]
    parsed = [naming.parse(name) for name in names]
    assert None not in parsed
    assert sorted(parsed, key=lambda name: name or SavefileName(0, 0, "")) == parsed


prefixes = st.text(min_size=1, max_size=20).filter(lambda s: "/" not in s and "\0" not in s)


@settings(max_examples=60, deadline=None)
@given(prefixes, st.integers(0, 2**40), st.integers(0, 5000))
@example("a.1", 0, 0)
def test_what_is_written_is_read(prefix: str, epoch: int, serial: int) -> None:
    naming = Naming(prefix)
    name = naming.format(epoch, serial)
    assert naming.parse(name) == (epoch, serial, name)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(), max_size=30))
def test_any_name_is_read_without_error(ending: str) -> None:
    parsed = Naming("p").parse("p." + ending)
    if parsed is not None:
        assert all(character in "0123456789." for character in ending)


@pytest.mark.parametrize("prefix", ["t", "a.gz", "gz", "a.1"])
@pytest.mark.parametrize("end", COMPRESSED)
def test_what_was_compressed(prefix: str, end: str) -> None:
    naming = Naming(prefix)
    for ending, numbers in ((".12", (12, 0)), (".12.003", (12, 3))):
        was = prefix + ending
        assert naming.parse_compressed(was + end) == SavefileName(*numbers, was)
        assert naming.parse_compressed(was + end + end) is None
        assert naming.parse_compressed(was) is None
    for other in ("", end, f".{end}", f".x{end}", f".12{end}.1", f".12.{end}"):
        assert naming.parse_compressed(prefix + other) is None
