"""From what was given on the command line of ``dlctl streams`` to one StreamsConfig.

Knows which field a value goes to, in which order -a, -e, -E, -x, -F and -T act, and what options
mean to each other. A single value is read by the option's own parser. Looks at nothing on disk.
"""

from collections.abc import Sequence
from typing import Any

from daemonlogger_py.config import stream_scanners
from daemonlogger_py.config.option import Option
from daemonlogger_py.config.stream_options import BY_LONG
from daemonlogger_py.config.stream_template import BIN_LETTERS
from daemonlogger_py.config.streams import PLUGIN_TIMEOUT_S, Console, Plugin, StreamsConfig
from daemonlogger_py.errors import UsageError

VERBOSE = 10  # -v is -d 10
REPORT_NAME = "report.xml"

# Options whose value is a field's as it stands.
_FIELDS = {
    "interface": "interface",
    "ring": "ring",
    "prefix": "prefix",
    "from": "from_ns",
    "to": "to_ns",
    "follow": "follow",
    "relinquish-privileges": "user",
    "chroot": "chroot",
    "max-bytes": "max_bytes",
    "skip": "skip_bytes",
    "policy": "policy",
    "tunnels": "tunnels",
    "max-flows": "max_flows",
    "memory": "memory_bytes",
    "outdir": "outdir",
    "findx": "findx",
    "flow-pcaps": "flow_pcaps",
    "unprocessed": "unprocessed",
    "report": "report",
    "gaps": "gaps",
    "max-fds": "max_open_files",
    "man-names": "man_names",
    "quiet": "quiet",
}
_PARAMETER_FIELDS = {
    "tcp_timeout": "idle_ns",
    "tdelta": "tdelta_ns",
    "tcp_cmd": "tcp_command",
    "http_cmd": "http_command",
    "tcp_alert_fd": "tcp_alert_fd",
    "http_alert_fd": "http_alert_fd",
}
_PYTHON = ("py_path", "py_module", "py_function", "py_timeout")
# Without these a stream or a packet would be printed otherwise than was asked for.
_CONSOLE_ONLY = ("hex", "colour", "packet-json", "ordered", "semaphore")
_STORED_ONLY = ("findx", "tcp_cmd", "tcp_alert_fd")
_RING_ONLY = ("prefix", "follow")


