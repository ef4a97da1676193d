"""Flags and TOML into a RecorderConfig: every field, who wins, and what is refused."""

import dataclasses
from typing import Any

import pytest

from daemonlogger_py.config.options import BY_LONG, OPTIONS
from daemonlogger_py.config.recorder import RecorderConfig, RollTime
from daemonlogger_py.config.resolve import KEYS, ConfigFile, read_config_file, resolve
from daemonlogger_py.errors import UsageError

# Every option that is not a command: as a flag, as TOML, and the fields it sets.
LIVE: list[tuple[str, str | bool | list[str], Any, dict[str, Any]]] = [
    ("interface", "eth0", "eth0", {"interface": "eth0"}),
    ("filter-file", "filter.bpf", "filter.bpf", {"filter_file": "filter.bpf"}),
    ("snaplen", "262144", 262144, {"snaplen": 262144}),
    ("count", "7", 7, {"count": 7}),
    ("buffer-size", "2m", "2m", {"buffer_size": 2 << 20}),
    ("nanosecond", True, True, {"nanosecond": True}),
    ("tstamp-type", "adapter", "adapter", {"tstamp_type": "adapter"}),
    ("no-promiscuous", True, True, {"promiscuous": False}),
    ("direction", "in", "in", {"direction": "in"}),
    ("immediate", True, True, {"immediate": True}),
    ("log-dir", "log", "log", {"log_dir": "log"}),
    ("prefix", "uplink", "uplink", {"prefix": "uplink"}),
    ("flush", True, True, {"flush": True}),
    ("roll-size", "10m", "10m", {"roll_size": 10 << 20, "roll_size_given": True}),
    ("roll-time", "2h", "2h", {"roll_time": RollTime(2, "h")}),
    ("roll-packets", "1000", 1000, {"roll_packets": 1000}),
    ("max-files", "5", 5, {"max_files": 5}),
    ("ring", True, True, {"ring": True}),
    ("max-percent", "87.5", 87.5, {"max_percent": 87.5}),
    ("max-bytes", "1g", "1g", {"max_bytes": 1 << 30}),
    ("min-free", "15%", "15%", {"min_free_percent": 15.0}),
    ("max-age", "2w", "2w", {"max_age": 1209600}),
    ("prune-run", True, True, {"prune_run": True}),
    ("archive", "old", "old", {"archive": "old"}),
    ("buffer-memory", "1m", 1 << 20, {"buffer_memory": 1 << 20}),
    ("direct", True, True, {"direct": True}),
    (
        "tap",
        ["eth1", "eth2"],
        ["eth1", "eth2"],
        {"tap": ("eth1", "eth2")},
    ),
    ("daemon", True, True, {"daemon": True}),
    ("pidfile", "a.pid", "a.pid", {"pidfile": "a.pid"}),
    ("pid-dir", "old", "old", {"pid_dir": "old"}),
    ("user", "nobody", "nobody", {"user": "nobody"}),
    ("group", "100", 100, {"group": "100"}),
    ("chroot", ".", ".", {"chroot": "."}),
    ("sandbox", "off", "off", {"sandbox": False}),
    ("catalog", "off", "off", {"catalog": False}),
    ("on-roll", "touch x", "touch x", {"on_roll": "touch x"}),
    ("metrics", "9100", 9100, {"metrics": ("127.0.0.1", 9100)}),
    ("stats-interval", "0.5", 0.5, {"stats_interval": 0.5}),
    ("log-format", "json", "json", {"log_format": "json"}),
]
IDS = [row[0] for row in LIVE]


def test_nothing_given_is_the_defaults(directories) -> None:
    assert resolve({}) == RecorderConfig()


@pytest.mark.parametrize(("name", "flag", "toml", "fields"), LIVE, ids=IDS)
def test_flag_and_toml_mean_the_same(directories, name, flag, toml, fields) -> None:
    ring: dict[str, str | bool] = {"ring": True} if BY_LONG[name].needs_ring else {}
    expected = dataclasses.replace(RecorderConfig(ring=bool(ring)), **fields)
    assert resolve({**ring, name: flag}) == expected
    assert resolve({}, (), ConfigFile("f.toml", {**ring, name: toml})) == expected


def test_the_table_above_and_here_name_the_same_options() -> None:
    tested = {*IDS, "read", "filter", "tee", "pace", "wait-interface"}
    assert tested == KEYS
    assert {option.long for option in OPTIONS if option.command} == {
        "config", "list-interfaces", "check", "help", "version",
    }  # fmt: skip


def test_every_field_is_reached_by_some_option() -> None:
    others = {"read", "filter", "min_free_bytes", "tee", "pace", "wait_interface"}
    reached = others | {field for row in LIVE for field in row[3]}
    assert reached == {field.name for field in dataclasses.fields(RecorderConfig)}


def test_min_free_in_bytes(directories) -> None:
    config = resolve({"ring": True, "min-free": "10g"})
    assert (config.min_free_bytes, config.min_free_percent) == (10 << 30, None)


def test_roll_time_units(directories) -> None:
    for text, seconds in (("90", 90), ("5m", 300), ("2h", 7200), ("1d", 86400)):
        roll_time = resolve({"roll-time": text}).roll_time
        assert roll_time is not None
        assert roll_time.seconds == seconds


def test_words_are_joined(directories) -> None:
    assert resolve({}, ["tcp", "and", "port 80"]).filter == "tcp and port 80"
    assert resolve({}, ["", " "]).filter == ""


