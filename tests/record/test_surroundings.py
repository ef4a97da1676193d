"""What a process is around its recording: begun in one order, and gone at the end."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from daemonlogger_py.config.recorder import RecorderConfig
from daemonlogger_py.errors import UsageError
from daemonlogger_py.record.openfile import Sealed
from daemonlogger_py.record.opening import LogDir, Opened
from daemonlogger_py.record.surroundings import Surroundings, begun, identity_of, messages
from daemonlogger_py.savefile.names import Naming
from daemonlogger_py.service.sealed import Sealed as Told

from .fakes import FakeSource
from .fakes import Told as Messages


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nothing_asked_for_is_nothing_begun() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with begun(RecorderConfig()) as around:
        assert around.detached is around.identity is around.notifier is None
        assert around.metrics is around.hooks is None
        assert len(os.listdir("/proc/self/fd")) == before


def test_pid_file_is_there_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "a.pid"
    config = RecorderConfig(pidfile="a.pid", pid_dir=str(tmp_path))
    with begun(config):
        assert path.read_text() == f"{os.getpid()}\n"
        with pytest.raises(UsageError, match="already running"), begun(config):
            pass
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()


def test_what_was_begun_ends_with_what_is_refused_later(tmp_path: Path) -> None:
    port = free_port()
    config = RecorderConfig(
        pid_dir=str(tmp_path), metrics=("127.0.0.1", port), on_roll="/nonexistent/command"
    )
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(UsageError, match="--on-roll"), begun(config):
        pass

    assert os.listdir(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) == before
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_service_manager_is_looked_for_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with begun(RecorderConfig()) as around:
            assert around.notifier is not None
            around.notifier.ready("Recording")
        assert manager.recv(100) == b"READY=1\nSTATUS=Recording"
        assert "NOTIFY_SOCKET" not in os.environ


def test_identity() -> None:
    assert identity_of(RecorderConfig()) is None
    found = identity_of(RecorderConfig(user="root"))
    assert found is not None
    assert found.uid == 0
    with pytest.raises(UsageError, match=r"-u/--user 'nosuchuser'"):
        identity_of(RecorderConfig(user="nosuchuser"))


@pytest.mark.parametrize(
    ("settings", "directory"),
    [
        ({"log_dir": "/var/pcap"}, "/var/pcap"),
        ({"log_dir": "pcap"}, f"{Path.cwd()}/pcap"),
        ({"log_dir": "pcap", "chroot": "/srv"}, "/pcap"),
        ({"log_dir": ".", "chroot": "/srv"}, "/"),
    ],
)
def test_hooks_are_told_of_savefiles_by_their_whole_path(
    settings: dict[str, Any], directory: str
) -> None:
    class Hooks:
        def __init__(self) -> None:
            self.told: list[Told] = []

        def sealed(self, savefile: Told) -> None:
            self.told.append(savefile)

    config = RecorderConfig(interface="eth0", **settings)
    around = Surroundings(config)
    with FakeSource([], []) as source:
        log_dir = LogDir(-1, "shown", Naming("t"), None, [])
        ready = Opened(config, log_dir, source, None, None, "")
        assert around.on_sealed(ready) is None
        hooks = Hooks()
        around.hooks = hooks  # type: ignore[assignment]
        announce = around.on_sealed(ready)
        assert announce is not None
        announce(Sealed("t.100", "size", 3, 1000, 5, 6, 7))
        announce(Sealed("t.101", "exit", 0, 24, 0, 0, 0))

    first, second = hooks.told
    assert first == Told(os.path.join(directory, "t.100"), 5, 6, 3, 1000, 7, "eth0", "size")
    assert (second.first_ns, second.last_ns) == (None, None)


def test_nothing_is_confined_that_was_not_asked_for() -> None:
    told = Messages()
    config = RecorderConfig()
    before = os.getresuid(), os.getgroups()
    with FakeSource([], []) as source:
        Surroundings(config).confine(Opened(config, None, source, None, None, ""), told)

    assert (os.getresuid(), os.getgroups()) == before
    assert told.all == []


def test_messages_wait_until_they_are_released(capfd: pytest.CaptureFixture[str]) -> None:
    made = messages(RecorderConfig())
    made.tell("x", "held")
    assert capfd.readouterr().err == ""
    made.flush()
    assert capfd.readouterr().err == "held\n"
    made.close()
