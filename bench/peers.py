"""The tools: ours and its peers, how each is found, started and asked for its version.

A tool that is not installed has no program; rows list it as such. Every command line is written
here and printed in the report. tcpdump keeps root (-Z root) because it else gives up the right to
write into the bench directory.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.results import OURS

Replay = Callable[[Path, Path, str], list[str]]
"""(savefile, output directory, filter) -> command line."""
Live = Callable[[str, Path], list[str]]
"""(interface, output directory) -> command line."""
Tap = Callable[[str, str], list[str]]
"""(interface, output interface) -> command line."""
Streams = Callable[[Path, Path, tuple[str, ...]], list[str]]
"""(savefile, output directory, options of tcpflow's) -> command line."""
Search = Callable[[Path, Path, Path, str], list[str]]
"""(ring's directory, file that lists its savefiles, output, filter) -> command line."""

_LOOP = Path(__file__).with_name("pylibpcap_loop.py")


@dataclass(frozen=True, slots=True)
class Tool:
    """One recorder with one set of options."""

    name: str
    program: tuple[str, ...]
    replay: Replay | None = None
    live: Live | None = None
    rolling: Live | None = None
    tap: Tap | None = None
    streams: Streams | None = None
    search: Search | None = None
    version: tuple[str, ...] = ("--version",)
    needs_poke: bool = False

    @property
    def installed(self) -> bool:
        """Return whether it can be run here."""
        return bool(self.program)


def find_ours(command: str = "daemonlogger") -> tuple[str, ...]:
    """Return how to start a command of this project; empty if it is not installed."""
    script = Path(sys.executable).with_name(command)
    if script.exists():
        return (str(script),)
    module = f"daemonlogger_py.cli.{command}"
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    return (sys.executable, "-m", module) if found else ()


def find_original() -> tuple[str, ...]:
    """Return the original daemonlogger, which has the name of ours but is a binary."""
    for folder in [*os.get_exec_path(), "/usr/sbin"]:
        program = Path(folder, "daemonlogger")
        if program.is_file() and program.open("rb").read(4) == b"\x7fELF":
            return (str(program),)
    return ()


def _find(name: str) -> tuple[str, ...]:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    found = shutil.which(name, path=path)
    return (found,) if found else ()


def _find_loop() -> tuple[str, ...]:
    return (sys.executable, str(_LOOP)) if importlib.util.find_spec("pylibpcap") else ()


def _ours(name: str, *extra: str) -> Tool:
    program, reader = find_ours(), find_ours("dlctl")
    to = [*program, *extra]
    return Tool(
        name,
        program,
        replay=lambda file, out, words: [
            *to,
            "-R",
            str(file),
            "-l",
            str(out),
            "-n",
            "t",
            "-s",
            "100g",
            *words.split(),
        ],
        live=lambda iface, out: [*to, "-i", iface, "-l", str(out), "-n", "t", "-s", "100g"],
        rolling=lambda iface, out: [*to, "-i", iface, "-l", str(out), "-n", "t", "-s", "10m"],
        tap=lambda iface, out: [*to, "-i", iface, "-o", out],
        streams=lambda file, out, options: [
            *reader,
            "streams",
            *options,
            "-o",
            str(out),
            "-r",
            str(file),
        ],
        search=lambda folder, _, out, words: [
            *reader,
            "extract",
            "--ring",
            str(folder),
            "-w",
            str(out),
            *words.split(),
        ],
        version=("-v",),
    )


def _tcpdump(name: str, *extra: str) -> Tool:
    program = _find("tcpdump")
    to = [*program, "-Z", "root", *extra]
    return Tool(
        name,
        program,
        replay=lambda file, out, words: [
            *to,
            "-r",
            str(file),
            "-w",
            str(out / "t"),
            *words.split(),
        ],
        live=lambda iface, out: [*to, "-i", iface, "-w", str(out / "t")],
        rolling=lambda iface, out: [*to, "-i", iface, "-w", str(out / "t"), "-C", "10"],
        search=lambda _, listing, out, words: [
            *to,
            "-V",
            str(listing),
            "-w",
            str(out),
            *words.split(),
        ],
    )


def _original() -> Tool:
    to = find_original()
    return Tool(
        "daemonlogger",
        to,
        replay=lambda file, out, words: [
            *to,
            "-R",
            str(file),
            "-l",
            str(out),
            "-n",
            "t",
            *words.split(),
        ],
        live=lambda iface, out: [*to, "-i", iface, "-l", str(out), "-n", "t"],
        rolling=lambda iface, out: [*to, "-i", iface, "-l", str(out), "-n", "t", "-s", "10000000"],
        tap=lambda iface, out: [*to, "-i", iface, "-o", out],
        version=("-v",),
    )


def _dumpcap() -> Tool:
    to = _find("dumpcap")
    return Tool(
        "dumpcap",
        to,
        live=lambda iface, out: [*to, "-q", "-P", "-i", iface, "-w", str(out / "t")],
        rolling=lambda iface, out: [
            *to,
            "-q",
            "-P",
            "-i",
            iface,
            "-w",
            str(out / "t"),
            "-b",
            "filesize:10240",
        ],
    )


def _netsniff() -> Tool:
    program = _find("netsniff-ng")
    to = [*program, "--silent"]
    # Its own choice of a ring is 2.5 GB for a veth, which it locks in memory before it listens.
    ring = [*to, "-S", "64MiB"]
    return Tool(
        "netsniff-ng",
        program,
        replay=lambda file, out, words: [
            *to,
            "--in",
            str(file),
            "--out",
            str(out / "t.pcap"),
            *words.split(),
        ],
        live=lambda iface, out: [*ring, "--in", iface, "--out", str(out / "t.pcap")],
        rolling=lambda iface, out: [
            *ring,
            "--in",
            iface,
            "--out",
            str(out),
            "-F",
            "10MiB",
        ],
        tap=lambda iface, out: [*ring, "--in", iface, "--out", out],
    )


def _copiers() -> list[Tool]:
    editcap, tcpslice, copy = _find("editcap"), _find("tcpslice"), _find("cp")
    return [
        Tool(
            "editcap",
            editcap,
            replay=lambda file, out, _: [*editcap, "-F", "pcap", str(file), str(out / "t")],
        ),
        Tool(
            "tcpslice",
            tcpslice,
            replay=lambda file, out, _: [*tcpslice, "-w", str(out / "t"), str(file)],
        ),
        Tool(
            "cp",
            copy,
            replay=lambda file, out, _: [*copy, str(file), str(out / "t")],
        ),
    ]


def _loop() -> Tool:
    to = _find_loop()
    return Tool(
        "python-libpcap",
        to,
        replay=lambda file, out, words: [
            *to,
            "replay",
            str(file),
            str(out / "t"),
            *([words] if words else []),
        ],
        live=lambda iface, out: [*to, "live", iface, str(out / "t")],
        version=(),
        needs_poke=True,
    )


def _tcpflow() -> Tool:
    to = _find("tcpflow")
    return Tool(
        "tcpflow",
        to,
        streams=lambda file, out, options: [*to, *options, "-o", str(out), "-r", str(file)],
    )


def all_tools() -> dict[str, Tool]:
    """Return every tool by its name in the tables."""
    tools = [
        _ours(OURS),
        _ours("ours --direct", "--direct"),
        _tcpdump("tcpdump"),
        _tcpdump("tcpdump -B 65536", "-B", "65536"),
        _original(),
        _dumpcap(),
        _netsniff(),
        _tcpflow(),
        *_copiers(),
        _loop(),
    ]
    return {tool.name: tool for tool in tools}


def version_of(tool: Tool) -> str:
    """Return the line in which the tool names its version."""
    if not tool.installed:
        return "not installed"
    if tool.name == "python-libpcap":
        from importlib.metadata import version

        return f"python-libpcap {version('python-libpcap')}"
    done = subprocess.run(
        [*tool.program, *tool.version], capture_output=True, text=True, timeout=20, check=False
    )
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    return next((line for line in lines if re.search(r"\d+\.\d+", line)), "unknown")