def test_flags_win_over_the_file(directories) -> None:
    file = ConfigFile("f.toml", {"count": 1, "prefix": "from-file", "filter": "udp"})
    config = resolve({"count": "2"}, ["tcp"], file)
    assert (config.count, config.prefix, config.filter) == (2, "from-file", "tcp")


def test_flags_win_over_the_files_alternative(directories) -> None:
    file = ConfigFile("f.toml", {"interface": "eth0", "filter": "udp"})
    config = resolve({"read": "a.pcap", "filter-file": "filter.bpf"}, (), file)
    assert (config.interface, config.read) == (None, "a.pcap")
    assert (config.filter, config.filter_file) == ("", "filter.bpf")


def test_a_switch_that_is_off_in_the_file_is_not_given(directories) -> None:
    file = ConfigFile("f.toml", {"immediate": False, "no-promiscuous": False, "ring": False})
    assert resolve({"read": "a.pcap"}, (), file) == RecorderConfig(read="a.pcap")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"colour": 1}, "f.toml: unknown key 'colour'; accepted: archive, buffer-memory"),
        ({"max_files": 1}, "f.toml: unknown key 'max_files'"),
        ({"config": "g.toml"}, "f.toml: unknown key 'config'"),
        ({"help": True}, "f.toml: unknown key 'help'"),
        ({"count": True}, "f.toml: count: True is not accepted; accepted: a whole number"),
        ({"count": 1.0}, "f.toml: count: 1.0 is not accepted"),
        ({"count": 0}, "f.toml: count: '0' is not accepted"),
        ({"ring": 1}, "f.toml: ring: 1 is not accepted; accepted: true or false"),
        ({"ring": "yes"}, "f.toml: ring: 'yes' is not accepted; accepted: true or false"),
        ({"prefix": 5}, "f.toml: prefix: 5 is not accepted; accepted: a string"),
        ({"prefix": "a/b"}, "f.toml: prefix: 'a/b' is not accepted"),
        ({"log-dir": ["a"]}, r"f.toml: log-dir: \['a'\] is not accepted"),
        ({"log-dir": "a\0b"}, "f.toml: log-dir: 'a.x00b' is not accepted"),
        ({"filter": 5}, "f.toml: filter: 5 is not accepted; accepted: a string"),
        ({"filter": "tcp\0"}, "f.toml: filter: .* NUL"),
        ({"roll-size": {"a": 1}}, "f.toml: roll-size: "),
        ({"roll-size": -5}, "f.toml: roll-size: '-5' is not accepted"),
        ({"ring": True, "max-percent": float("nan")}, "f.toml: max-percent: 'nan'"),
        ({"max-percent": 65}, "f.toml: max-percent '65': accepted only with -r/--ring"),
        ({"interface": "lo", "read": "a.pcap"}, "f.toml: interface 'lo' and f.toml: read 'a.pcap'"),
        ({"read": "a.pcap", "immediate": True}, "f.toml: immediate: accepted only for an inter"),
        ({"filter-file": "filter.bpf", "filter": "udp"}, "f.toml: filter-file 'filter.bpf' and"),
        ({"log-dir": "gone"}, "f.toml: log-dir 'gone': No such file"),
    ],
)
def test_the_file_is_named_when_it_is_wrong(directories, table, message) -> None:
    with pytest.raises(UsageError, match=message):
        resolve({}, (), ConfigFile("f.toml", table))


def test_reads_toml(directories) -> None:
    path = directories / "f.toml"
    path.write_text('ring = true\nmax-percent = 65\nfilter = "tcp port 80"\nmin-free = "5%"\n')
    config = resolve({}, (), read_config_file(str(path)))
    assert config == RecorderConfig(
        ring=True, max_percent=65.0, filter="tcp port 80", min_free_percent=5.0
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"ring = yes", "not TOML"), (b"a = 1\na = 2", "not TOML"), (b"\xff", "not TOML")],
)
def test_not_toml(directories, content: bytes, message: str) -> None:
    path = directories / "f.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_config_file(str(path))


def test_config_file_missing_or_directory(directories) -> None:
    with pytest.raises(UsageError, match=r"--config 'gone.toml': No such file"):
        read_config_file("gone.toml")
    with pytest.raises(UsageError, match="--config 'log': Is a directory"):
        read_config_file("log")


def test_options_of_a_tap(directories) -> None:
    flags: dict[str, Any] = {"read": "a.pcap", "tap": ["eth1"], "tee": True, "pace": "2.5"}
    expected = RecorderConfig(read="a.pcap", tap=("eth1",), tee=True, pace=2.5)
    assert resolve(flags) == expected
    table = {"read": "a.pcap", "tap": "eth1", "tee": True, "pace": 2.5}
    assert resolve({}, (), ConfigFile("f.toml", table)) == expected
    assert expected.savefiles
    assert not dataclasses.replace(expected, tee=False).savefiles


@pytest.mark.parametrize("taps", [["eth1", 2], [["eth1"]], 7, True])
def test_taps_that_are_no_names(directories, taps) -> None:
    with pytest.raises(UsageError, match=r"f.toml: tap: .* is not accepted; accepted: a string"):
        resolve({}, (), ConfigFile("f.toml", {"tap": taps}))


def test_waiting_for_an_interface(directories) -> None:
    expected = RecorderConfig(interface="eth0", wait_interface=True)
    assert resolve({"interface": "eth0", "wait-interface": True}) == expected
    table = {"interface": "eth0", "wait-interface": True}
    assert resolve({}, (), ConfigFile("f.toml", table)) == expected
