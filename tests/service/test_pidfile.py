"""One daemon a PID file: the lock, what is in the file, and what is left alone."""

import errno
import fcntl
import os
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.errors import UsageError
from daemonlogger_py.service import pidfile
from daemonlogger_py.service.pidfile import PidFile

from .processes import NOBODY, PATIENCE_S, Programs, wait_for_end

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "daemonlogger.pid"


@pytest.fixture
def first(path: Path) -> Iterator[PidFile]:
    made = PidFile(str(path))
    made.lock()
    yield made
    made.release()


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    with Programs(tmp_path) as made:
        yield made


def refusal(path: Path) -> str:
    """Why the file is not to be had."""
    refused = PidFile(str(path))
    with pytest.raises(UsageError) as caught:
        refused.lock()
    assert refused.fd == -1
    return str(caught.value)


def test_pid_is_one_line(path: Path, first: PidFile) -> None:
    assert path.read_text() == ""
    first.write()
    assert path.read_text() == f"{os.getpid()}\n"
    first.write(7)
    assert path.read_text() == "7\n"


def test_everybody_may_read_it(path: Path) -> None:
    before = os.umask(0o022)
    made = PidFile(str(path))
    made.lock()
    os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert not os.get_inheritable(made.fd)
    made.release()


def test_second_is_refused_with_the_pid_of_the_first(path: Path, first: PidFile) -> None:
    first.write(1234)

    assert refusal(path) == f"-d/--daemon: already running with PID 1234 ({path})"
    assert path.read_text() == "1234\n"


def test_second_is_refused_before_the_first_has_written(path: Path, first: PidFile) -> None:
    said = refusal(path)
    assert said == f"-d/--daemon: already running (it has not written its PID yet) ({path})"


def test_older_pid_is_not_taken_for_that_of_the_first(path: Path) -> None:
    path.write_text("999\n")
    first = PidFile(str(path))
    first.lock()

    assert "has not written its PID yet" in refusal(path)
    first.release()


def test_released_file_is_gone_and_can_be_had_again(path: Path, first: PidFile) -> None:
    first.write()
    first.release()
    assert not path.exists()
    assert first.fd == -1
    first.release()

    second = PidFile(str(path))
    second.lock()
    second.release()


@pytest.mark.parametrize("stale", ["", "999\n", "999", " 999 \n\n", "1\n", "4194304\n"])
def test_stale_file_is_no_obstacle(path: Path, stale: str) -> None:
    path.write_text(stale)
    made = PidFile(str(path))
    made.lock()
    made.write(5)

    assert path.read_text() == "5\n"
    made.release()


def test_killed_daemon_is_no_obstacle(path: Path, programs: Programs) -> None:
    program = """
        import json, os, signal, sys
        from daemonlogger_py.service.detach import detach
        from daemonlogger_py.service.pidfile import PidFile
        made = PidFile(os.path.abspath("daemonlogger.pid"))
        made.lock()
        detached = detach()
        made.write()
        detached.ready()
        signal.alarm(60)
        signal.pause()
    """
    assert programs.run(program) == (0, "", "")
    pid = int(path.read_text())
    programs.end_at_last(pid)
    assert refusal(path) == f"-d/--daemon: already running with PID {pid} ({path})"
    assert programs.run(program)[0] == 1
    assert path.read_text() == f"{pid}\n"

    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    assert path.read_text() == f"{pid}\n"
    second = PidFile(str(path))
    second.lock()
    second.release()


