"""From command lines to a StreamsConfig: where values go, in which order, what excludes what."""

from collections.abc import Sequence

import pytest

from daemonlogger_py.config.option import Option
from daemonlogger_py.config.stream_options import BY_LONG, BY_SHORT
from daemonlogger_py.config.stream_rules import resolve
from daemonlogger_py.config.streams import NAME_TEMPLATE, Console, Plugin, StreamsConfig
from daemonlogger_py.errors import UsageError


def given(*argv: str) -> tuple[list[tuple[Option, str | None]], list[str]]:
    """Options and words of simple command lines: no bundles, values always apart."""
    options, words = [], []
    rest = list(argv)
    while rest:
        token = rest.pop(0)
        option = BY_LONG[token[2:]] if token.startswith("--") else BY_SHORT.get(token[1:])
        if option is None or not token.startswith("-"):
            words.append(token)
        else:
            options.append((option, rest.pop(0) if option.metavar else None))
    return options, words


def config(line: str | Sequence[str]) -> StreamsConfig:
    argv = line.split() if isinstance(line, str) else list(line)
    options, words = given(*argv)
    return resolve(options, words, ("dlctl", "streams", *argv))


def test_nothing_given_captures_from_the_first_interface() -> None:
    found = config("")
    assert found == StreamsConfig(
        interface="", command_line=("dlctl", "streams"), report="./report.xml"
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-r a -r b", {"files": ("a", "b"), "interface": None}),
        ("-r a -R c -R d", {"files": ("a",), "completing": ("c", "d"), "interface": None}),
        ("-R c", {"files": (), "completing": ("c",), "interface": None}),
        ("-r - -R c", {"files": ("-",), "completing": ("c",)}),
        ("-l a b", {"files": ("a", "b"), "filter_text": ""}),
        ("-r x -l a b", {"files": ("x", "a", "b")}),
        ("-i eth0 tcp port 25", {"interface": "eth0", "filter_text": "tcp port 25"}),
        ("-i any -p", {"interface": "any", "promiscuous": False}),
        ("-r a -p", {"promiscuous": False}),
        (
            "--ring d --prefix n --follow --from 5 --to 6.5",
            {
                "ring": "d",
                "prefix": "n",
                "follow": True,
                "from_ns": 5_000_000_000,
                "to_ns": 6_500_000_000,
                "interface": None,
            },
        ),
        ("-U nobody -z jail", {"user": "nobody", "chroot": "jail"}),
        ("-b 1k -m 5 -P", {"max_bytes": 1024, "skip_bytes": 5, "purge": False}),
        ("-b 5 -b -1", {"max_bytes": None}),
        ("--policy first --tunnels", {"policy": "first", "tunnels": True}),
        ("--max-flows 7 --memory 1m", {"max_flows": 7, "memory_bytes": 1 << 20}),
        ("-o out", {"outdir": "out", "report": "out/report.xml"}),
        ("-o out/", {"outdir": "out/", "report": "out/report.xml"}),
        ("-o /", {"outdir": "/", "report": "/report.xml"}),
        ("-o out -X there.xml", {"report": "there.xml"}),
        ("-I --gaps -K", None),
        ("-K --gaps", {"flow_pcaps": True, "gaps": True, "store": False}),
        ("-I --gaps -f 3", {"findx": True, "gaps": True, "max_open_files": 3}),
        ("-w u.pcap", {"unprocessed": "u.pcap"}),
        ("--json", {"json": True, "console": None}),
        ("-Z --man-names -e http", {"decompress": False, "man_names": True, "http": True}),
        ("-d 0", {"verbosity": 0, "progress": False}),
        ("-d 3 -v", {"verbosity": 10}),
        ("-v -d 3", {"verbosity": 3}),
        ("-q", {"quiet": True, "progress": False}),
        ("--no-progress", {"progress": False, "quiet": False}),
        ("-B -s -0", {"console": None, "store": True}),
    ],
)
def test_fields(line: str, expected: dict[str, object] | None) -> None:
    if expected is None:
        with pytest.raises(UsageError):
            config(line)
        return
    found = config(line)
    assert {name: getattr(found, name) for name in expected} == expected
    assert found.command_line == ("dlctl", "streams", *line.split())


