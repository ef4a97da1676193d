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
    guard = found._pid

    def cataloger():
        try:
            with open(f"/proc/{guard}/task/{guard}/children") as reading:
                return int(reading.read() or 0)
        except OSError:
            return 0

    def wait(holds):
        end = time.monotonic() + 20
        while not holds() and time.monotonic() < end:
            time.sleep(0.01)

    def of_catalog(question):
        from daemonlogger_py.savefile.catalog import Catalog
        try:
            with Catalog.open(os.path.join(path, "t.catalog")) as catalog:
                return question(catalog)
        except DaemonloggerError:
            return None

    wait(lambda: os.path.exists(os.path.join(path, "t.socket")))
    pid = cataloger()
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
    def links(pid):
        links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        return [os.path.basename(link) for link in links]
    wait(lambda: os.getpriority(os.PRIO_PROCESS, pid) == 19)
    report(
        links=[links(guard), links(pid)],
        own=f"socket:[{os.fstat(recorders_own.fileno()).st_ino}]",
        nice=[os.getpriority(os.PRIO_PROCESS, one) for one in (guard, pid)],
        cwd=[os.readlink(f"/proc/{one}/cwd") for one in (guard, pid)],
        threads=len(os.listdir(f"/proc/{guard}/task")),
    )
    found.close(None, 0)
    """,
        folder,
    )

    # The one that guards the other is there at once when that is killed.
    assert facts["nice"] == [0, 19]
    assert facts["cwd"] == [str(folder)] * 2
    assert facts["threads"] == 1
    for links, sockets in zip(facts["links"], (1, 2), strict=True):
        assert "lock" not in links
        assert facts["own"] not in links
        assert links.count("null") == 3  # none of the streams it was started with
        assert len([link for link in links if link.startswith("socket:")]) == sockets


def test_signals_meant_for_the_recorder_do_not_end_it(folder: Path) -> None:
    facts = run(
        PREPARED
        + """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1):
        os.kill(guard, number)
        os.kill(pid, number)
    time.sleep(0.1)
    found.look({"received": 1, "written_bytes": 1}, all_written=True)
    found.hear("finishing", {"signal": "SIGTERM"})
    found.close(None, 0)
    def is_there():
        found._reap(0)
        return any(os.path.exists(f"/proc/{one}") for one in (guard, pid))
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
    wait(lambda: os.waitpid(guard, os.WNOHANG) != (0, 0))
    report(left=sorted(os.listdir(path)))
    """,
        folder,
    )

    assert "t.socket" not in facts["left"]
    with Catalog.open(str(folder / "t.catalog")) as catalog:
        assert [gap.kind for gap in catalog.gaps()] == ["crashed"]


def test_a_killed_one_comes_back_and_nothing_is_missing(folder: Path) -> None:
    facts = run(
        PREPARED
        + """
    wait(lambda: of_catalog(lambda catalog: catalog.runs()))
    found.hear("dropped", {"new": 5})
    wait(lambda: of_catalog(lambda catalog: catalog.gaps()))
    os.kill(pid, signal.SIGKILL)
    found.hear("dropped", {"new": 2})
    wait(lambda: cataloger() not in (0, pid))
    os.kill(guard, signal.SIGSTOP)  # who guards it is not needed for it to work
    wait(lambda: of_catalog(lambda catalog: sum(gap.packets for gap in catalog.gaps())) == 7)
    os.kill(guard, signal.SIGCONT)
    wait(lambda: found._listen() or told)
    found.hear("finishing", {"signal": "SIGTERM"})
    found.close(None, 0)
    report(told=told, left=sorted(os.listdir(path)), is_there=os.path.exists(f"/proc/{guard}"))
    """,
        folder,
    )
    assert facts["told"] == ["[!] The catalog's process ended, by SIGKILL: it is started anew"]
    assert not facts["is_there"]
    assert "t.catalog-end" not in facts["left"]
    with Catalog.open(str(folder / "t.catalog")) as catalog:
        assert list(catalog.check()) == []
        assert [run.why for run in catalog.runs()] == ["SIGTERM"]
        gaps = [(gap.kind, gap.packets) for gap in catalog.gaps()]
    assert sum(packets for kind, packets in gaps if kind == "dropped" and packets) == 7
    assert {kind for kind, _ in gaps} == {"dropped", "stopped"}


def test_in_a_chroot_nothing_more_is_imported(folder: Path) -> None:
    facts = run(
        PREPARED.replace(
            "    path = sys.argv[1]\n",
            """
    import importlib
    from daemonlogger_py.record.surroundings import CATALOG_MODULES, LATE_MODULES
    for name in (*LATE_MODULES, *CATALOG_MODULES):
        importlib.import_module(name)
    class Nothing:
        def find_spec(self, name, *_):
            raise ImportError(f"{name} is out of reach")
    sys.meta_path.insert(0, Nothing())
    path = sys.argv[1]
