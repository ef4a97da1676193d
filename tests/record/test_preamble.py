"""The lines before a recording: those of the original, in its order, and of what it had not."""

import os
from pathlib import Path
from typing import Any

from daemonlogger_py.config.recorder import RecorderConfig
from daemonlogger_py.record.keeper import Keeper
from daemonlogger_py.record.opening import LogDir, Opened
from daemonlogger_py.record.preamble import foretell, introduce, say_source
from daemonlogger_py.record.retention import Limits

from .cataloging import NAMING, SECOND_NS, RingDirectory
from .fakes import FakeSource, Told


def said(**settings: Any) -> list[str]:
    """What is said of a soft tap alone, which has no log directory."""
    told = Told()
    with FakeSource([], [], live=settings.get("read") is None) as source:
        ready = Opened(RecorderConfig(**settings), None, source, None, None, "icmp")
        introduce(ready, told)
        say_source(ready, told)
        foretell(ready, told)
    return told.texts()


def test_service_and_tap_in_the_order_of_the_original() -> None:
    lines = said(
        interface="eth0",
        tap=("eth1", "eth2"),
        daemon=True,
        flush=True,
        user="nobody",
        group="nogroup",
        chroot="/srv/jail",
        pidfile="a.pid",
        pid_dir="/run/dl",
    )

    assert lines == [
        "[-] Daemon mode set",
        "[-] Packet-buffered output activated",
        '[-] Filter set to "icmp"',
        "[-] Setting group ID to nogroup",
        "[-] Interface set to eth0",
        '[-] Log filename set to "daemonlogger.pcap"',
        "[-] Tap output interface set to eth1",
        "[-] Tap output interface set to eth2",
        '[-] Pidfile configured to "a.pid"',
        '[-] Pidpath configured to "/run/dl"',
        "[-] Rollover size set to 2147483648 bytes",
        "[-] Rollover time configured for 0 seconds",
        "[-] Setting chroot directory to /srv/jail",
        "[-] Setting user ID to nobody",
        "[-] Pruning behavior set to oldest IN DIRECTORY",
        lines[15],
        "sniffing on interface eth0",
        "Would send packets from interface eth0 out of eth1 and eth2: all of the above is in order",
        "Nothing would be pruned: there is no ring",
    ]
    assert lines[15].startswith("\n-*> DaemonLogger <*-\nVersion ")


def test_names_of_files_are_made_printable() -> None:
    lines = said(read="a\nb", tap=("eth1",), log_dir="log\x1b[2J")

    assert "[-] Logpath set to log\\x1b[2J" in lines
    assert 'Reading network traffic from "a\\nb" file.' in lines


def test_a_check_says_what_is_pinned(tmp_path: Path) -> None:
    with RingDirectory(tmp_path) as ring:
        for epoch in (1000, 1100, 1200):
            name = ring.leave(epoch)
            os.utime(ring.path / name.name, (epoch, epoch))
        with ring.catalog() as catalog:
            catalog.pin(1000 * SECOND_NS, 1001 * SECOND_NS, "why", 1)
        told = Told()
        logs = str(ring.path)
        keeper = Keeper(
            ring.fd, logs, NAMING, Limits(max_files=2), told, this_run_only=False, archive=None
        )
        config = RecorderConfig(interface="eth0", ring=True, prefix="t", log_dir=logs)
        with FakeSource([], [], live=True) as source:
            log_dir = LogDir(ring.fd, logs, NAMING, keeper, [])
            foretell(Opened(config, log_dir, source, None, None, ""), told)

        assert told.texts()[1:] == [
            f"Would prune {logs}/t.1100: max files 2",
            f"Would prune {logs}/t.1200: max files 2",
            f"1 savefiles are pinned, {(ring.path / 't.1000').stat().st_size} bytes",
            "2 of 3 savefiles would be pruned",
        ]
