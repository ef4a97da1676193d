"""The process of the catalog: forked in the midst of a recorder, of which it keeps nothing."""

import os
from pathlib import Path

import pytest

from daemonlogger_py.savefile.catalog import Catalog

from ..service.child import run
from .cataloging import RingDirectory

PREPARED = """
    import os, socket, sys, time
    from types import SimpleNamespace
    from daemonlogger_py.config.recorder import RecorderConfig
    from daemonlogger_py.record import chronicle
    from daemonlogger_py.record.opening import LogDir
    from daemonlogger_py.savefile.names import Naming

    class Source:
        linktype, snaplen, nanosecond = 1, 65535, False
        def close(self):
            pass

    path = sys.argv[1]
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    told = []
    def tell(event, text, **facts):
        told.append(text)
    ready = SimpleNamespace(
        config=RecorderConfig(prefix="t", ring=True, log_dir=path, interface="eth0"),
        log_dir=LogDir(fd, path, Naming("t"), None, []),
        source=Source(), taps=None, filter_text="", since_ns=time.time_ns(),
    )
    recorders_own = socket.socket()
    lock = open(os.path.join(path, "lock"), "w")
    found = chronicle.begun(ready, tell)
    pid = found._pid

    def of_process(file):
        with open(f"/proc/{pid}/{file}") as reading:
            return reading.read()

    def wait(holds):
        end = time.monotonic() + 20
        while not holds() and time.monotonic() < end:
            time.sleep(0.01)

    wait(lambda: os.path.exists(os.path.join(path, "t.socket")))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "ring"
    made.mkdir()
    return made


def test_it_keeps_nothing_of_the_recorder_s(folder: Path) -> None:
    facts = run(
        PREPARED
        + """
    links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    report(
        links=[os.path.basename(link) for link in links],
        own=[f"socket:[{os.fstat(recorders_own.fileno()).st_ino}]"],
        nice=os.getpriority(os.PRIO_PROCESS, pid),
        cwd=os.readlink(f"/proc/{pid}/cwd"),
    )
    found.close(None, 0)
    """,
        folder,
    )

    assert facts["nice"] == 19
    assert facts["cwd"] == str(folder)
    assert "lock" not in facts["links"]
    assert facts["own"][0] not in facts["links"]
    assert facts["links"].count("null") == 3  # none of the streams it was started with
    assert len([link for link in facts["links"] if link.startswith("socket:")]) == 2


def test_signals_meant_for_the_recorder_do_not_end_it(folder: Path) -> None:
    facts = run(
        PREPARED
        + """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1):
        os.kill(pid, number)
    time.sleep(0.1)
    found.look({"received": 1, "written_bytes": 1}, all_written=True)
    found.hear("finishing", {"signal": "SIGTERM"})
    found.close(None, 0)
    def is_there():
        found._reap(0)
        return os.path.exists(f"/proc/{pid}")
    wait(lambda: not is_there())
    report(told=told, is_there=is_there())
    """,
        folder,
    )

    assert facts == {"told": [], "is_there": False}
    assert sorted(os.listdir(folder)) == ["lock", "t.catalog", "t.catalog-pages"]
    with Catalog.open(str(folder / "t.catalog")) as catalog:
        assert [run.why for run in catalog.runs()] == ["SIGTERM"]


def test_it_ends_by_itself_when_the_recorder_is_killed(folder: Path) -> None:
    facts = run(
        PREPARED
        + """
    found._link.close()  # as the kernel does for a process that is killed
    wait(lambda: os.waitpid(pid, os.WNOHANG) != (0, 0))
    report(left=sorted(os.listdir(path)))
    """,
        folder,
    )

    assert "t.socket" not in facts["left"]
    with Catalog.open(str(folder / "t.catalog")) as catalog:
        assert [gap.kind for gap in catalog.gaps()] == ["crashed"]


def test_a_recorder_that_ends_after_it_was_killed_has_not_crashed(folder: Path) -> None:
    killed = run(
        PREPARED
        + """
    def is_begun():
        from daemonlogger_py.savefile.catalog import Catalog
        try:
            with Catalog.open(os.path.join(path, "t.catalog")) as catalog:
                return bool(catalog.runs())
        except Exception:
            return False
    wait(is_begun)
    os.kill(pid, signal.SIGKILL)
    wait(lambda: found._listen() or found._reaped)
    found.hear("finishing", {"signal": "SIGTERM"})
    found.close(None, 0)
    report(told=told, left=sorted(os.listdir(path)))
    """,
        folder,
    )
    assert killed["told"] == ["[!] The catalog is not kept any more: its process ended"]
    assert "t.catalog-end" in killed["left"]

    run(PREPARED + "    found.close(None, 0)\n    report()", folder)
    assert not (folder / "t.catalog-end").exists()
    with Catalog.open(str(folder / "t.catalog")) as catalog:
        assert [run.why for run in catalog.runs()] == ["SIGTERM", "done"]
        assert [gap.kind for gap in catalog.gaps()] == ["unknown", "stopped", "stopped"]


def test_what_it_makes_is_for_those_who_may_read_savefiles(folder: Path) -> None:
    run(PREPARED + "    found.close(None, 0)\n    report()", folder)

    assert (folder / "t.catalog").stat().st_mode & 0o777 == 0o640


def test_nothing_but_a_line_when_it_fails(folder: Path) -> None:
    facts = run(
        PREPARED.replace(
            "recorders_own",
            "import daemonlogger_py.record.cataloger as failing\n"
            "    def fail(*_):\n"
            "        raise ZeroDivisionError('scripted')\n"
            "    failing.Cataloger.run = fail\n"
            "    recorders_own",
            1,
        ).replace('    wait(lambda: os.path.exists(os.path.join(path, "t.socket")))\n', "")
        + """
    def over():
        found.look({}, all_written=True)
        return told
    wait(over)
    report(told=told, pins_known=found.pins_known)
    """,
        folder,
    )

    text = "[!] The catalog is not kept any more: ZeroDivisionError: scripted"
    assert facts == {"told": [text], "pins_known": True}


def test_a_directory_is_left_as_it_was_found(folder: Path) -> None:
    with RingDirectory(folder) as ring:
        ring.leave(1000)
        before = (ring.path / "t.1000").read_bytes()
        run(PREPARED + "    found.close(None, 0)\n    report()", ring.path)
        assert (ring.path / "t.1000").read_bytes() == before
