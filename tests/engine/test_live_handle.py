"""What opening an interface refuses, as far as none of one's own is needed."""

import os
import subprocess
import sys

import pytest

from daemonlogger_py.engine.live import LiveSource
from daemonlogger_py.engine.live_handle import DIRECTIONS, LiveHandle
from daemonlogger_py.errors import DaemonloggerError, SourceError, UsageError

NOBODY = 65534

# Opens lo as nobody and says how that went; a process of its own, as root is not got back.
UNPRIVILEGED = """
import os, sys
sys.path[:0] = {path!r}
from daemonlogger_py.engine.live import LiveSource
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid({nobody})
    os.setuid({nobody})
try:
    LiveSource("lo", wake_fd=-1, promiscuous={promiscuous})
except Exception as error:
    print(type(error).__name__, error.exit_status, error)
"""


@pytest.mark.parametrize("promiscuous", [False, True])
def test_missing_permission_is_said_and_what_would_help(promiscuous: bool) -> None:
    path = [p for p in sys.path if p]
    script = UNPRIVILEGED.format(path=path, nobody=NOBODY, promiscuous=promiscuous)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout == (
        "SourceError 1 interface lo: no permission to capture: "
        "CAP_NET_RAW is missing, which root has\n"
    )


@pytest.mark.parametrize("name", ["nosuch0", "x" * 200, "eth0 ", "../lo", "\udcff"])
def test_unknown_interface(name: str) -> None:
    with pytest.raises(SourceError, match=r"^interface ") as caught:
        LiveSource(name, wake_fd=-1)

    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 1
    assert name in str(caught.value)


# libpcap does not close what it opened for a handle that is closed before it is activated.
@pytest.mark.usefixtures("left_to_the_process")
@pytest.mark.parametrize("kind", ["nonsense", "", "adapter unsynced", "höst"])
def test_unknown_time_stamp_type_names_those_there_are(kind: str) -> None:
    with pytest.raises(UsageError, match=r"interface lo has .*host") as caught:
        LiveSource("lo", wake_fd=-1, tstamp_type=kind)

    assert str(caught.value).startswith(f"--tstamp-type {kind}: ")


def test_directions_are_libpcaps() -> None:
    assert DIRECTIONS == {"inout": 0, "in": 1, "out": 2}


def test_handle_that_was_not_opened_is_closed() -> None:
    handle = LiveHandle.__new__(LiveHandle)

    with pytest.raises(ValueError, match="the source is closed"):
        handle.refilter("udp")
    assert handle.warning is None
    assert not handle.gone


def test_failed_opening_leaves_no_descriptor_open() -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    for _ in range(20):
        with pytest.raises(DaemonloggerError):
            LiveSource("nosuch0", wake_fd=-1)

    assert descriptors() == before
