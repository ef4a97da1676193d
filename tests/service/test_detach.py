"""Into the background, with real processes: what the daemon is, what the command's end says."""

import os
import signal
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from .processes import NOBODY, PATIENCE_S, Programs, wait_for_end, wait_until

# Parts of the programs: what a command does around `command`, and how a daemon tells of itself.
PRELUDE = """
import fcntl, json, os, resource, signal, sys, time
from daemonlogger_py.cli import outcome
from daemonlogger_py.errors import UsageError
from daemonlogger_py.service.detach import detach

def tell(name="facts", **facts):
    signal.alarm(60)  # should the test die
    fd = os.open(name + ".new", os.O_WRONLY | os.O_CREAT, dir_fd=place)
    os.write(fd, json.dumps({"pid": os.getpid(), **facts}).encode())
    os.close(fd)
    os.rename(name + ".new", name, src_dir_fd=place, dst_dir_fd=place)

def descriptors():
    found = set()
    for fd in range(1024):
        try:
            os.fstat(fd)
        except OSError:
            continue
        found.add(fd)
    return found

def linger():
    # Until the test ends it.
    signal.pause()
"""
PLACE = """
    global place
    place = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
"""
FINISH = """
sys.exit(outcome.run("daemonlogger", command))
"""


def program(body: str) -> str:
    indented = textwrap.indent(textwrap.dedent(body), "    ")
    return f"{PRELUDE}\ndef command():\n{PLACE}{indented}\n{FINISH}"


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    with Programs(tmp_path) as made:
        yield made


def open_gate(programs: Programs) -> None:
    """Let the daemon go on that opens this FIFO for reading."""
    os.close(os.open(programs.place / "gate", os.O_WRONLY))


LINGERING = program("""
detached = detach()
detached.ready()
detached.ready()
with open("/proc/self/stat") as file:
    stat = file.read().rpartition(")")[2].split()
tell(
    sid=os.getsid(0),
    pgid=os.getpgid(0),
    terminal=int(stat[4]),
    cwd=os.getcwd(),
    streams=[os.readlink(f"/proc/self/fd/{fd}") for fd in range(3)],
    core=resource.getrlimit(resource.RLIMIT_CORE),
    umask=os.umask(0),
    ids=[os.getresuid(), os.getresgid()],
)
linger()
""")


def test_command_ends_and_the_daemon_stays(programs: Programs) -> None:
    assert programs.run(LINGERING, umask=0o027) == (0, "", "")

    facts = programs.facts()
    assert Path(f"/proc/{facts['pid']}").exists()
    assert facts["sid"] not in {facts["pid"], os.getsid(0)}
    assert facts["pgid"] == facts["sid"]
    assert facts["terminal"] == 0
    assert facts["cwd"] == "/"
    assert facts["streams"] == ["/dev/null"] * 3
    assert facts["core"] == [0, 0]
    assert facts["umask"] == 0o027
    assert facts["ids"] == [list(os.getresuid()), list(os.getresgid())]


def test_command_waits_until_the_daemon_is_ready(programs: Programs) -> None:
    os.mkfifo(programs.place / "gate")
    command = programs.start(
        program("""
        detached = detach()
        print("sniffing on interface x", file=sys.stderr)
        tell(cwd=os.getcwd())
        os.close(os.open("gate", os.O_RDONLY))
        detached.ready()
        linger()
        """)
    )
    facts = programs.facts()
    assert facts["cwd"] == str(programs.place)
    assert command.poll() is None

    open_gate(programs)
    assert command.communicate(timeout=PATIENCE_S) == ("", "sniffing on interface x\n")
    assert command.returncode == 0


@pytest.mark.parametrize(
    ("ending", "status", "complaint"),
    [
        ('raise UsageError("-l x: No such file")', 2, "daemonlogger: -l x: No such file\n"),
        ("return 7", 7, ""),
        ("return 0", 0, ""),
        ("raise KeyboardInterrupt", 130, ""),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137,
         "daemonlogger: the daemon ended by SIGKILL before it was ready\n"),
        # A child that lives on a little has a copy of everything.
        ("if os.fork() == 0: time.sleep(0.2); os._exit(0)\nreturn 7", 7, ""),
    ],
)  # fmt: skip
def test_end_before_it_is_ready_is_the_commands(
    programs: Programs, ending: str, status: int, complaint: str
) -> None:
    assert programs.run(program(f"detach()\n{ending}")) == (status, "", complaint)


def test_defect_before_it_is_ready_is_seen(programs: Programs) -> None:
    status, out, err = programs.run(program("detach()\n1 / 0"))

    assert (status, out) == (1, "")
    assert err.endswith("ZeroDivisionError: division by zero\n")


def test_end_after_it_was_ready_is_the_daemons_alone(programs: Programs) -> None:
    body = """
    detach().ready()
    tell()
    print("nobody reads this")
    print("nor this", file=sys.stderr)
    raise UsageError("late")
    """
    assert programs.run(program(body)) == (0, "", "")
    wait_for_end(programs.facts()["pid"])


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGQUIT, 131)]
)
def test_signal_to_the_waiting_command_ends_the_daemon(
    programs: Programs, number: int, status: int
) -> None:
    command = programs.start(program("detach()\ntell()\nlinger()"))
    pid = programs.facts()["pid"]
    command.send_signal(number)
    command.communicate(timeout=PATIENCE_S)

    assert command.returncode == status
    wait_for_end(pid)


