"""From options and words to configurations: what goes where, and what is refused."""

from pathlib import Path

import pytest

from daemonlogger_py.config.archive import (
    ExtractConfig,
    IndexConfig,
    LsConfig,
    PinConfig,
    PinsConfig,
    StatusConfig,
    UnpinConfig,
    VerifyConfig,
    Where,
)
from daemonlogger_py.config.archive_options import VERB_OPTIONS
from daemonlogger_py.config.archive_rules import LARGEST, RULES, AnyConfig, Given
from daemonlogger_py.errors import UsageError

NS = 1_000_000_000
NOW_NS = 1_700_000_000 * NS


def resolved(verb: str, *words: str, **options: str | tuple[str, ...] | bool) -> AnyConfig:
    """What `verb` is asked for by these options, written with _ for -, and words."""
    table = {option.long: option for option in VERB_OPTIONS[verb]}
    found = []
    for name, given in options.items():
        option = table[name.rstrip("_").replace("_", "-")]
        texts = given if isinstance(given, tuple) else (given,)
        found += [(option, None if text is True else str(text)) for text in texts]
    return RULES[verb](Given(verb, found, words))


@pytest.fixture
def now(monkeypatch) -> int:
    """The present, standing still."""
    monkeypatch.setattr("time.time_ns", lambda: NOW_NS)
    return NOW_NS


def test_there_is_a_rule_for_every_verb() -> None:
    assert list(RULES) == list(VERB_OPTIONS)


@pytest.mark.parametrize(
    ("verb", "config"),
    [("ls", LsConfig), ("verify", VerifyConfig), ("index", IndexConfig)],
)
def test_words_are_paths(verb: str, config: type) -> None:
    assert resolved(verb, "a", "b") == config(Where(("a", "b")))
    both = resolved(verb, "a", ring=("r", "s"), prefix="p")
    assert both == config(Where(("a",), ("r", "s"), "p"))


def test_ls(now: int) -> None:
    found = resolved("ls", ring="r", from_="-1h", to="now", json=True, no_gaps=True)
    where = Where((), ("r",), None, now - 3600 * NS, now)
    assert found == LsConfig(where, json=True, gaps=False)


def test_verify() -> None:
    found = resolved(
        "verify", "a", json=True, jobs="3", no_hashes=True, no_indexes=True, no_progress=True
    )
    assert found == VerifyConfig(
        Where(("a",)), json=True, jobs=3, hashes=False, indexes=False, progress=False
    )
    repairing = resolved("verify", "a", repair=True, index_dir="i", from_="5")
    where = Where(("a",), from_ns=5 * NS)
    assert repairing == VerifyConfig(where, repair=True, index_dir="i")
    assert resolved("verify", ring="r", rebuild=True) == VerifyConfig(
        Where(rings=("r",)), rebuild=True
    )


def test_index() -> None:
    found = resolved(
        "index", "a", index_dir="i", follow=True, rebuild=True, jobs="2", no_progress=True,
        verbose=True, smallest="0",
    )  # fmt: skip
    assert found == IndexConfig(
        Where(("a",)),
        "i",
        follow=True,
        rebuild=True,
        jobs=2,
        progress=False,
        verbose=True,
        smallest_bytes=0,
    )


def test_extract() -> None:
    assert resolved("extract", read="a") == ExtractConfig(Where(("a",)))
    found = resolved(
        "extract", "port", "80", read=("a", "b"), ring="r", from_="1", to="2", write="out",
        pcapng=True, count="10", reverse=True, stats=True, no_index=True, jobs="1", memory="1m",
    )  # fmt: skip
    assert found == ExtractConfig(
        Where(("a", "b"), ("r",), None, NS, 2 * NS),
        "port 80",
        "out",
        pcapng=True,
        max_packets=10,
        reverse=True,
        stats=True,
        use_index=False,
        jobs=1,
        memory_bytes=1 << 20,
    )
    following = resolved("extract", ring="r", follow=True, index_dir="i")
    assert following == ExtractConfig(Where(rings=("r",)), follow=True, index_dir="i")


def test_a_filter_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "filter"
    path.write_text("tcp # only\nport 80\n")
    found = resolved("extract", read="a", filter_file=str(path))
    assert isinstance(found, ExtractConfig)
    assert found.filter_text == "tcp port 80"


def test_status() -> None:
    assert resolved("status", "r") == StatusConfig("r")
    assert resolved("status", ring="r", prefix="p", json=True) == StatusConfig("r", "p", json=True)
    assert resolved("status", "r", watch="5") == StatusConfig("r", watch_s=5.0)
    assert resolved("status", "r", watch=True) == StatusConfig("r", watch_s=2.0)


def test_pin(now: int) -> None:
    found = resolved("pin", "r", from_="-10m", reason="alert", quota="1k", prefix="p")
    assert found == PinConfig("r", "p", now - 600 * NS, now, "alert", 1024)
    later = resolved("pin", ring="r", from_="now", to="1700000300", reason="alert")
    assert later == PinConfig("r", None, now, now + 300 * NS, "alert")
    assert resolved("pin", "r", quota="0") == PinConfig("r", quota_bytes=0)


