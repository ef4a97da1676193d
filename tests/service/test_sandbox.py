"""What the sandbox leaves open and what it refuses, by trying it in a child that is inside.

Landlock asks nobody for privileges, so all of this is the same for root and for an ordinary user.
Where the kernel has none, it is seen that nothing is refused. Kernels of several ages are in
test_sandbox_kernels.
"""

import os
import socket
import time
from pathlib import Path

import pytest

from daemonlogger_py.service.sandbox import replaceable

from .child import ROOT
from .sandboxed import ABI, make_directories, refused, try_out


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return make_directories(tmp_path)


# What works as before


def test_all_that_is_done_to_savefiles_works(top: Path) -> None:
    facts = try_out(
        """
        import fcntl
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        def new(name, directory=logs, flags=os.O_RDWR):
            return os.open(name, flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640,
                           dir_fd=directory)
        enter()
        fd = new("t.1")
        done = {
            "lock": outcome(fcntl.flock, fd, fcntl.LOCK_EX | fcntl.LOCK_NB),
            "write": outcome(os.pwrite, fd, b"packets", 0),
            "flags": outcome(fcntl.fcntl, fd, fcntl.F_SETFL, 0),
            "cut": outcome(os.ftruncate, fd, 4),
            "sync": outcome(os.fsync, fd),
            "advise": outcome(os.posix_fadvise, fd, 0, 0, os.POSIX_FADV_DONTNEED),
            "mode": outcome(os.fchmod, fd, 0o600),
            "times": outcome(os.utime, fd, ns=(1, 1)),
        }
        os.close(fd)
        reader = os.open("t.1", os.O_RDONLY | os.O_NOFOLLOW, dir_fd=logs)
        part = new(".t.1.part", archive, os.O_WRONLY)
        os.close(new("t.1", archive))
        done |= {
            "lease": outcome(fcntl.fcntl, reader, fcntl.F_SETLEASE, fcntl.F_RDLCK),
            "unlease": outcome(fcntl.fcntl, reader, fcntl.F_SETLEASE, fcntl.F_UNLCK),
            "reopen": outcome(to_write, f"/proc/self/fd/{reader}", b"again"),
            "empty": outcome(os.ftruncate, part, 0),
            "copy": outcome(os.sendfile, part, reader, 0, 5),
            "publish": outcome(os.rename, ".t.1.part", "t.1", src_dir_fd=archive,
                               dst_dir_fd=archive),
            "sync dir": outcome(os.fsync, archive),
            "remove": outcome(os.unlink, "t.1", dir_fd=logs),
            "list": outcome(os.listdir, logs), "by path": outcome(os.listdir, top + "/logs"),
            "list again": outcome(os.listdir, top + "/archive"),
            "volume": outcome(os.fstatvfs, logs), "usage": outcome(shutil.disk_usage, logs),
        }
        report(**done)
        """,
        top,
    )

    assert facts == dict.fromkeys(facts, "done")
    assert (top / "archive/t.1").read_bytes() == b"again"
    assert not (top / "logs/t.1").exists()


def test_savefile_is_moved_into_the_archive(top: Path) -> None:
    facts = try_out(
        """
        enter()
        report(said=outcome(os.rename, "old", "new", src_dir_fd=logs, dst_dir_fd=archive))
        """,
        top,
    )

    # The first ABI refuses that whatever the rules say, as between volumes: the archive copies.
    assert facts["said"] == ("EXDEV" if ABI == 1 else "done")


