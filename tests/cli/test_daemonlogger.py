"""``daemonlogger``: getopt's reading of a command line, what is refused, and what is called."""

import getopt
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import daemonlogger_py
import daemonlogger_py.record
from daemonlogger_py.cli.daemonlogger import build_parser, in_getopt_order, main
from daemonlogger_py.config.options import BY_LONG, OPTIONS
from daemonlogger_py.config.recorder import RecorderConfig, RollTime
from daemonlogger_py.errors import SourceError, StorageError, UsageError

from .command import TESTED, run_command

# Each with what the one line must hold: the option, the value, what is accepted.
WRONG = [
    ("-i lo -R a.pcap", ["-i/--interface 'lo'", "-R/--read 'a.pcap'", "only one"]),
    ("-i nosuch0", ["-i/--interface", "'nosuch0'", "accepted: ", "lo", "any"]),
    ("-i ../lo", ["-i/--interface", "'../lo'", "accepted: "]),
    ("-R gone.pcap", ["-R/--read", "'gone.pcap'", "No such file", "a savefile"]),
    ("-R log", ["-R/--read", "'log'", "is a directory", "a savefile"]),
    ("-M 65", ["-M/--max-percent", "'65'", "only with -r/--ring"]),
    ("--max-bytes 10g", ["--max-bytes", "'10g'", "only with -r/--ring"]),
    ("--min-free 10%", ["--min-free", "'10%'", "only with -r/--ring"]),
    ("--max-age 7d", ["--max-age", "'7d'", "only with -r/--ring"]),
    ("-a old", ["-a/--archive", "'old'", "only with -r/--ring"]),
    ("-r -M 0", ["-M/--max-percent", "'0'", "from 1 to 100"]),
    ("-r -M 101", ["-M/--max-percent", "'101'", "from 1 to 100"]),
    ("-rM0", ["-M/--max-percent", "'0'", "from 1 to 100"]),
    ("-r --max-age 5y", ["--max-age", "'5y'", "Nw weeks"]),
    ("-r --min-free 100%", ["--min-free", "'100%'", "from 0.1 to 99.9"]),
    ("-r --max-bytes 1m -s 2m", ["--max-bytes", "'1m'", "-s/--roll-size '2m'", "at least"]),
    ("-s 0", ["-s/--roll-size", "'0'", "1 or more"]),
    ("-s 5x", ["-s/--roll-size", "'5x'", "k, m, g or t"]),
    ("-s -5", ["-s/--roll-size", "'-5'", "k, m, g or t"]),
    ("-s 9999999999t", ["-s/--roll-size", "'9999999999t'", "accepted: "]),
    ("-t -1", ["-t/--roll-time", "'-1'", "N seconds"]),
    ("-t 0", ["-t/--roll-time", "'0'", "N seconds"]),
    ("-t 5w", ["-t/--roll-time", "'5w'", "Nh hours"]),
    ("-c x", ["-c/--count", "'x'", "a whole number"]),
    ("-c 0", ["-c/--count", "'0'", "1 or more"]),
    ("-m 0", ["-m/--max-files", "'0'", "1 or more"]),
    ("-S 0", ["-S/--snaplen", "'0'", "from 1 to 262144"]),
    ("-S 300000", ["-S/--snaplen", "'300000'", "from 1 to 262144"]),
    ("-B 3g", ["-B/--buffer-size", "'3g'", "from 4k"]),
    ("-n a/b", ["-n/--prefix", "'a/b'", "without slashes"]),
    ("-n .", ["-n/--prefix", "'.'", "without slashes"]),
    ("--prefix=", ["-n/--prefix", "''", "without slashes"]),
    ("-f filter.bpf tcp", ["-f/--filter-file", "'filter.bpf'", "'tcp'", "only one"]),
    ("-f gone.bpf", ["-f/--filter-file", "'gone.bpf'", "No such file"]),
    ("-f empty.bpf", ["-f/--filter-file", "'empty.bpf'", "holds no filter"]),
    ("-f log", ["-f/--filter-file", "'log'", "Is a directory"]),
    ("-r -a log -l log", ["-a/--archive", "'log'", "is the log directory", "another directory"]),
    ("-r -a ./old/../log/ -l log", ["-a/--archive", "is the log directory"]),
    ("-r -a link -l log", ["-a/--archive", "'link'", "is the log directory"]),
    ("-r -a gone", ["-a/--archive", "'gone'", "No such file", "a directory that exists"]),
    ("-l gone", ["-l/--log-dir", "'gone'", "No such file", "a directory that exists"]),
    ("-l a.pcap", ["-l/--log-dir", "'a.pcap'", "not a directory"]),
    ("--buffer-memory 512k", ["--buffer-memory", "'512k'", "1m or more"]),
    ("--roll-packets 0", ["--roll-packets", "'0'", "1 or more"]),
    ("--stats-interval 0", ["--stats-interval", "'0'", "0.1 to 86400"]),
    ("--direction sideways", ["--direction", "'sideways'", "in, out or inout"]),
    ("--log-format xml", ["--log-format", "'xml'", "text or json"]),
    ("--tstamp-type sundial", ["--tstamp-type", "'sundial'", "host, "]),
    ("-R a.pcap -B 1m", ["-B/--buffer-size", "'1m'", "-R/--read 'a.pcap'"]),
    ("-R a.pcap --tstamp-type host", ["--tstamp-type", "'host'", "only for an interface"]),
    ("-R a.pcap --no-promiscuous", ["--no-promiscuous", "only for an interface"]),
    ("-R a.pcap --direction in", ["--direction", "'in'", "only for an interface"]),
    ("-R a.pcap --immediate", ["--immediate", "only for an interface"]),
    ("-M", ["-M/--max-percent", "PCT is missing", "--help"]),
    ("-rFM", ["-M/--max-percent", "PCT is missing", "--help"]),
    ("--max-percent", ["-M/--max-percent", "PCT is missing", "--help"]),
    ("--ring=yes", ["-r/--ring", "'yes'", "--help"]),
    ("-x", ["unknown option -x", "--help"]),
    ("-Fx", ["unknown option -x", "--help"]),
    ("--frobnicate", ["unknown option --frobnicate", "--help"]),
    ("--max-perc 65 -r", ["unknown option --max-perc;", "--help"]),
    ("--config gone.toml", ["--config", "'gone.toml'", "No such file"]),
    ("--config bad.toml", ["--config", "'bad.toml'", "not TOML"]),
    ("--config key.toml", ["key.toml", "unknown key 'colour'", "accepted: "]),
    ("--config type.toml", ["type.toml: count", "True", "a whole number"]),
    ("--config gone.toml --check", ["--config", "'gone.toml'"]),
    ("-i nosuch0 --check", ["-i/--interface", "'nosuch0'"]),
    ("--tee", ["--tee", "only with -o/--tap"]),
    ("-o lo -i lo", ["-o/--tap 'lo'", "-i/--interface 'lo'", "feed on itself"]),
    ("-o lo -i any", ["-o/--tap 'lo'", "-i/--interface 'any'", "feed on itself"]),
    ("-o lo -r", ["-r/--ring", "-o/--tap 'lo'", "--tee"]),
    ("-R a.pcap -o lo --pace 0", ["--pace", "'0'", "0.001 to 1000"]),
    ("-o lo --pace", ["--pace", "only with -R/--read"]),
    ("--metrics here", ["--metrics", "'here'", "ADDR:PORT"]),
    ("--metrics 0", ["--metrics", "'0'", "PORT"]),
    ("--sandbox maybe", ["--sandbox", "'maybe'", "on or off"]),
    ("-p a/b", ["-p/--pidfile", "'a/b'", "without slashes"]),
    ("-T gone", ["-T/--chroot", "'gone'", "No such file"]),
    ("-R a.pcap --wait-interface", ["--wait-interface", "only for an interface"]),
    ("-u nosuchuser -R a.pcap", ["-u/--user", "'nosuchuser'", "no such user"]),
    ("-g nosuchgroup -R a.pcap", ["-g/--group", "'nosuchgroup'", "no such group"]),
]  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    for name in ("log", "old"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("log")
    (tmp_path / "a.pcap").write_bytes(b"")
    (tmp_path / "filter.bpf").write_text("udp")
    (tmp_path / "empty.bpf").write_text("# nothing\r\n\n")
    (tmp_path / "bad.toml").write_text("ring = perhaps")
    (tmp_path / "key.toml").write_text("colour = 1")
    (tmp_path / "type.toml").write_text("count = true")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(place: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(place)): path.read_bytes() if path.is_file() else None
        for path in place.rglob("*")
    }