class _Given:
    """What was given, gathered from the left to the right."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}  # by long name; the last one wins
        self.labels: dict[str, str] = {}  # how a message names it: -m/--skip '5'
        self.parameters: dict[str, Any] = {}
        self.files: list[str] = []
        self.completing: list[str] = []
        self.scanning: list[tuple[str, str, str]] = []  # option, scanner, as a message names it
        self.bins = ""

    def label(self, name: str) -> str:
        """Return the option `name` as it was given, or without a value if it was not."""
        return self.labels[name] if name in self.labels else BY_LONG[name].label


def resolve(
    given: Sequence[tuple[Option, str | None]],
    words: Sequence[str] = (),
    command_line: Sequence[str] = (),
) -> StreamsConfig:
    """Return what is asked for, validated.

    `given` are the options in their order, each with the text of its value (None: a switch),
    `words` what stands besides them, `command_line` the whole as the report is to show it. Raises
    UsageError naming the option, its value and what is accepted.
    """
    gathered = _Given()
    for option, text in given:
        _take(gathered, option, text)
    fields: dict[str, Any] = {
        name: gathered.values[long] for long, name in _FIELDS.items() if long in gathered.values
    }
    fields |= {
        name: gathered.parameters[parameter]
        for parameter, name in _PARAMETER_FIELDS.items()
        if parameter in gathered.parameters
    }
    fields |= _source(gathered, words)
    fields |= _naming(gathered)
    fields |= _console(gathered)
    fields |= _processing(gathered)
    fields |= _messages(gathered)
    fields["promiscuous"] = "no-promiscuous" not in gathered.values
    fields["purge"] = "no-purge" not in gathered.values
    fields["report"] = _report(gathered)
    config = StreamsConfig(command_line=tuple(command_line), **fields)
    _check(config, gathered)
    return config


def _take(gathered: _Given, option: Option, text: str | None) -> None:
    name = option.long
    gathered.labels[name] = option.as_given(text)
    value: Any = True if text is None else option.judged(text)
    gathered.values[name] = value
    match name:
        case "read":
            gathered.files.append(str(value))
        case "complete":
            gathered.completing.append(str(value))
        case "set":
            parameter, setting = value
            gathered.parameters[parameter.name] = setting
            gathered.labels[parameter.name] = gathered.labels[name]
        case "all":
            gathered.scanning.append(("enable", stream_scanners.ALL, option.label))
        case "enable" | "only" | "disable":
            gathered.scanning.append((name, str(value), f"-e {value}"))
        case "template":
            gathered.bins = ""
        case "format":
            gathered.bins += "".join(letter for letter in str(value) if letter in BIN_LETTERS)
            for letter in str(value):
                gathered.labels[f"format {letter}"] = gathered.labels[name]
                gathered.values[f"format {letter}"] = True
            if "M" in str(value):
                gathered.scanning.append(("enable", "md5", "-FM"))
        case "verbose":
            gathered.values["debug"] = VERBOSE


def _source(gathered: _Given, words: Sequence[str]) -> dict[str, Any]:
    filter_text = "" if "files" in gathered.values else " ".join(words).strip()
    if "\0" in filter_text:
        raise UsageError(f"filter {filter_text!r} holds a NUL character, which no filter does")
    if "files" in gathered.values:
        if not words:
            raise UsageError(f"{gathered.label('files')}: FILE is missing")
        gathered.files += words
        for word in words:
            gathered.labels.setdefault("read", f"{gathered.label('files')} {word[:80]!r}")
    sources = [
        gathered.label(name)
        for name, is_given in (
            ("read" if gathered.files else "complete", bool(gathered.files or gathered.completing)),
            ("ring", "ring" in gathered.values),
            ("interface", "interface" in gathered.values),
        )
        if is_given
    ]
    if len(sources) > 1:
        raise UsageError(f"{' and '.join(sources)}: only one of them is accepted")
    if (*gathered.files, *gathered.completing).count("-") > 1:
        raise UsageError(f"{gathered.label('read')}: standard input is accepted once")
    source: dict[str, Any] = {
        "files": tuple(gathered.files),
        "completing": tuple(gathered.completing),
        "filter_text": filter_text,
    }
    if not sources:
        source["interface"] = ""
    return source


def _naming(gathered: _Given) -> dict[str, Any]:
    naming: dict[str, Any] = {
        "bins": gathered.bins,
        "always_count": "format c" in gathered.values,
    }
    if "template" in gathered.values:
        naming["template"] = gathered.values["template"]
    return naming


def _console(gathered: _Given) -> dict[str, Any]:
    values = gathered.values
    if "console" not in values and "console-data" not in values:
        for name in _CONSOLE_ONLY:
            if name in values:
                raise UsageError(f"{gathered.label(name)}: accepted only with -c or -C")
        return {"json": "json" in values}
    return {
        "console": Console(
            names="console-data" not in values,
            raw="binary" in values,
            hex="hex" in values,
            colour="colour" in values,
            newline="no-newline" not in values,
            json="packet-json" in values or "json" in values,
            ordered="ordered" in values,
            semaphore=values.get("semaphore"),
        )
    }


def _report(gathered: _Given) -> str | None:
    values = gathered.values
    if not gathered.parameters.get("enable_report", True):
        if "report" in values:
            raise UsageError(
                f"{gathered.label('report')} and {gathered.label('enable_report')}: only one of"
                " them is accepted"
            )
        return None
    if "report" in values:
        return str(values["report"])
    if "console" in values or "console-data" in values:
        return None
    return f"{str(values.get('outdir', '.')).rstrip('/') or ''}/{REPORT_NAME}"


def _processing(gathered: _Given) -> dict[str, Any]:
    enabled = _enabled(gathered)
    values = gathered.values
    console = "console" in values or "console-data" in values
    demultiplexed = "tcpdemux" in enabled
    store = demultiplexed and not console and not {"format X", "flow-pcaps"} & values.keys()
    if not store:
        wants = [enabled[name] for name in sorted(enabled) if name != "tcpdemux"]
        _refuse_processing(gathered, wants)
    _require_scanner(gathered, enabled, "http", ("http_cmd", "http_alert_fd", "man-names"))
    _require_scanner(gathered, enabled, "python", _PYTHON)
    return {
        "store": store,
        "report_streams": demultiplexed and "flow-pcaps" not in values,
        "md5": "md5" in enabled,
        "http": "http" in enabled,
        "decompress": "no-decompress" not in values,
        "plugin": _plugin(gathered) if "python" in enabled else None,
    }


def _enabled(gathered: _Given) -> dict[str, str]:
    """Names of the scanners that are on once -a, -e, -E and -x acted, and what enabled each."""
    enabled = {scanner.name: "" for scanner in stream_scanners.SCANNERS if scanner.on}
    everything = set(stream_scanners.SCANNER_NAMES)
    if "py_module" not in gathered.parameters:
        everything.discard("python")
    for option, name, label in gathered.scanning:
        named = dict.fromkeys(everything if name == stream_scanners.ALL else {name}, label)
        if option == "disable":
            enabled = {one: by for one, by in enabled.items() if one not in named}
        else:
            enabled = named if option == "only" else enabled | named
    return enabled


def _refuse_processing(gathered: _Given, wants: list[str]) -> None:
    """Raise UsageError for what works on stored streams, as none is stored.

    `wants` are the options that enabled scanners.
    """
    reasons = [
        gathered.label(name)
        for name in ("console", "console-data", "format X", "flow-pcaps", "only", "disable")
        if name in gathered.values
    ]
    wants += [gathered.labels[name] for name in _STORED_ONLY if name in gathered.labels]
    if wants:
        raise UsageError(f"{wants[0]}: accepted only if streams are stored, not with {reasons[0]}")


def _require_scanner(
    gathered: _Given, enabled: dict[str, str], scanner: str, names: Sequence[str]
) -> None:
    for name in names:
        if name in gathered.labels and scanner not in enabled:
            raise UsageError(f"{gathered.labels[name]}: accepted only with -e {scanner}")


def _plugin(gathered: _Given) -> Plugin:
    parameters = gathered.parameters
    for name in ("py_module", "py_function"):
        if name not in parameters:
            raise UsageError(f"-e python: -S {name}=NAME is missing")
    return Plugin(
        path=parameters.get("py_path", ""),
        module=parameters["py_module"],
        function=parameters["py_function"],
        timeout_s=parameters.get("py_timeout", PLUGIN_TIMEOUT_S),
    )


def _messages(gathered: _Given) -> dict[str, Any]:
    verbosity = gathered.values.get("debug", 1)
    quiet = "quiet" in gathered.values
    return {
        "verbosity": verbosity,
        "progress": verbosity != 0 and not quiet and "no-progress" not in gathered.values,
    }


def _check(config: StreamsConfig, gathered: _Given) -> None:
    """Raise UsageError for options that need, or exclude, each other."""
    for name in _RING_ONLY:
        if name in gathered.values and config.ring is None:
            raise UsageError(f"{gathered.label(name)}: accepted only with --ring")
    for name in ("from", "to"):
        if name in gathered.values and config.interface is not None:
            raise UsageError(f"{gathered.label(name)}: accepted only with -r, -l or --ring")
    if config.from_ns is not None and config.to_ns is not None and config.from_ns >= config.to_ns:
        raise UsageError(
            f"{gathered.label('from')} and {gathered.label('to')}: nothing is between them"
        )
    if config.unprocessed == "-" and (config.console is not None or config.json):
        raise UsageError(
            f"{gathered.label('unprocessed')}: standard output is printed on; accepted: FILE"
        )
    if config.chroot is not None and config.user is None:
        raise UsageError(f"{gathered.label('chroot')}: accepted only with -U")