@pytest.mark.parametrize(
    ("line", "template", "bins", "always_count"),
    [
        ("", NAME_TEMPLATE, "", False),
        ("-F kt", NAME_TEMPLATE, "kt", False),
        ("-F k -F t", NAME_TEMPLATE, "kt", False),
        ("-F c", NAME_TEMPLATE, "", True),
        ("-F cgT", NAME_TEMPLATE, "gT", True),
        ("-T x%A", "x%A", "", False),
        ("-F k -T x%A", "x%A", "", False),
        ("-T x%A -F k", "x%A", "k", False),
        ("-F kc -T x%A -F t", "x%A", "t", True),
    ],
)
def test_names(line: str, template: str, bins: str, always_count: bool) -> None:
    found = config(line)
    assert (found.template, found.bins, found.always_count) == (template, bins, always_count)


@pytest.mark.parametrize(
    ("line", "console"),
    [
        ("-c", Console()),
        ("-C", Console(names=False)),
        ("-c -C", Console(names=False)),
        ("-C -c", Console(names=False)),
        ("-c -B", Console(raw=True)),
        ("-c -s -B", Console(raw=True)),
        ("-c -B -s", Console(raw=True)),
        ("-c -D -g -0", Console(hex=True, colour=True, newline=False)),
        ("-C -J", Console(names=False, json=True)),
        ("-c --json", Console(json=True)),
        ("-c --ordered -L lock", Console(ordered=True, semaphore="/lock")),
    ],
)
def test_console(line: str, console: Console) -> None:
    found = config(line)
    assert (found.console, found.store, found.report, found.json) == (console, False, None, False)


def test_console_with_a_report() -> None:
    assert config("-c -X r.xml").report == "r.xml"


@pytest.mark.parametrize(
    ("line", "md5", "http"),
    [
        ("", False, False),
        ("-a", True, True),
        ("-e all", True, True),
        ("-e md5", True, False),
        ("-e http", False, True),
        ("-F M", True, False),
        ("-x http -a", True, True),
        ("-a -x http", True, False),
        ("-a -x md5", False, True),
        ("-F M -x md5", False, False),
        ("-E tcpdemux", False, False),
        ("-a -E tcpdemux", False, False),
        ("-E http -e tcpdemux", False, True),
        ("-E all", True, True),
        ("-x netviz -a", True, True),
    ],
)
def test_scanners_act_in_their_order(line: str, md5: bool, http: bool) -> None:
    found = config(line)
    assert (found.md5, found.http, found.store, found.plugin) == (md5, http, True, None)


@pytest.mark.parametrize("line", ["-x tcpdemux", "-x all", "-F X", "-F kX", "-a -x all"])
def test_nothing_is_stored(line: str) -> None:
    found = config(line)
    assert (found.store, found.md5, found.http) == (False, False, False)
    assert found.report == "./report.xml"


def test_parameters() -> None:
    found = config(
        [
            *("-e", "http", "-S", "tcp_timeout=30", "-S", "tdelta=-1.5", "-S", "tcp_cmd=ls -l"),
            *("-S", "http_cmd=wc", "-S", "tcp_alert_fd=3", "-S", "http_alert_fd=4"),
            *("-S", "check_fcs=NO", "-S", "packet-buffer-timeout=5"),
        ]
    )
    assert (found.idle_ns, found.tdelta_ns) == (30_000_000_000, -1_500_000_000)
    assert (found.tcp_command, found.http_command) == (("ls", "-l"), ("wc",))
    assert (found.tcp_alert_fd, found.http_alert_fd) == (3, 4)


def test_the_report_can_be_switched_off() -> None:
    assert config("-S enable_report=NO").report is None
    assert config("-S enable_report=NO -S enable_report=YES").report == "./report.xml"


PYTHON = "-S py_module=m -S py_function=f"


