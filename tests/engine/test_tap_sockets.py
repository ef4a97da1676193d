"""What a tap refuses to open, as far as no interface of one's own is needed."""

import os
import subprocess
import sys

import pytest

from daemonlogger_py.engine.tap import Tap
from daemonlogger_py.engine.tap_sockets import TapSockets
from daemonlogger_py.errors import DaemonloggerError, SourceError, UsageError

ETHERNET = 1
RAW_IP = 12
NOBODY = 65534

UNPRIVILEGED = """
import os, sys
sys.path[:0] = {path!r}
from daemonlogger_py.engine.tap import Tap
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid({nobody})
    os.setuid({nobody})
try:
    Tap("lo", linktype=1, wake_fd=-1)
except Exception as error:
    print(type(error).__name__, error.exit_status, error)
"""


def test_missing_permission_is_said_and_what_would_help() -> None:
    script = UNPRIVILEGED.format(path=[p for p in sys.path if p], nobody=NOBODY)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout == (
        "SourceError 1 tap lo: no permission to send: root or CAP_NET_RAW is needed\n"
    )


@pytest.mark.parametrize("name", ["nosuch0", "", "x" * 200, "eth0 ", "../lo", "\udcff", "lo\0"])
def test_unknown_interface(name: str) -> None:
    with pytest.raises(UsageError, match=r"^-o/--tap .*: no such interface$") as caught:
        Tap(name, linktype=ETHERNET, wake_fd=-1)

    assert caught.value.exit_status == 2
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("linktype", [0, 9, 101, 113, 276, -1])
def test_linktype_that_no_interface_sends(linktype: int) -> None:
    """Cooked packets, as of the interface `any`, have lost their link header."""
    with pytest.raises(UsageError, match=f"^-o/--tap lo: .*linktype {linktype} .*Ethernet"):
        Tap("lo", linktype=linktype, wake_fd=-1)


def test_sockets_that_were_not_opened_are_closed() -> None:
    sockets = TapSockets.__new__(TapSockets)

    with pytest.raises(ValueError, match="the tap is closed"):
        sockets.revive()
    assert (sockets.down, sockets.failure) == (False, None)
    sockets.close()
    sockets.close()


def test_failed_opening_leaves_no_descriptor_open() -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    for name, linktype in [("nosuch0", ETHERNET), ("lo", RAW_IP), ("lo", 113)] * 10:
        with pytest.raises((UsageError, SourceError)) as caught:
            Tap(name, linktype=linktype, wake_fd=-1)
        assert isinstance(caught.value, DaemonloggerError)
    assert descriptors() == before