""",
            1,
        )
        + """
    from daemonlogger_py.record.openfile import Sealed
    def seals(name):
        found.hear("savefile", {"path": name})
        with open(os.path.join(path, name), "wb") as file:
            file.write(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"))
        found.sealed(Sealed(name, "size", 0, 24, 0, 0, 0, 0))
    found.recovery_done()
    seals("t.1000")
    wait(lambda: of_catalog(lambda catalog: [row for row in catalog.entries() if row.sha256]))
    os.kill(pid, signal.SIGKILL)
    seals("t.1001")
    wait(lambda: cataloger() not in (0, pid))
    found.close(None, 0)
    report(told=told)
    """,
        folder,
    )
    assert facts["told"] == ["[!] The catalog's process ended, by SIGKILL: it is started anew"]
    with Catalog.open(str(folder / "t.catalog")) as catalog:
        assert [(row.state, row.packets) for row in catalog.entries()] == [("sealed", 0)] * 2


def test_killed_with_its_recorder_gone_it_still_writes_the_end(folder: Path) -> None:
    facts = run(
        PREPARED
        + """
    wait(lambda: of_catalog(lambda catalog: catalog.runs()))
    os.kill(pid, signal.SIGKILL)
    found._link.close()
    wait(lambda: os.waitpid(guard, os.WNOHANG) != (0, 0))
    report(left=sorted(os.listdir(path)))
    """,
        folder,
    )
    assert "t.socket" not in facts["left"]
    with Catalog.open(str(folder / "t.catalog")) as catalog:
        assert [run.why for run in catalog.runs()] == ["crashed"]


def test_a_recorder_that_ends_after_both_were_killed_has_not_crashed(folder: Path) -> None:
    killed = run(
        PREPARED
        + """
    wait(lambda: of_catalog(lambda catalog: catalog.runs()))
    os.kill(guard, signal.SIGKILL)
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


def test_nothing_but_lines_when_it_fails_for_good(folder: Path) -> None:
    facts = run(
        PREPARED.replace(
            "recorders_own",
            "import daemonlogger_py.record.cataloger as failing\n"
            "    def fail(*_):\n"
            "        raise ZeroDivisionError('scripted')\n"
            "    failing.Cataloger.run = fail\n"
            "    import daemonlogger_py.record.catalog_guard as guarding\n"
            "    guarding.PAUSE_S = 0.001\n"
            "    recorders_own",
            1,
        ).replace('    wait(lambda: os.path.exists(os.path.join(path, "t.socket")))\n', "")
        + """
    def over():
        found.look({}, all_written=True)
        return found._reaped
    wait(over)
    report(told=[*dict.fromkeys(told)], pins_known=found.pins_known)
    """,
        folder,
    )

    texts = [
        "[!] The catalog's process failed: ZeroDivisionError: scripted",
        "[!] The catalog's process ended, by an error: it is started anew",
        "[!] The catalog is not kept any more: its process ended 5 times within 60 s, by an error",
    ]
    assert facts == {"told": texts, "pins_known": True}


def test_a_directory_is_left_as_it_was_found(folder: Path) -> None:
    with RingDirectory(folder) as ring:
        ring.leave(1000)
        before = (ring.path / "t.1000").read_bytes()
        run(PREPARED + "    found.close(None, 0)\n    report()", ring.path)
        assert (ring.path / "t.1000").read_bytes() == before