def test_daemon_may_end_by_its_own_way(programs: Programs) -> None:
    """It notes the signal, finishes what it does, and its status is the command's."""
    command = programs.start(
        program("""
        def noted(*_):
            raise UsageError("asked to end")
        signal.signal(signal.SIGTERM, noted)
        detach()
        tell()
        linger()
        """)
    )
    programs.facts()
    command.terminate()

    assert command.communicate(timeout=PATIENCE_S)[1] == "daemonlogger: asked to end\n"
    assert command.returncode == 2


def test_nobody_need_wait(programs: Programs) -> None:
    """The waiting command was killed: the daemon goes on."""
    os.mkfifo(programs.place / "gate")
    command = programs.start(
        program("""
        detached = detach()
        tell()
        os.close(os.open("gate", os.O_RDONLY))
        detached.ready()
        tell("later")
        linger()
        """)
    )
    pid = programs.facts()["pid"]
    command.kill()
    command.wait(PATIENCE_S)
    open_gate(programs)

    assert programs.facts("later")["pid"] == pid


def test_signal_handling_is_left_alone(programs: Programs) -> None:
    body = """
    wanted = {n: (lambda *_: None) for n in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    wanted[signal.SIGTSTP] = signal.SIG_DFL
    wanted[signal.SIGIO] = signal.SIG_IGN
    for number, handler in wanted.items():
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    detach().ready()
    tell(
        kept=all(signal.getsignal(n) is handler for n, handler in wanted.items()),
        blocked=[int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    )
    linger()
    """
    assert programs.run(program(body))[0] == 0
    facts = programs.facts()
    assert facts["kept"] is True
    assert facts["blocked"] == [signal.SIGUSR2]


def test_own_descriptors_stay_and_the_callers_are_closed(programs: Programs) -> None:
    body = """
    own = os.pipe2(os.O_CLOEXEC)
    far = os.open("/dev/zero", os.O_RDONLY | os.O_CLOEXEC)
    high = fcntl.fcntl(far, fcntl.F_DUPFD_CLOEXEC, 900)
    before = descriptors()
    detach().ready()
    after = descriptors()
    os.write(own[1], b"still there")
    tell(
        gone=sorted(before - after),
        more=sorted(after - before),
        read=os.read(own[0], 100).decode(),
        zero=os.read(high, 1).hex(),
    )
    linger()
    """
    with open(os.devnull) as theirs:
        assert programs.run(program(body), pass_fds=[theirs.fileno()])[0] == 0

        facts = programs.facts()
        assert facts["gone"] == [theirs.fileno()]
    assert facts["more"] == []
    assert (facts["read"], facts["zero"]) == ("still there", "00")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_started_with_standard_streams_closed(programs: Programs, closed: str) -> None:
    status, _, _ = programs.run(LINGERING, "sh", "-c", f'exec "$@" {closed}', "sh")

    assert status == 0
    assert programs.facts()["streams"] == ["/dev/null"] * 3


@pytest.mark.parametrize("most", ["256", "$(cat /proc/sys/fs/nr_open)"])
def test_limit_of_open_files_takes_no_memory(programs: Programs, most: str) -> None:
    """A set of all numbers that a file may have would, as python-daemon once made one."""
    body = """
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    detach().ready()
    tell(
        before=before,
        after=resource.getrlimit(resource.RLIMIT_NOFILE),
        kib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    )
    linger()
    """
    limited = f'ulimit -n {most} || ulimit -n "$(ulimit -Hn)"; exec "$@"'
    assert programs.run(program(body), "sh", "-c", limited, "sh")[0] == 0

    facts = programs.facts()
    assert facts["after"] == facts["before"]
    assert facts["kib"] < 60_000


def test_packets_may_come_from_standard_input(programs: Programs) -> None:
    body = """
    detached = detach(keep_stdin=True)
    detached.ready()
    tell(
        read=sys.stdin.read(),
        streams=[os.readlink(f"/proc/self/fd/{fd}") for fd in (1, 2)],
    )
    linger()
    """
    command = programs.start(program(body), stdin=subprocess.PIPE)
    assert command.stdin is not None
    command.wait(PATIENCE_S)
    command.stdin.write("packets")
    command.stdin.close()
    command.stdin = None

    facts = programs.facts()
    assert facts["read"] == "packets"
    assert facts["streams"] == ["/dev/null"] * 2


@pytest.mark.parametrize("fails", [1, 2, 3])
def test_no_further_process_to_be_had(programs: Programs, fails: int) -> None:
    body = f"""
    fork, left = os.fork, iter(range(1, 10))
    def limited():
        if next(left) == {fails}:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return fork()
    os.fork = limited
    detach()
    tell()
    """
    status, out, err = programs.run(program(body))

    assert (status, out) == (2, "")
    assert err.startswith("daemonlogger: -d/--daemon: ")
    assert err.endswith("Resource temporarily unavailable\n")
    assert err.count("\n") == 1
    assert not (programs.place / "facts").exists()


def test_what_was_printed_is_printed_once(programs: Programs) -> None:
    body = """
    print("before, in a buffer")
    detach().ready()
    """
    assert programs.run(program(body)) == (0, "before, in a buffer\n", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_after_privileges_are_dropped_in_a_directory_of_roots(programs: Programs) -> None:
    body = f"""
    import ctypes, daemon, pwd
    kept = os.open("facts", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC)
    os.chmod(".", 0o700)
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
    detached = detach()
    here = os.readlink("/proc/self/cwd")
    detached.ready()
    facts = json.dumps(dict(pid=os.getpid(), ids=[os.getresuid(), os.getresgid()], here=here))
    os.write(kept, facts.encode())
    """
    assert programs.run(program(body)) == (0, "", "")

    wait_until((programs.place / "facts").read_text)
    facts = programs.facts()
    assert facts["ids"] == [[NOBODY] * 3] * 2
    assert facts["here"] == "/"