@pytest.mark.parametrize(("line", "parts"), WRONG, ids=[line for line, _ in WRONG])
def test_wrong_command_line(place, line: str, parts: list[str]) -> None:
    before = contents(place)

    done = run_command("daemonlogger", *line.split(), cwd=place)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("daemonlogger: ")
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("\n")
    for part in parts:
        assert part in done.stderr
    assert contents(place) == before


@pytest.fixture
def session(monkeypatch) -> types.SimpleNamespace:
    """Stands in for the recorder and keeps what it was called with."""
    calls: list[tuple[str, RecorderConfig]] = []
    module = types.SimpleNamespace(
        calls=calls,
        run=lambda config: calls.append(("run", config)) or 0,
        check=lambda config: calls.append(("check", config)) or 0,
    )
    monkeypatch.setitem(sys.modules, "daemonlogger_py.record.session", module)
    monkeypatch.setattr(daemonlogger_py.record, "session", module, raising=False)
    return module


RIGHT = [
    ("", RecorderConfig()),
    ("-i lo", RecorderConfig(interface="lo")),
    ("-ilo", RecorderConfig(interface="lo")),
    ("-i any", RecorderConfig(interface="any")),
    ("icmp -i lo", RecorderConfig(interface="lo", filter="icmp")),
    ("icmp or -i lo udp", RecorderConfig(interface="lo", filter="icmp or udp")),
    ("-i lo -- -x", RecorderConfig(interface="lo", filter="-x")),
    (
        "ip[2:2] - 5 > ( 2 ) -i lo",
        RecorderConfig(interface="lo", filter="ip[2:2] - 5 > ( 2 )"),
    ),
    ("-Fr", RecorderConfig(flush=True, ring=True)),
    ("-rM65", RecorderConfig(ring=True, max_percent=65.0)),
    ("-rM 65.5", RecorderConfig(ring=True, max_percent=65.5)),
    ("-c 1 -c 2", RecorderConfig(count=2)),
    ("-n -x", RecorderConfig(prefix="-x")),
    ("-n=x", RecorderConfig(prefix="=x")),
    ("--prefix=a=b", RecorderConfig(prefix="a=b")),
    ("-R -", RecorderConfig(read="-")),
    (
        "-R a.pcap -t 2h udp",
        RecorderConfig(read="a.pcap", roll_time=RollTime(2, "h"), filter="udp"),
    ),
    (
        "-i lo -S 1515 -s 1000000 -m 5 -r -l log/ -n dltest1.lpc",
        RecorderConfig(
            interface="lo",
            snaplen=1515,
            roll_size=1_000_000,
            roll_size_given=True,
            max_files=5,
            ring=True,
            log_dir="log/",
            prefix="dltest1.lpc",
        ),
    ),
]


