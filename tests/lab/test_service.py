"""As a service: detached, as an ordinary user, inside a chroot, seen by systemd and Prometheus."""

import os
import pwd
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from .commands import run
from .conftest import MakeVolume, Record
from .daemon import Daemon
from .load import Load
from .network import Link
from .recorder import daemonlogger
from .records import assert_run, numbers_of, savefiles, walk_all
from .senders import Frames, replay, replaying

NOBODY = pwd.getpwnam("nobody")
NO_CAPABILITIES = "0" * 16
SENT = 40_000
PATIENCE_S = 60.0


@pytest.fixture
def jail(memory: Path, logs: Path) -> Path:
    """A directory to be the root of the recorder, which belongs to the one who will record."""
    os.chown(logs, NOBODY.pw_uid, NOBODY.pw_gid)
    return logs


@pytest.fixture
def pid_path(tmp_path: Path) -> Path:
    return tmp_path / "lab.pid"


def eventually(what: Callable[[], object], *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)


def refusal(said: str) -> str:
    """The one line that a command that is refused says, but for a machine without a syslogd."""
    (line,) = [text for text in said.splitlines() if "no syslogd answers" not in text]
    return line


def assert_powerless(threads: list[dict[str, str]]) -> None:
    assert len(threads) >= 3
    for thread in threads:
        assert set(thread["Uid"].split()) == {str(NOBODY.pw_uid)}
        assert set(thread["Gid"].split()) == {str(NOBODY.pw_gid)}
        assert thread["Groups"] == ""
        assert thread["NoNewPrivs"] == "1"
        for held in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert thread[held] == NO_CAPABILITIES


def test_daemon_without_privileges_in_a_chroot(
    link: Link, jail: Path, thousands: Load, pid_path: Path
) -> None:
    who = ("-u", "nobody", "-g", "nogroup", "-T", jail, "-r", "-m", "3", "-s", "1m")
    with Daemon(link.receiver, pid_path, "-i", "vb", "-n", "t", *who) as daemon:
        assert_powerless(daemon.threads())
        assert os.readlink(f"/proc/{daemon.pid}/root") == str(jail)
        assert int(daemon.status()["PPid"]) != os.getpid()
        replay(link, thousands, count=SENT, pps=100_000)
        eventually(lambda: len(savefiles(jail, "t")) == 3)
        before = {path.name for path in savefiles(jail, "t")}
        daemon.send(signal.SIGHUP)
        eventually(lambda: {path.name for path in savefiles(jail, "t")} != before)
        daemon.send(signal.SIGTERM)
        assert daemon.ended(60)

    found = savefiles(jail, "t")
    assert len(found) == 3
    assert {path.stat().st_uid for path in found} == {NOBODY.pw_uid}
    numbers = numbers_of(walk_all(found))
    assert_run(numbers, numbers[0], SENT - 1)
    assert not pid_path.exists() or pid_path.read_text() == ""


def test_log_directory_that_the_user_may_not_write_is_refused(
    link: Link, logs: Path, pid_path: Path
) -> None:
    command = [*daemonlogger(), "-d", "-P", pid_path.parent, "-p", pid_path.name, "-i", "vb"]
    done = run(*link.receiver.command(*command), "-u", "nobody", "-l", logs, check=False)

    assert done.returncode == 2
    assert refusal(done.stderr) == (
        f"daemonlogger: -l {logs}: no savefile can be made there by user nobody: Permission denied"
    )
    assert list(logs.iterdir()) == []
    assert not pid_path.exists()


def test_second_daemon_is_refused_and_a_stale_file_is_no_obstacle(
    link: Link, logs: Path, pid_path: Path
) -> None:
    arguments = ("-i", "vb", "-l", logs, "-n", "t")
    with Daemon(link.receiver, pid_path, *arguments) as first:
        again = link.receiver.command(*daemonlogger(), "-d", "-P", pid_path.parent)
        done = run(*again, "-p", pid_path.name, *arguments, check=False)
        assert done.returncode == 2
        assert f"already running with PID {first.pid}" in done.stderr
        first.send(signal.SIGKILL)
        assert first.ended(60)
        assert int(pid_path.read_text()) == first.pid
    with Daemon(link.receiver, pid_path, *arguments) as second:
        assert second.pid != first.pid
        second.send(signal.SIGTERM)
        assert second.ended(60)
    assert not pid_path.exists()


def test_error_before_recording_is_seen_by_the_caller(
    link: Link, logs: Path, pid_path: Path
) -> None:
    command = [*daemonlogger(), "-d", "-P", pid_path.parent, "-i", "vb", "-l", logs, "tcp", "and"]
    done = run(*link.receiver.command(*command), check=False)

    assert done.returncode == 2
    assert refusal(done.stderr).startswith("daemonlogger: filter 'tcp and': ")