def test_plugin() -> None:
    assert config(f"-e python {PYTHON}").plugin == Plugin("", "m", "f", 60.0)
    assert config(f"-a {PYTHON}").plugin == Plugin("", "m", "f", 60.0)
    found = config(f"-e python {PYTHON} -S py_path=d -S py_timeout=2.5")
    assert found.plugin == Plugin("d", "m", "f", 2.5)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-r a -i lo", "-r/--read 'a' and -i/--interface 'lo': only one of them is accepted"),
        ("-r a --ring d", "-r/--read 'a' and --ring 'd': only one of them is accepted"),
        ("-R a -i lo", "-R/--complete 'a' and -i/--interface 'lo': only one of them is accepted"),
        ("-l a -i lo", "-l/--files 'a' and -i/--interface 'lo': only one of them is accepted"),
        ("--ring d -i lo", "--ring 'd' and -i/--interface 'lo': only one of them is accepted"),
        ("-r - -R -", "-r/--read '-': standard input is accepted once"),
        ("-l", "-l/--files: FILE is missing"),
        ("--prefix n -r a", "--prefix 'n': accepted only with --ring"),
        ("--follow", "--follow: accepted only with --ring"),
        ("--from 5", "--from '5': accepted only with -r, -l or --ring"),
        ("-i lo --to 5", "--to '5': accepted only with -r, -l or --ring"),
        ("-r a --from 6 --to 5", "--from '6' and --to '5': nothing is between them"),
        ("-z jail", "-z/--chroot 'jail': accepted only with -U"),
        ("-g", "-g/--colour: accepted only with -c or -C"),
        ("-D", "-D/--hex: accepted only with -c or -C"),
        ("-J", "-J/--packet-json: accepted only with -c or -C"),
        ("-L x", "-L/--semaphore 'x': accepted only with -c or -C"),
        ("--ordered", "--ordered: accepted only with -c or -C"),
        ("-F X -e md5", "-e md5: accepted only if streams are stored, not with -F/--format 'X'"),
        ("-F XM", "-FM: accepted only if streams are stored, not with -F/--format 'XM'"),
        ("-c -a", "-a/--all: accepted only if streams are stored, not with -c/--console"),
        ("-K -e all", "-e all: accepted only if streams are stored, not with -K/--flow-pcaps"),
        ("-K -e http", "-e http: accepted only if streams are stored, not with -K/--flow-pcaps"),
        ("-E http", "-e http: accepted only if streams are stored, not with -E/--only 'http'"),
        ("-x tcpdemux -a", None),
        ("-a -x tcpdemux", "-a/--all: accepted only if streams are stored, not with -x/--disable"),
        ("-C -I", "-I/--findx: accepted only if streams are stored, not with -C/--console-data"),
        ("-c -S tcp_cmd=ls", "-S/--set 'tcp_cmd=ls': accepted only if streams are stored"),
        ("-S http_cmd=ls", "-S/--set 'http_cmd=ls': accepted only with -e http"),
        ("--man-names", "--man-names: accepted only with -e http"),
        ("-S py_path=d", "-S/--set 'py_path=d': accepted only with -e python"),
        ("-e python", "-e python: -S py_module=NAME is missing"),
        ("-e python -S py_module=m", "-e python: -S py_function=NAME is missing"),
        ("-S enable_report=no -X f", "-X/--report 'f' and -S/--set 'enable_report=no': only one"),
        ("-b 1x", "-b/--max-bytes: '1x' is not accepted; accepted: bytes"),
        ("-m abc", "-m/--skip: 'abc' is not accepted"),
        ("-F Z", "-F/--format: 'Z' is not accepted; accepted: letters of ctTXMkmg"),
        ("-e netviz", "-e/--enable: 'netviz' is not available"),
        ("-S x", "-S/--set: 'x' is not accepted; accepted: NAME=VALUE"),
        ("-r a --from never", "--from: 'never' is no time; accepted: "),
    ],
)
def test_what_is_refused(line: str, message: str | None) -> None:
    if message is None:
        assert config(line).store
        return
    with pytest.raises(UsageError) as error:
        config(line)
    assert str(error.value).startswith(message)


def test_a_filter_is_text() -> None:
    with pytest.raises(UsageError, match="NUL"):
        resolve([], ["tcp\0"])
    assert resolve([], [" "]).filter_text == ""