@pytest.mark.parametrize(("line", "config"), RIGHT, ids=[line for line, _ in RIGHT])
def test_right_command_line(place, session, line: str, config: RecorderConfig) -> None:
    assert main(line.split()) == 0
    assert main(["--check", *line.split()]) == 0
    assert session.calls == [("run", config), ("check", config)]


def test_config_file(place, session) -> None:
    (place / "f.toml").write_text('interface = "lo"\nring = true\nmax-percent = 65\nfilter = "udp"')
    assert main(["--config", "f.toml", "-M", "70"]) == 0
    assert session.calls == [
        ("run", RecorderConfig(interface="lo", ring=True, max_percent=70.0, filter="udp"))
    ]


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (UsageError("filter: syntax error"), 2),
        (SourceError("le1: gone"), 1),
        (StorageError("volume full"), 1),
    ],
)
def test_a_failure_is_one_line_and_its_status(place, session, capsys, failure, status) -> None:
    def run(config: RecorderConfig) -> int:
        raise failure

    session.run = run
    assert main([]) == status
    assert capsys.readouterr().err == f"daemonlogger: {failure}\n"


def test_status_of_the_recorder_is_handed_on(place, session) -> None:
    session.run = lambda config: 1
    assert main([]) == 1


def test_interrupted_before_the_recorder_listens(place, session, capsys) -> None:
    def run(config: RecorderConfig) -> int:
        raise KeyboardInterrupt

    session.run = run
    assert main([]) == 130
    assert capsys.readouterr().err == ""