@pytest.mark.parametrize("points_to", ["victim", "nowhere"])
def test_link_is_not_followed(path: Path, tmp_path: Path, points_to: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("1\n")
    path.symlink_to(tmp_path / points_to)

    assert refusal(path) == f"-p/--pidfile {path}: it is a symbolic link"
    assert victim.read_text() == "1\n"
    assert not (tmp_path / "nowhere").exists()
    assert path.is_symlink()


def test_hard_link_to_something_is_refused(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("1\n")
    path.hardlink_to(victim)

    assert "hard links" in refusal(path)
    assert victim.read_text() == "1\n"


def test_fifo_is_refused_and_not_waited_for(path: Path) -> None:
    os.mkfifo(path)

    assert refusal(path) == f"-p/--pidfile {path}: it is not a regular file"


def test_directory_is_refused(path: Path) -> None:
    path.mkdir()

    assert refusal(path) == f"-p/--pidfile {path}: Is a directory"


@pytest.mark.parametrize(
    "content",
    [b"root:x:0:0:root\n", b"12 34\n", b"-1\n", b"1\0", b"1" * 40, b"0" * (1 << 20), b"\xb2\n"],
)
def test_what_is_no_pid_file_is_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    assert refusal(path) == f"-p/--pidfile {path}: it holds something that is not a PID"
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing/daemonlogger.pid", "No such file or directory"),
        ("file/daemonlogger.pid", "Not a directory"),
        ("x" * 300, "File name too long"),
    ],
)
def test_place_where_no_file_can_be_made(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").touch()

    assert refusal(tmp_path / name) == f"-p/--pidfile {tmp_path / name}: {reason}"


@ROOT_ONLY
def test_directory_that_may_not_be_written(programs: Programs) -> None:
    program = f"""
        import os
        from daemonlogger_py.errors import UsageError
        from daemonlogger_py.service.pidfile import PidFile
        os.setgid({NOBODY})
        os.setuid({NOBODY})
        try:
            PidFile("/daemonlogger.pid").lock()
        except UsageError as error:
            print(error)
    """
    assert programs.run(program) == (
        0, "-p/--pidfile /daemonlogger.pid: Permission denied\n", ""
    )  # fmt: skip


@ROOT_ONLY
def test_file_of_somebody_else(path: Path) -> None:
    """Root would signal whatever PID he writes there."""
    path.write_text("1\n")
    os.chown(path, NOBODY, NOBODY)

    assert "somebody else (uid 65534)" in refusal(path)
    assert path.read_text() == "1\n"


@ROOT_ONLY
def test_file_of_the_owner_of_its_directory(path: Path) -> None:
    """As an earlier run without root leaves it behind: he can replace it at any time anyway."""
    path.write_text("1\n")
    os.chown(path, NOBODY, NOBODY)
    os.chown(path.parent, NOBODY, NOBODY)

    made = PidFile(str(path))
    made.lock()
    made.release()


def test_file_that_is_removed_while_it_is_taken(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner ends between our opening and our locking: the lock would be on no name."""
    removed = []
    flock = fcntl.flock

    def ending(fd: int, how: int) -> None:
        if not removed:
            removed.append(os.fstat(fd).st_ino)
            path.unlink()
            path.touch()
        flock(fd, how)

    path.touch()
    monkeypatch.setattr(pidfile.fcntl, "flock", ending)
    made = PidFile(str(path))
    made.lock()
    monkeypatch.undo()

    assert os.path.samestat(os.fstat(made.fd), path.stat())
    assert "already running" in refusal(path)
    made.release()


def test_file_that_is_removed_again_and_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pidfile.fcntl, "flock", lambda fd, how: path.unlink())
    before = set(os.listdir("/proc/self/fd"))

    assert refusal(path).endswith("it is removed again and again")
    assert set(os.listdir("/proc/self/fd")) == before


def test_never_two_at_once(path: Path, programs: Programs) -> None:
    program = """
        import os
        from daemonlogger_py.errors import UsageError
        from daemonlogger_py.service.pidfile import PidFile
        made = PidFile(os.path.abspath("daemonlogger.pid"))
        had = 0
        while had < 150:
            try:
                made.lock()
            except UsageError as error:
                assert "already running" in str(error) or "again and again" in str(error), error
                continue
            os.close(os.open("inside", os.O_CREAT | os.O_EXCL))
            made.write()
            os.unlink("inside")
            made.release()
            had += 1
    """
    commands = [programs.start(program) for _ in range(3)]
    ends = [command.communicate(timeout=3 * PATIENCE_S) for command in commands]

    assert ends == [("", "")] * 3
    assert [command.returncode for command in commands] == [0] * 3
    assert not path.exists()


def test_file_of_a_successor_stays(path: Path, first: PidFile) -> None:
    first.write()
    path.rename(path.with_name("away"))
    path.write_text("2\n")
    first.release()

    assert path.read_text() == "2\n"
    assert path.with_name("away").read_text() == ""


def test_directory_that_is_out_of_reach_at_the_end(path: Path, first: PidFile) -> None:
    """As inside a chroot."""
    first.write()
    moved = path.parent.with_name("moved")
    path.parent.rename(moved)
    first.release()

    assert (moved / path.name).read_text() == ""
    moved.rename(path.parent)


@ROOT_ONLY
def test_file_is_emptied_where_it_may_not_be_removed(programs: Programs) -> None:
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        path = Path(directory) / "daemonlogger.pid"
        program = f"""
            import os
            from daemonlogger_py.service.pidfile import PidFile
            made = PidFile({str(path)!r})
            made.lock()
            os.setgid({NOBODY})
            os.setuid({NOBODY})
            made.write()
            print(os.pread(made.fd, 100, 0) == b"%d\\n" % os.getpid())
            made.release()
        """
        assert programs.run(program) == (0, "True\n", "")
        assert path.read_text() == ""

        second = PidFile(str(path))
        second.lock()
        second.release()
        assert not path.exists()


def test_lock_ends_although_a_child_has_the_file(
    path: Path, first: PidFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    copy = os.dup(first.fd)
    first.write()
    monkeypatch.setattr(os, "unlink", refused)
    first.release()
    monkeypatch.undo()
    assert path.read_text() == ""

    second = PidFile(str(path))
    second.lock()
    second.release()
    os.close(copy)


def test_volume_that_is_full(path: Path, first: PidFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(UsageError, match="No space left on device"):
        first.write()


def test_nothing_to_release(path: Path) -> None:
    PidFile(str(path)).release()

    assert not path.exists()
