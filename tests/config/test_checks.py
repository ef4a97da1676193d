"""Options that need or exclude each other, and what must be on the disk."""

import os

import pytest

from daemonlogger_py.config.options import OPTIONS
from daemonlogger_py.config.resolve import resolve
from daemonlogger_py.errors import UsageError

VALUES = {
    "max-percent": "65",
    "max-bytes": "1g",
    "min-free": "10g",
    "max-age": "7d",
    "archive": "old",
    "buffer-size": "1m",
    "tstamp-type": "host",
    "direction": "in",
    "catalog": "on",
}
SAVEFILES = {
    "roll-size": "1m",
    "roll-time": "60",
    "roll-packets": "5",
    "max-files": "5",
    "buffer-memory": "1m",
    "on-roll": "true",
    "catalog": "on",
}


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.needs_ring], ids=lambda o: o.long)
def test_needs_ring(directories, option) -> None:
    with pytest.raises(UsageError, match=f"--{option.long} '.*': accepted only with -r/--ring"):
        resolve({option.long: VALUES[option.long]})
    assert resolve({option.long: VALUES[option.long], "ring": True}).ring


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.live_only], ids=lambda o: o.long)
def test_live_only(directories, option) -> None:
    flags = {option.long: VALUES.get(option.long, True)}
    with pytest.raises(UsageError, match=f"--{option.long}.*: .*, not with -R/--read 'a.pcap'"):
        resolve({**flags, "read": "a.pcap"})
    interface = {"interface": "eth0"} if option.long == "wait-interface" else {}
    assert resolve({**flags, **interface}).read is None


def test_to_wait_for_an_interface_needs_its_name(directories) -> None:
    with pytest.raises(UsageError, match="--wait-interface: accepted only with -i/--interface"):
        resolve({"wait-interface": True})


def test_which_options_need_what() -> None:
    assert {o.long for o in OPTIONS if o.needs_ring} == {
        "max-percent", "max-bytes", "min-free", "max-age", "archive",
    }  # fmt: skip
    assert {o.long for o in OPTIONS if o.live_only} == {
        "buffer-size", "tstamp-type", "no-promiscuous", "direction", "immediate", "wait-interface",
        "catalog",
    }  # fmt: skip


def test_interface_excludes_savefile(directories) -> None:
    with pytest.raises(UsageError, match=r"-i/--interface 'lo' and -R/--read 'a.pcap': only one"):
        resolve({"interface": "lo", "read": "a.pcap"})


def test_filter_words_exclude_filter_file(directories) -> None:
    with pytest.raises(UsageError, match=r"-f/--filter-file 'filter.bpf' and filter 'tcp or udp'"):
        resolve({"filter-file": "filter.bpf"}, ["tcp", "or", "udp"])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"read": "gone"}, "-R/--read 'gone': No such file or directory; accepted: a savefile"),
        ({"read": "log"}, "-R/--read 'log': is a directory; accepted: a savefile"),
        ({"log-dir": "gone"}, "-l/--log-dir 'gone': No such file or directory; accepted: a dir"),
        ({"log-dir": "a.pcap"}, "-l/--log-dir 'a.pcap': not a directory; accepted: a directory"),
        ({"ring": True, "archive": "gone"}, "-a/--archive 'gone': No such file"),
        ({"ring": True, "archive": "a.pcap"}, "-a/--archive 'a.pcap': not a directory"),
    ],
)
def test_paths(directories, flags, message) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(flags)


def test_standard_input_and_pipes_are_savefiles(directories) -> None:
    os.mkfifo("pipe")
    assert resolve({"read": "-"}).read == "-"
    assert resolve({"read": "pipe"}).read == "pipe"  # must not be opened: it has no writer


@pytest.mark.parametrize("spelling", ["log", "log/", "./log", "log/../log", "link", "{absolute}"])
def test_archive_is_the_log_directory(directories, spelling: str) -> None:
    os.symlink("log", "link")
    archive = spelling.format(absolute=directories / "log")
    with pytest.raises(UsageError, match=r"-a/--archive .* is the log directory"):
        resolve({"ring": True, "archive": archive, "log-dir": "log"})


@pytest.fixture
def as_nobody():
    """File permissions count: root passes them all."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.fixture
def open_directories(directories):
    for directory in (directories, *list(directories.parents)[:2]):
        directory.chmod(0o755)
    return directories


def test_log_directory_not_writable(open_directories, request) -> None:
    (open_directories / "log").chmod(0o555)
    request.getfixturevalue("as_nobody")
    with pytest.raises(UsageError, match="-l/--log-dir 'log': not writable"):
        resolve({"log-dir": "log"})


def test_savefile_not_readable(open_directories, request) -> None:
    (open_directories / "log").chmod(0o777)
    (open_directories / "a.pcap").chmod(0)
    request.getfixturevalue("as_nobody")
    with pytest.raises(UsageError, match=r"-R/--read 'a.pcap': not readable"):
        resolve({"read": "a.pcap", "log-dir": "log"})


def test_filter_file_may_be_a_pipe(directories) -> None:
    os.mkfifo("pipe")
    assert resolve({"filter-file": "pipe"}).filter_file == "pipe"  # must not be opened twice


def test_max_bytes_against_roll_size(directories) -> None:
    flags: dict[str, str | bool] = {"ring": True, "max-bytes": "1m"}
    assert resolve(flags).max_bytes == 1 << 20  # the default roll size gives way
    assert resolve({**flags, "roll-size": "1m"}).roll_size == 1 << 20
    with pytest.raises(UsageError, match="--max-bytes '1m': less than -s/--roll-size '2m'"):
        resolve({**flags, "roll-size": "2m"})


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.savefiles_only], ids=lambda o: o.long)
def test_a_tap_alone_writes_no_savefiles(directories, option) -> None:
    value = {**VALUES, **SAVEFILES}.get(option.long, True)
    flags = {"tap": ["eth1"], option.long: value, **({"ring": True} if option.needs_ring else {})}
    with pytest.raises(UsageError, match="accepted with -o/--tap 'eth1' only if there is --tee"):
        resolve(flags)
    assert resolve({**flags, "tee": True}).tee


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"tee": True}, "--tee: accepted only with -o/--tap"),
        ({"pace": "1", "read": "a.pcap"}, "--pace '1': accepted only with -o/--tap"),
        ({"pace": "1", "tap": ["eth1"]}, "--pace '1': accepted only with -R/--read"),
        ({"tap": ["eth1"], "interface": "eth1"}, "-o/--tap 'eth1' and -i/--interface 'eth1': the"),
        ({"tap": ["eth1"], "interface": "any"}, "-o/--tap 'eth1' and -i/--interface 'any': the"),
        ({"tap": ["eth1", "eth1"]}, "-o/--tap 'eth1 eth1': each interface is accepted once"),
        ({"chroot": "gone"}, "-T/--chroot 'gone': No such file or directory; accepted: a dir"),
        ({"chroot": "a.pcap"}, "-T/--chroot 'a.pcap': not a directory; accepted: a directory"),
        ({"chroot": "log", "log-dir": "log"}, "-l/--log-dir 'log': No such file or directory"),
    ],
)
def test_tap_and_service(directories, flags, message) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(flags)


def test_a_tap_alone_needs_no_log_directory(directories) -> None:
    assert resolve({"tap": ["eth1"], "log-dir": "gone"}).log_dir == "gone"


def test_directories_are_inside_the_chroot(directories) -> None:
    os.mkdir("log/savefiles")
    assert resolve({"chroot": "log", "log-dir": "/savefiles"}).chroot == "log"