def test_full_volume_is_seen_by_the_caller(link: Link, volume: MakeVolume, pid_path: Path) -> None:
    disk = volume(20 << 20)
    for name in "ab":  # the second takes what the first had no whole block for
        fd = os.open(disk.path / name, os.O_WRONLY | os.O_CREAT)
        with suppress(OSError):
            while os.write(fd, bytes(1 << 20 if name == "a" else 1)):
                pass
        os.close(fd)
    where = ("-d", "-P", pid_path.parent, "-p", pid_path.name, "-i", "vb", "-l", disk.path)
    done = run(*link.receiver.command(*daemonlogger(), *where), check=False)

    assert done.returncode == 1
    assert "No space left on device" in refusal(done.stderr)
    assert not pid_path.exists()


def test_pid_file_is_gone_when_it_ends_before_recording(
    link: Link, record: Record, logs: Path, pid_path: Path
) -> None:
    run("ip", "-n", link.receiver.name, "link", "set", "vb", "down")
    recorder = record("--wait-interface", "-P", pid_path.parent, "-p", pid_path.name, listen=False)
    recorder.says("Waiting for interface vb")
    assert int(pid_path.read_text()) == recorder.pid
    recorder.send(signal.SIGTERM)
    assert recorder.ended() == 128 + signal.SIGTERM

    assert not pid_path.exists()


def test_end_is_told_before_the_rest_is_written(
    link: Link, record: Record, frames: Frames, manager: socket.socket, tmp_path: Path
) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    recorder = record("-c", "3", environment=environment)
    for _ in range(3):
        frames.send()
    heard(manager, "STOPPING=1")
    assert recorder.ended() == 0


def test_sandbox_lets_recording_go_on(
    link: Link, record: Record, logs: Path, thousands: Load, memory: Path
) -> None:
    archive = logs / "archive"
    archive.mkdir()
    for path in (logs, archive):
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    words = logs / "filter"
    words.write_text("ip")
    recorder = record(
        *("-u", "nobody", "-r", "-m", "2", "-s", "1m", "-n", "t", "-a", archive, "-f", words),
        *("--log-format", "json"),
        listen=False,
    )
    recorder.says(r'"event": "sandbox".*Landlock')
    recorder.says(r'"event": "savefile"')
    words.write_text("udp")
    recorder.send(signal.SIGHUP)
    recorder.says(r"Filter read again")
    sent = replay(link, thousands, count=SENT, pps=100_000)
    link.settle(sent)
    time.sleep(0.2)
    recorder.send(signal.SIGINT)
    assert recorder.ended() == 0, recorder.text

    assert len(savefiles(archive, "t")) >= 3
    found = [*savefiles(archive, "t"), *savefiles(logs, "t")]
    assert_run(numbers_of(walk_all(found)), 0, SENT - 1)


# Those who watch


def scrape(link: Link, port: int) -> str:
    program = (
        "import sys, urllib.request as u; "
        f"sys.stdout.write(u.urlopen('http://127.0.0.1:{port}/metrics', timeout=9).read().decode())"
    )
    return run(*link.receiver.command("python3", "-c", program)).stdout