def test_times_are_ones_that_the_catalog_holds(now: int) -> None:
    found = resolved("pin", "r", from_="-1h", to="999999999999", reason="for good")
    assert isinstance(found, PinConfig)
    assert found.to_ns == LARGEST


def test_unpin_and_pins() -> None:
    assert resolved("unpin", "r", "3", "1", "3") == UnpinConfig("r", (3, 1))
    assert resolved("unpin", "3", ring="r", prefix="p") == UnpinConfig("r", (3,), "p")
    assert resolved("unpin", "r", all=True) == UnpinConfig("r", ())
    assert resolved("pins", "r", json=True) == PinsConfig("r", json=True)


REFUSED = [
    (("ls",), {}, "ls: PATH or --ring DIR is missing; see dlctl ls --help"),
    (("ls", ""), {}, "PATH: '' is not accepted; accepted: a name"),
    (("ls", "a\0b"), {}, "PATH: 'a\\x00b' is not accepted"),
    (("ls", "a"), {"prefix": "p"}, "--prefix 'p': accepted only with --ring"),
    (
        ("ls", "a"),
        {"from_": "2", "to": "2"},
        "--from '2' and --to '2': nothing is between them",
    ),
    (("ls", "a"), {"from_": "soon"}, "--from: 'soon' is no time; accepted: "),
    (
        ("verify", "a"),
        {"rebuild": True, "repair": True},
        "--rebuild and --repair: only one of them is accepted",
    ),
    (
        ("verify", "a"),
        {"rebuild": True, "from_": "1"},
        "--rebuild and --from '1': only one of them is accepted",
    ),
    (
        ("verify", "a"),
        {"rebuild": True, "no_hashes": True},
        "--rebuild and --no-hashes: only one of them is accepted",
    ),
    (
        ("verify", "a"),
        {"no_indexes": True, "index_dir": "i"},
        "--no-indexes and --index-dir 'i': only one of them is accepted",
    ),
    (("index",), {}, "index: PATH or --ring DIR is missing"),
    (("extract", "tcp"), {}, "extract: -r PATH or --ring DIR is missing"),
    (("extract",), {"read": "-"}, "-r/--read '-': standard input is not accepted"),
    (
        ("extract",),
        {"read": "a", "follow": True},
        "--follow: accepted only with --ring",
    ),
    (
        ("extract",),
        {"ring": "r", "follow": True, "reverse": True},
        "--reverse and --follow: only one of them is accepted",
    ),
    (
        ("extract",),
        {"ring": "r", "no_index": True, "index_dir": "i"},
        "--no-index and --index-dir 'i': only one of them is accepted",
    ),
    (
        ("extract", "tcp"),
        {"ring": "r", "filter_file": "f"},
        "-F/--filter-file 'f' and filter 'tcp': only one of them is accepted",
    ),
    (("extract", "t\0p"), {"ring": "r"}, "holds a NUL character"),
    (
        ("extract",),
        {"ring": "r", "filter_file": "/nonexistent/f"},
        "filter file '/nonexistent/f': No such file or directory",
    ),
    (("status",), {}, "status: DIR is missing; see dlctl status --help"),
    (("status", "a", "b"), {}, "'b': not accepted here; accepted: one DIR"),
    (("status", "b"), {"ring": "a"}, "'b': not accepted here; accepted: one DIR"),
    (("status", "a"), {"watch": "fast"}, "--watch: 'fast' is not accepted; accepted: "),
    (("pin", "r"), {}, "pin: --from TIME is missing"),
    (("pin", "r"), {"from_": "-1h"}, "pin: --reason TEXT is missing"),
    (("pin", "r"), {"to": "now", "quota": "1"}, "--to 'now': accepted only with --from"),
    (
        ("pin", "r"),
        {"reason": "x", "quota": "1"},
        "--reason 'x': accepted only with --from",
    ),
    (
        ("pin", "r"),
        {"from_": "2200-01-01", "reason": "x"},
        "--from '2200-01-01': is to come, and --to is missing",
    ),
    (("unpin", "r"), {}, "unpin: NUMBER of a pin, or --all, is missing"),
    (("unpin", "r", "x"), {}, "NUMBER of a pin: 'x' is not accepted; accepted: a whole"),
    (("unpin", "r", "0"), {}, "NUMBER of a pin: '0' is not accepted"),
    (("unpin", "r", str(1 << 63)), {}, "NUMBER of a pin: "),
    (("unpin", "r", "1"), {"all": True}, "'1': not accepted here"),
    (("pins",), {}, "pins: DIR is missing"),
]


@pytest.mark.parametrize(("words", "options", "message"), REFUSED, ids=lambda one: str(one)[:40])
def test_what_is_refused(words: tuple[str, ...], options: dict, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        resolved(*words, **options)
    assert str(refused.value).startswith(message) or message in str(refused.value)
    assert "\n" not in str(refused.value)