def test_recording_with_ring_and_archive_works(top: Path) -> None:
    """The recorder itself, whatever it does: pruning, archiving, recovery, threads."""
    source = Path(__file__).parent.parent / "pcaps/us.pcap"
    facts = try_out(
        """
        from daemonlogger_py.config.recorder import RecorderConfig
        from daemonlogger_py.record import session
        applied = enter(read=(sys.argv[2],))
        config = RecorderConfig(
            read=sys.argv[2], log_dir=top + "/logs", archive=top + "/archive", prefix="t",
            ring=True, max_files=2, max_percent=99, min_free_bytes=1, roll_packets=1)
        streams = os.dup(2)
        os.dup2(os.open(top + "/logs/said", os.O_WRONLY | os.O_CREAT, 0o600), 2)
        status = session.run(config)
        os.dup2(streams, 2)
        report(status=status, applied=str(applied))
        """,
        top,
        source,
    )

    said = (top / "logs/said").read_text()
    assert facts["status"] == 0, said
    assert "cannot" not in said, said
    assert len([name for name in os.listdir(top / "logs") if name.startswith("t.")]) == 2
    assert [name for name in os.listdir(top / "archive") if name.startswith("t.")]


def test_modules_are_found_late(top: Path) -> None:
    (top / "modules").mkdir()
    (top / "modules/found_late.py").write_text("answer = 42\n")
    facts = try_out(
        """
        sys.path.append(top + "/modules")
        enter()
        before = set(sys.modules)
        import decimal, hashlib, unittest.mock, xml.etree.ElementTree  # shared libraries among them
        import daemonlogger_py.record.recovery
        import found_late, psutil
        report(new=len(set(sys.modules) - before), sum=hashlib.sha256(b"").hexdigest(),
               usage=psutil.disk_usage(logs).total > 0, answer=found_late.answer,
               changed=outcome(to_write, found_late.__file__))
        """,
        top,
    )

    assert facts["new"] > 10
    assert facts["sum"].startswith("e3b0c442")
    assert facts["usage"]
    assert (facts["answer"], facts["changed"]) == (42, refused())


def test_system_s_facts_are_read_as_before(top: Path) -> None:
    facts = try_out(
        """
        paths = ["/etc/localtime", "/sys/class/net/lo/statistics/rx_missed_errors",
                 "/sys/class/net/lo/type", "/proc/net/dev", "/proc/self/status", os.devnull]
        def answer(call, *arguments):
            try:
                return call(*arguments)
            except OSError as error:
                return str(error)
        def look():
            os.environ["TZ"] = "Asia/Kolkata"
            time.tzset()
            offset = time.localtime(0).tm_gmtoff
            del os.environ["TZ"]
            time.tzset()
            return [outcome(to_read, path) for path in paths] + [
                offset, time.localtime(0).tm_gmtoff, outcome(os.listdir, "/proc/self/fd"),
                outcome(os.listdir, "/sys/class/net"), outcome(to_write, os.devnull),
                # As libpcap looks up the names in a filter.
                answer(socket.getservbyname, "domain"), answer(socket.getprotobyname, "icmp"),
                answer(socket.gethostbyname, "localhost")]
        before = look()
        enter()
        report(before=before, now=look())
        """,
        top,
    )

    assert facts["now"] == facts["before"]
    assert facts["now"].count("done") >= 5