def test_metrics(link: Link, record: Record, logs: Path, thousands: Load) -> None:
    logs.chmod(0o777)
    recorder = record("-u", "nobody", "-r", "-m", "3", "-s", "1m", "--metrics", "9100")
    sent = replay(link, thousands, count=SENT, pps=100_000)
    link.settle(sent)
    pattern = r'^daemonlogger_received_packets_total\{interface="vb"\} (\S+)$'

    def received() -> float:
        found = re.search(pattern, scrape(link, 9100), re.MULTILINE)
        return float(found[1]) if found else -1.0

    eventually(lambda: received() == SENT)
    text = scrape(link, 9100)
    assert re.search(r'^daemonlogger_.*rollovers_total\{.*"size".*\} [1-9]', text, re.MULTILINE)
    assert re.search(r"^daemonlogger_ring_files\S* 3\.0$", text, re.MULTILINE)
    recorder.stop()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """Stands for systemd's notify socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "notify"))
        made.settimeout(PATIENCE_S)
        yield made


def heard(manager: socket.socket, wanted: str) -> str:
    """Wait for a datagram with `wanted` in it."""
    while True:
        text = manager.recv(4096).decode()
        if wanted in text:
            return text


def silent(manager: socket.socket, unwanted: str, seconds: float) -> None:
    """Wait until no datagram with `unwanted` has come for so long, while others do come."""
    limit = time.monotonic() + PATIENCE_S
    last = time.monotonic()
    others = 0
    while time.monotonic() < last + seconds or not others:
        assert time.monotonic() < limit, f"{others} others"
        manager.settimeout(0.1)
        with suppress(TimeoutError):
            if unwanted in manager.recv(4096).decode():
                last = time.monotonic()
                others = 0
            else:
                others += 1
    manager.settimeout(PATIENCE_S)


def test_systemd_is_told_and_the_watchdog_starves_with_the_disk(
    link: Link,
    record: Record,
    volume: MakeVolume,
    manager: socket.socket,
    tmp_path: Path,
    wide: Load,
) -> None:
    disk = volume(200 << 20)
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}
    recorder = record("-s", "10m", directory=disk.path, environment=environment, listen=False)
    heard(manager, "READY=1")
    recorder.listening()
    heard(manager, "WATCHDOG=1")
    with replaying(link, wide, count=8000, pps=1000):
        heard(manager, "STATUS=")
        with disk.frozen(0):
            silent(manager, "WATCHDOG=1", 3)
        heard(manager, "WATCHDOG=1")
    recorder.send(signal.SIGTERM)
    heard(manager, "STOPPING=1")
    assert recorder.ended() == 0, recorder.text


def test_hook_runs_for_every_savefile_the_last_one_too(
    link: Link, record: Record, logs: Path, thousands: Load, tmp_path: Path
) -> None:
    told = logs / "told"
    told.mkdir()
    hook = logs / "hook"
    hook.write_text(
        f'#!/bin/sh\nenv | grep ^DAEMONLOGGER_ >{told}/"$(basename "$DAEMONLOGGER_FILE")"\n'
    )
    hook.chmod(0o755)
    for path in (logs, told):
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    recorder = record("-u", "nobody", "-s", "1m", "-n", "t", "--on-roll", str(hook))
    sent = replay(link, thousands, count=SENT, pps=50_000)
    link.settle(sent)
    time.sleep(0.2)
    recorder.stop()

    found = savefiles(logs, "t")
    assert sorted(path.name for path in told.iterdir()) == [path.name for path in found]
    packets = 0
    for path in found:
        facts = dict(line.split("=", 1) for line in (told / path.name).read_text().splitlines())
        assert facts["DAEMONLOGGER_FILE"] == str(path)
        assert int(facts["DAEMONLOGGER_BYTES"]) == path.stat().st_size
        assert facts["DAEMONLOGGER_INTERFACE"] == "vb"
        packets += int(facts["DAEMONLOGGER_PACKETS"])
    assert packets == SENT
    assert facts["DAEMONLOGGER_WHY"] == "exit"


def test_no_name_is_given_again_once_its_savefile_is_compressed(
    link: Link, record: Record, logs: Path, thousands: Load
) -> None:
    """Started again and again within a second, while the hook of the one before may still run."""
    hook = logs / "hook"
    hook.write_text('#!/bin/sh\nexec gzip -1 "$DAEMONLOGGER_FILE"\n')
    hook.chmod(0o755)
    starts, packets = 6, 5
    with replaying(link, thousands, pps=1_000):
        for _ in range(starts):
            recorder = record(
                *("-r", "-m", "9", "-n", "t", "-c", str(packets), "--on-roll", str(hook)),
                listen=False,
            )
            assert recorder.ended() == 0

    names = [path.name for path in logs.glob("t.[0-9]*")]
    assert len(names) == starts
    assert all(name.endswith(".gz") for name in names)
    assert len({name.removesuffix(".gz") for name in names}) == starts


@pytest.fixture
def impatient(tmp_path: Path) -> Path:
    """What makes a recorder wait for hooks at its end for 3 seconds instead of 30."""
    (tmp_path / "sitecustomize.py").write_text(
        "from daemonlogger_py.service.hooks import HookRunner\n"
        "HookRunner.close.__defaults__ = (3.0,)\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    "body", ["exit 3", "kill -9 $$", "trap '' TERM; sleep 1000 & wait; sleep 1000"]
)
def test_hooks_that_fail_or_hang_stop_nothing(
    link: Link, record: Record, logs: Path, thousands: Load, impatient: Path, body: str
) -> None:
    marker = f"dlab{os.getpid()}hook"
    hook = logs / "hook"
    hook.write_text(f"#!/bin/sh\n: {marker}\n{body}\n")
    hook.chmod(0o755)
    recorder = record(
        *("-s", "1m", "-n", "t", "--on-roll", f"{hook} {marker}"),
        environment={"PYTHONPATH": str(impatient)},
    )
    sent = replay(link, thousands, count=SENT, pps=50_000)
    link.settle(sent)
    time.sleep(0.2)
    recorder.send(signal.SIGINT)
    assert recorder.ended(timeout=60) == 0, recorder.text

    assert_run(numbers_of(walk_all(savefiles(logs, "t"))), 0, SENT - 1)
    # Killed, but it may not be gone yet.
    eventually(lambda: not run("pgrep", "-f", marker, check=False).stdout)
    if "sleep" not in body:
        assert "[!] --on-roll: " in recorder.text


def test_failure_of_the_last_hook_is_told(link: Link, record: Record, logs: Path) -> None:
    hook = logs / "hook"
    hook.write_text("#!/bin/sh\nsleep 1\necho no room >&2\nexit 3\n")
    hook.chmod(0o755)
    recorder = record("-n", "t", "--on-roll", str(hook))
    recorder.stop()

    assert re.search(r"\[!\] --on-roll: .*no room", recorder.text), recorder.text
