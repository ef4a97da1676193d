"""The line that those who ask get, and the socket they ask through."""

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from daemonlogger_py.config.recorder import RecorderConfig
from daemonlogger_py.record.catalog_status import BUSY_BYTES_PER_S, Status, listening
from daemonlogger_py.record.opening import LogDir

from .cataloging import NAMING

FIGURES = {
    "received": 50,
    "written_bytes": 700,
    "ring_files": 1,
    "ring_bytes": 700,
    "savefile_bytes": 700,
}


def status(path: Path, fd: int, **settings: Any) -> Status:
    config = RecorderConfig(interface="eth0", prefix="t", **settings)
    log_dir = LogDir(fd, str(path), NAMING, None, [])
    ready = SimpleNamespace(
        config=config, log_dir=log_dir, filter_text="port 53", since_ns=time.time_ns()
    )
    return Status(cast(Any, ready), 4711)


def test_the_line_says_what_was_told_last(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        made = status(tmp_path, fd, ring=True, max_files=9, roll_size=4096)
        first = json.loads(made.line(0))
        for second in range(3):
            made.report(second * 10**9, FIGURES | {"received": 50 + 10 * second})
        made.filter_text, made.missed = "port 80", 3
        second = json.loads(made.line(2))
    finally:
        os.close(fd)

    assert (first["pid"], first["filter"], first["limits"]) == (4711, "port 53", ["max files 9"])
    assert "received" not in first
    assert (second["received"], second["rate_packets"], second["rate_bytes"]) == (70, 10, 0)
    assert (second["filter"], second["missed_messages"], second["catalog_behind"]) == (
        "port 80",
        3,
        2,
    )
    assert second["room_bytes"] == 4096 - 700 + 8 * 4096


def test_it_is_busy_while_much_is_recorded_or_nobody_knows(tmp_path: Path) -> None:
    made = status(tmp_path, -1)
    assert made.is_busy
    made.report(10**9, FIGURES)
    assert made.is_busy
    made.report(2 * 10**9, FIGURES)
    assert not made.is_busy
    much = FIGURES["written_bytes"] + 2 * BUSY_BYTES_PER_S
    made.report(3 * 10**9, FIGURES | {"written_bytes": much})
    assert made.is_busy


def test_a_socket_s_name_may_be_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[tuple[str, str]] = []
    assert listening("p" * 120, lambda event, text: said.append((event, text))) is None
    answers = listening("t", lambda event, text: said.append((event, text)))
    assert answers is not None
    answers.close()

    ((event, text),) = said
    assert event == "no_socket"
    assert text.endswith("its name is too long for a socket")
