"""Scanners and parameters: what is accepted after -e, -x and -S."""

import pytest

from daemonlogger_py.config.stream_scanners import (
    PARAMETERS,
    SCANNERS,
    parse_assignment,
    parse_boolean,
    parse_command,
    parse_disabled,
    parse_scanner,
    parse_span,
)


def test_scanners() -> None:
    assert [parse_scanner(scanner.name) for scanner in SCANNERS] == [s.name for s in SCANNERS]
    assert parse_scanner("all") == "all"
    with pytest.raises(ValueError, match="'x' is not accepted; accepted: all, http, md5"):
        parse_scanner("x")


@pytest.mark.parametrize("name", ["netviz", "wifiviz"])
def test_what_only_tcpflow_draws(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is not available: "):
        parse_scanner(name)
    assert parse_disabled(name) == name


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("tcp_timeout=30", 30_000_000_000),
        ("tcp_timeout=0.5", 500_000_000),
        ("tdelta=-3600", -3_600_000_000_000),
        ("tdelta=-0.000000001", -1),
        ("enable_report=NO", False),
        ("enable_report=Yes", True),
        ("tcp_cmd=gzip -9 'a b'", ("gzip", "-9", "a b")),
        ("http_cmd=env A=b run", ("env", "A=b", "run")),
        ("tcp_alert_fd=5", 5),
        ("http_alert_fd=6", 6),
        ("py_path=", ""),
        ("py_path=a=b", "a=b"),
        ("py_module=one.two", "one.two"),
        ("py_function=look", "look"),
        ("py_timeout=1.5", 1.5),
        ("packet-buffer-timeout=2000", 2000),
        ("check_fcs=NO", False),
    ],
)
def test_assignments(text: str, value: object) -> None:
    parameter, found = parse_assignment(text)
    assert (parameter.name, found) == (text.partition("=")[0], value)


def test_every_parameter_is_in_the_test_above() -> None:
    marks = test_assignments.pytestmark  # type: ignore[attr-defined]
    tried = {text.partition("=")[0] for text, _ in marks[0].args[1]}
    assert tried == {parameter.name for parameter in PARAMETERS}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x", "'x' is not accepted; accepted: NAME=VALUE"),
        ("a=b=c", "'a=b=c' is not accepted; accepted: NAME=VALUE"),
        ("=1", "NAME one of tcp_timeout, "),
        ("tcp_timeout=-1", "tcp_timeout: '-1' is not accepted; accepted: seconds"),
        ("tcp_timeout=1=2", "tcp_timeout: '1=2'"),
        ("tcp_timeout=", "tcp_timeout: ''"),
        ("tdelta=abc", "tdelta: 'abc'"),
        ("tdelta=9999999999999", "tdelta: "),
        ("enable_report=perhaps", "yes or no"),
        ("tcp_cmd=", "a command"),
        ("tcp_cmd=''", "a command"),
        ("http_cmd=run 'it", "No closing quotation"),
        ("http_alert_fd=0", "from 1 to"),
        ("tcp_alert_fd=-1", "from 1 to"),
        ("py_module=../x", "a name of Python"),
        ("py_module=a..b", "a name of Python"),
        ("py_function=1x", "a name of Python"),
        ("py_path=a\0b", "a name"),
        ("py_timeout=0", "seconds from 0.1"),
    ],
)
def test_assignments_that_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match="is not accepted") as error:
        parse_assignment(text)
    assert reason in str(error.value)


def test_values_are_cut_in_messages() -> None:
    for parse in (parse_span, parse_boolean, parse_command, parse_assignment):
        with pytest.raises(ValueError, match="is not accepted") as error:
            parse("'" + "x" * 5000)
        assert len(str(error.value)) < 500