def test_a_defect_keeps_its_traceback(place, session) -> None:
    def run(config: RecorderConfig) -> int:
        raise ZeroDivisionError

    session.run = run
    with pytest.raises(ZeroDivisionError):
        main([])


@pytest.mark.parametrize("flag", ["-h", "--help", "-rh"])
def test_help_shows_every_option(tmp_path, flag: str) -> None:
    done = run_command("daemonlogger", flag, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for option in OPTIONS:
        assert f"--{option.long}" in done.stdout
        assert option.short is None or f" -{option.short}" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("flag", ["-v", "--version"])
def test_version(tmp_path, flag: str) -> None:
    done = run_command("daemonlogger", flag, cwd=tmp_path)
    ours, libpcap, python = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert ours == f"daemonlogger-py {daemonlogger_py.__version__}"
    assert libpcap.startswith("libpcap ")
    assert python == f"Python {sys.version.split()[0]}"


def test_list_interfaces(tmp_path) -> None:
    done = run_command("daemonlogger", "--list-interfaces", cwd=tmp_path)
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    assert names[0] == "name"
    assert "lo" in names


def test_a_reader_that_has_read_enough_is_no_error(tmp_path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run_command("daemonlogger", "--help", cwd=tmp_path, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_full_standard_output_is_told(tmp_path) -> None:
    with open("/dev/full", "wb") as full:
        done = run_command("daemonlogger", "--version", cwd=tmp_path, stdout=full.fileno())
    assert done.returncode == 1
    assert done.stderr.startswith("daemonlogger: standard output: ")
    assert done.stderr.count("\n") == 1


def test_version_and_wrong_lines_load_nothing_heavy(tmp_path) -> None:
    code = (
        "import sys\n"
        "from daemonlogger_py.cli.daemonlogger import main\n"
        "main(['-v']); main(['-M', '0'])\n"
        "heavy = {'psutil', 'tomllib', 'json', 'hashlib', 'threading', 'subprocess', 'socket'}\n"
        "sys.exit(sorted(heavy & set(sys.modules)).__repr__() if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(TESTED)!r})\n{code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (0, 1), done.stderr


def as_getopt(argv: list[str]) -> tuple[list[tuple[str, str]], list[str]] | None:
    """What glibc's getopt makes of `argv`, by the standard library's; None where it complains."""
    letters = "".join(
        option.short + (":" if option.metavar else "") for option in OPTIONS if option.short
    )
    names = [option.long + ("=" if option.metavar else "") for option in OPTIONS]
    short = {f"-{option.short}": f"--{option.long}" for option in OPTIONS if option.short}
    try:
        options, words = getopt.gnu_getopt(argv, letters, names)
    except getopt.GetoptError:
        return None
    return [(short.get(name, name), value) for name, value in options], words


TOKENS = st.sampled_from(
    [
        *["-r", "-F", "-rF", "-rM65", "-rM", "-M", "-t", "-1", "-n", "-nx", "-n=x", "-rx", "-r-"],
        *["--ring", "--ring=x", "--prefix", "--prefix=a=b", "--prefix=", "--nosuch", "--="],
        *["-", "--", "icmp", "(", ">", "", "-x", "-\u00e9"],
    ]
) | st.text("-rMnF=x ", max_size=4)


@given(st.lists(TOKENS, max_size=6))
def test_reads_like_getopt(argv: list[str]) -> None:
    # getopt also takes a long name cut short; ours does not, so those are left out.
    cut = [token for token in argv if token.startswith("--") and len(token) > 2]
    if any(token[2:].partition("=")[0] not in {*BY_LONG, "nosuch"} for token in cut):
        return
    expected = as_getopt(argv)
    try:
        options, words = in_getopt_order(argv)
        build_parser().parse_args(options)
    except UsageError:
        assert expected is None
        return
    assert expected == ([(o.partition("=")[0], o.partition("=")[2]) for o in options], words)


@given(st.lists(TOKENS | st.text(max_size=8), max_size=6))
def test_any_command_line_is_read_or_refused(argv: list[str]) -> None:
    try:
        options, words = in_getopt_order(argv)
    except UsageError:
        return
    assert all(option[2:].partition("=")[0] in BY_LONG for option in options)
    assert len(words) <= len(argv)