def test_open_descriptors_and_unix_sockets_go_on(top: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        facts = try_out(
            """
            listening = socket.socket(fileno=int(sys.argv[2]))
            log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            log.bind(top + "/log")
            notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            notify.bind(f"\\0daemonlogger-test-{os.getpid()}")
            abstract = notify.getsockname()
            connected = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            pid_fd = os.open(top + "/beside/old", os.O_RDWR)
            connected.connect(abstract)
            enter()
            late = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            connection = listening.accept()[0]
            connection.sendall(b"metrics")
            report(file=[outcome(os.ftruncate, pid_fd, 0), outcome(os.write, pid_fd, b"1")],
                   path=outcome(late.connect, top + "/log"), send=outcome(late.send, b"line"),
                   abstract=outcome(connected.send, b"READY=1"))
            """,
            top,
            server.fileno(),
            fds=(server.fileno(),),
        )
        assert client.recv(7) == b"metrics"

    assert facts == {"file": ["done"] * 2, "path": "done", "send": "done", "abstract": "done"}


@pytest.mark.parametrize("wanted", [True, False])
def test_abstract_sockets_are_within_reach_if_asked(top: Path, wanted: bool) -> None:
    name = f"daemonlogger-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(f"\0{name}")
        facts = try_out(
            f"""
            enter(abstract_sockets={wanted})
            late = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            report(said=outcome(late.sendto, b"READY=1", "\\0{name}"))
            """,
            top,
        )

    assert facts["said"] == ("done" if wanted else refused("EPERM", since=6))


def test_replaced_filter_file_is_read_again(top: Path) -> None:
    (top / "etc").mkdir()
    (top / "etc/filter").symlink_to(top / "beside/old")
    facts = try_out(
        """
        path = top + "/etc/filter"
        orders, order = os.pipe()
        answers, answer = os.pipe()
        if not os.fork():  # somebody outside the sandbox
            for name in (top + "/beside/old", path):
                os.read(orders, 1)
                to_write(name + "~", b"replaced " + name.encode())
                os.rename(name + "~", name)
                os.write(answer, b"x")
            os._exit(0)
        enter(read=sandbox.replaceable(path))
        read = [to_read(path).decode()]
        for _ in range(2):
            os.write(order, b"x")
            os.read(answers, 1)
            read.append(to_read(path).decode())
        report(read=read, write=outcome(to_write, path))
        """,
        top,
    )

    paths = [f"{top}/beside/old", f"{top}/etc/filter"]
    assert facts["read"] == ["old", *(f"replaced {path}" for path in paths)]
    assert facts["write"] == refused()


def test_what_is_replaceable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/link").symlink_to("/usr/share/filters/x")
    monkeypatch.chdir(tmp_path)

    assert replaceable("etc/file") == ("etc/file", str(tmp_path / "etc"))
    assert replaceable("etc/link") == ("etc/link", str(tmp_path / "etc"), "/usr/share/filters")
    assert replaceable("/file") == ("/file",)  # never the whole file system


def test_pid_file_is_removed_but_none_is_made(top: Path) -> None:
    facts = try_out(
        """
        enter(remove=(top + "/beside",))
        old = top + "/beside/old"
        report(read=outcome(to_read, old), write=outcome(to_write, old),
               make=outcome(to_write, old + "er"), remove=outcome(os.unlink, old))
        """,
        top,
    )

    assert facts.pop("remove") == "done"
    assert facts == dict.fromkeys(("read", "write", "make"), refused())


# What is refused

MOVED = "EXDEV" if ABI == 1 else refused()  # the first ABI has no other answer

ATTEMPTS = {
    # What, and the answer inside.
    "read beside": ("to_read, top + '/beside/old'", refused()),
    "list beside": ("os.listdir, top + '/beside'", refused()),
    "list everything": ("os.listdir, '/'", refused()),
    "read a secret": ("to_read, top + '/logs/../beside/old'", refused()),
    "through a link": ("to_read, top + '/logs/link'", refused()),
    "write beside": ("to_write, top + '/beside/x'", refused()),
    "cut beside": ("os.truncate, top + '/beside/old', 0", refused(since=3)),
    "take from beside": ("os.rename, top + '/beside/old', top + '/logs/taken'", MOVED),
    "put beside": ("os.rename, top + '/logs/old', top + '/beside/put'", MOVED),
    "link from beside": ("os.link, top + '/beside/old', top + '/logs/linked'", refused("EXDEV")),
    "remove beside": ("os.unlink, top + '/beside/old'", refused()),
    "make a directory": ("os.mkdir, top + '/logs/d'", refused()),
    "make a link": ("os.symlink, 'x', top + '/logs/l'", refused()),
    "make a fifo": ("os.mkfifo, top + '/logs/f'", refused()),
    "make a socket": (
        "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).bind, top + '/logs/s'", refused()),
    "connect": ("socket.create_connection, ('127.0.0.1', port)", refused(since=4)),
    "listen": ("socket.create_server, ('127.0.0.1', 0)", refused(since=4)),
    "signal others": ("os.kill, os.getppid(), 0", refused("EPERM", since=6)),
    "signal oneself": ("os.kill, os.getpid(), 0", "done"),
}  # fmt: skip


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("what", ATTEMPTS)
def test_what_is_refused(top: Path, what: str, inside: bool) -> None:
    """Each is tried outside as well, where it works: else its refusal would mean nothing."""
    attempt, answer = ATTEMPTS[what]
    with socket.create_server(("127.0.0.1", 0)) as server:
        facts = try_out(
            f"""
            port = int(sys.argv[2])
            {"enter()" if inside else ""}
            report(said=outcome({attempt}))
            """,
            top,
            server.getsockname()[1],
        )

    assert facts["said"] == (answer if inside else "done")


@pytest.mark.parametrize("inside", [True, False])
def test_no_program_is_executed(top: Path, inside: bool) -> None:
    (top / "logs/program").write_text("#!/bin/sh\n")
    (top / "logs/program").chmod(0o755)
    facts = try_out(
        f"""
        {"enter()" if inside else ""}
        def execute(path):
            child = os.fork()
            if not child:
                try:
                    os.execv(path, [path])
                except OSError as error:
                    os._exit(error.errno)
            code = os.waitstatus_to_exitcode(os.wait()[1])
            return errno.errorcode[code] if code else "done"
        report(**{{path: execute(path) for path in ("/bin/true", top + "/logs/program")}})
        """,
        top,
    )

    expected = "EACCES" if inside and ABI else "done"
    assert facts == {"/bin/true": expected, f"{top}/logs/program": expected}


def test_sandbox_after_privileges_were_dropped_in_a_chroot(top: Path) -> None:
    """All of it together, in the order of the start: what remains is to record."""
    top.chmod(0o755)
    for name in ("logs", "archive"):
        os.chown(top / name, 65534 if ROOT else -1, -1)
        (top / name).chmod(0o700)
    facts = try_out(
        """
        out = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        if os.geteuid() == 0:
            dropped = privileges.drop(Identity(65534, 65534, (), "nobody"), top)
        else:
            dropped = privileges.drop(None, None)
        applied = enter()
        fd = os.open("t.1", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640, dir_fd=logs)
        report(dropped=dropped, applied=str(applied),
               write=outcome(os.write, fd, b"x"),
               move=outcome(os.rename, "t.1", "t.1", src_dir_fd=logs, dst_dir_fd=archive),
               zone=time.localtime(0).tm_gmtoff,
               escape=outcome(lambda: os.close(os.open("etc", os.O_RDONLY, dir_fd=out))),
               thread=outcome(threading.Thread(target=print, kwargs={"end": ""}).start))
        """,
        top,
    )

    assert facts["dropped"] is True
    assert (facts["write"], facts["thread"]) == ("done", "done")
    assert facts["move"] == ("EXDEV" if ABI == 1 else "done")
    assert facts["escape"] == refused()  # a descriptor left open leads nowhere
    assert facts["zone"] == time.localtime(0).tm_gmtoff


def test_a_socket_can_be_made_where_it_is_asked_for_and_nowhere_else(top: Path) -> None:
    facts = try_out(
        """
        def bind(path):
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(path)
        os.chdir(top)
        enter(sockets=(logs,))
        done = {name: outcome(bind, name + "/t.socket") for name in ("logs", "archive", "beside")}
        done["again"] = outcome(os.unlink, "logs/t.socket")
        done["pipe"] = outcome(os.mkfifo, "logs/t.pipe")
        report(**done)
        """,
        top,
    )

    assert facts["logs"] == facts["again"] == "done"
    assert facts["archive"] == facts["beside"] == facts["pipe"] == refused()
