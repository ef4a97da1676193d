"""What is given up does not come back; whom to run as is in test_privileges_identity.

Run as root, each of these is tried as root and as an ordinary user; run as an ordinary user, it is
seen that what is not permitted is said, and that there is nothing left to give up.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from daemonlogger_py.errors import DaemonloggerError, PrivilegeError, UsageError
from daemonlogger_py.service import privileges
from daemonlogger_py.service.privileges import identity, missing_capabilities

from .child import ROOT, run

NOBODY = 65534
NOT_PERMITTED = "Operation not permitted (CAP_SETGID and CAP_SETUID missing)"
NO_CAPABILITIES = {f"Cap{which}": "0" * 16 for which in ("Inh", "Prm", "Eff", "Amb")}


# Acting as somebody else


def test_acting_as_a_guest_and_back(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    facts = run(
        """
        before = status()
        try:
            with privileges.acting_as(Identity(4321, 4322, (), "guest")):
                within = status()
                listed = outcome(os.listdir, sys.argv[1])
                raise KeyError
        except KeyError:
            said = ""
        except DaemonloggerError as error:
            within, listed, said = {}, "", str(error)
        report(before=before, within=within, listed=listed, said=said, after=status(),
               again=outcome(os.listdir, sys.argv[1]))
        """,
        tmp_path,
    )

    assert facts["after"] == facts["before"]
    assert facts["again"] == "done"
    if ROOT:
        assert facts["within"]["Uid"] == "0\t4321\t0\t4321"
        assert facts["within"]["Gid"] == "0\t4322\t0\t4322"
        assert facts["within"]["Groups"] == ""
        assert facts["within"]["CapEff"] == "0" * 16
        assert facts["listed"] == "EACCES"
    else:
        assert facts["said"] == "cannot run as guest (uid 4321, gid 4322): " + NOT_PERMITTED


@pytest.mark.parametrize("chroot", [None, "/"])
def test_acting_as_oneself(tmp_path: Path, chroot: str | None) -> None:
    """Root in a chroot will have no capabilities, so that others' directories are closed to it."""
    closed = tmp_path / "closed"
    closed.mkdir()
    if ROOT:
        os.chown(closed, NOBODY, NOBODY)
    closed.chmod(0o700 if ROOT else 0)
    facts = run(
        f"""
        before = status()
        with privileges.acting_as(None, {chroot!r}):
            within, listed = status(), outcome(os.listdir, sys.argv[1])
        report(before=before, within=within, listed=listed, after=status())
        """,
        closed,
    )

    assert facts["after"] == facts["before"]
    stays_root = ROOT and chroot is None
    assert facts["listed"] == ("done" if stays_root else "EACCES")
    if not stays_root:
        assert facts["within"] == facts["before"] | {"CapEff": "0" * 16}


# Giving up


def test_nobody_in_a_chroot_has_nothing_and_gets_nothing_back(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    logs = tmp_path / "logs"
    logs.mkdir()
    if ROOT:
        os.chown(logs, NOBODY, NOBODY)
    facts = run(
        """
        proc = os.open("/proc/self/status", os.O_RDONLY)
        logs = os.open(sys.argv[1] + "/logs", os.O_RDONLY)
        said = outcome(privileges.drop, Identity(65534, 65534, (), "nobody"), sys.argv[1])
        lines = dict(line.split(":\\t", 1) for line in os.pread(proc, 9999, 0).decode().splitlines()
                     if ":\\t" in line)
        report(said=said, lines=lines, top=os.listdir("/"), cwd=os.getcwd(), back={
            "setuid": outcome(os.setuid, 0), "seteuid": outcome(os.seteuid, 0),
            "setresuid": outcome(os.setresuid, 0, 0, 0), "setgid": outcome(os.setgid, 0),
            "setresgid": outcome(os.setresgid, 0, 0, 0), "setgroups": outcome(os.setgroups, [0]),
            "chroot": outcome(os.chroot, "."), "raw": outcome(
                socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0),
            "capset": outcome(linux.set_capabilities, linux.Capabilities(1 << 7, 1 << 7, 0)),
        }, out=outcome(os.chdir, "/../../proc"), made=outcome(to_write, "/logs/x"))
        """,
        tmp_path,
    )

    if not ROOT:
        # The chroot comes first, as that is what needs to be done as root.
        assert facts["said"] == (
            f"-T/--chroot '{tmp_path}': Operation not permitted (CAP_SYS_CHROOT missing)"
        )
        return
    assert facts["said"] == "done"
    lines = {key: value.strip() for key, value in facts["lines"].items()}
    assert lines["Uid"] == lines["Gid"] == "65534\t65534\t65534\t65534"
    assert lines["Groups"] == ""
    assert lines["NoNewPrivs"] == "1"
    assert {key: lines[key] for key in NO_CAPABILITIES} == NO_CAPABILITIES
    assert lines["CapBnd"] == "0" * 16
    assert {*facts["back"].values()} == {"EPERM"}
    assert (facts["top"], facts["cwd"], facts["out"]) == (["logs"], "/", "ENOENT")
    assert facts["made"] == "done"
    assert (logs / "x").stat().st_uid == NOBODY


def test_supplementary_groups_are_those_of_the_identity() -> None:
    facts = run("""
        said = outcome(privileges.drop, Identity(65534, 65533, (65532, 65531), "me"), None)
        report(said=said, now=status())
    """)

    if ROOT:
        assert facts["now"]["Groups"].split() == ["65531", "65532"]
        assert facts["now"]["Gid"].split() == ["65533"] * 4
    else:
        assert facts["said"] == "cannot run as me (uid 65534, gid 65533): " + NOT_PERMITTED


def test_ordinary_user_may_ask_for_itself() -> None:
    facts = run(
        """
        me = Identity(os.getuid(), os.getgid(), tuple(os.getgroups()), "me")
        report(dropped=privileges.drop(me, None), now=status())
        """,
        ordinary=True,
    )

    assert facts["dropped"] is True
    assert facts["now"] == facts["now"] | NO_CAPABILITIES | {"NoNewPrivs": "1"}


def test_capabilities_of_an_ordinary_user_are_given_up() -> None:
    """As with file or ambient capabilities: no id changes, and all the same nothing is left."""
    facts = run("""
        all_of_them = linux.capabilities().permitted
        if os.geteuid() == 0:
            linux._prctl(8, 1)  # PR_SET_KEEPCAPS
            os.setresuid(65534, 65534, 65534)
            linux.set_capabilities(linux.Capabilities(all_of_them, all_of_them, all_of_them))
            linux._prctl(47, 2, 13)  # PR_CAP_AMBIENT_RAISE, CAP_NET_RAW
        before = status()
        report(before=before, dropped=privileges.drop(None, None), now=status(),
               missing=privileges.missing_capabilities("CAP_NET_RAW", "CAP_SETUID"))
    """)

    if ROOT:
        assert int(facts["before"]["CapAmb"], 16) == 1 << 13
        assert int(facts["before"]["CapEff"], 16) & 1 << 7
    assert facts["dropped"] is True
    assert facts["now"] == facts["now"] | NO_CAPABILITIES | {"NoNewPrivs": "1"}
    assert facts["missing"] == ["CAP_NET_RAW", "CAP_SETUID"]


def test_effective_ids_are_made_the_only_ones() -> None:
    """Started as root and acting as another user is not having given anything up."""
    facts = run("""
        if os.geteuid() == 0:
            os.setegid(65534)
            os.seteuid(65534)
        report(dropped=privileges.drop(None, None), now=status())
    """)

    ids = ["65534"] * 4 if ROOT else [str(os.getuid())] * 4
    assert facts["dropped"] is True
    assert facts["now"]["Uid"].split() == ids


@pytest.mark.parametrize("who", ["None", "Identity(0, 4321, (), 'root')"])
def test_root_that_stays_root(who: str) -> None:
    facts = run(f"""
        before = status()
        report(before=before, said=outcome(privileges.drop, {who}, None), now=status(),
               stays=privileges.stays_root({who}, None))
    """)

    assert facts["stays"] is ROOT
    if ROOT:  # the group is changed, and nothing is claimed
        gid = "0" if who == "None" else "4321"
        groups = facts["before"]["Groups"] if who == "None" else ""
        changed = {"Gid": "\t".join([gid] * 4), "Groups": groups}
        assert facts["now"] == facts["before"] | changed
        assert facts["now"]["NoNewPrivs"] == "0"
    elif who == "None":
        assert facts["now"] == facts["now"] | NO_CAPABILITIES | {"NoNewPrivs": "1"}
    else:
        assert "cannot run as root (uid 0, gid 4321)" in facts["said"]


@pytest.mark.parametrize("user", ["root", "0"])
def test_asking_for_root_is_no_way_to_drop_anything(user: str) -> None:
    assert privileges.stays_root(identity(user, None), None) is ROOT
    assert not privileges.stays_root(identity(user, None), "/")


def test_root_in_a_chroot_cannot_leave_it(tmp_path: Path) -> None:
    facts = run(
        """
        said = outcome(privileges.drop, None, sys.argv[1])
        report(said=said, held=linux.capabilities(), chroot=outcome(os.chroot, "."),
               new=linux.has_no_new_privileges(), bounding=linux.bounding())
        """,
        tmp_path,
    )

    if ROOT:
        assert facts["said"] == "done"
        assert (facts["held"], facts["bounding"], facts["new"]) == ([0, 0, 0], 0, True)
    else:
        assert "(CAP_SYS_CHROOT missing)" in facts["said"]
    assert facts["chroot"] == "EPERM"


@pytest.mark.parametrize(
    ("name", "words"), [("gone", "No such file or directory"), ("file", "Not a directory")]
)
def test_chroot_that_is_none(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / name
    facts = run("report(said=outcome(privileges.drop, None, sys.argv[1]))", path)

    assert facts["said"] == f"-T/--chroot '{path}': {words}"


def test_threads_would_keep_what_one_gives_up() -> None:
    facts = run("""
        stop = threading.Event()
        thread = threading.Thread(target=stop.wait)
        thread.start()
        before = status()
        said = outcome(privileges.drop, Identity(65534, 65534, (), "nobody"), None)
        stop.set()
        thread.join()
        while len(os.listdir("/proc/self/task")) > 1:  # the kernel's side of it ends a little later
            time.sleep(0.001)
        report(before=before, said=said, now=status(), then=outcome(
            privileges.drop, Identity(os.getuid(), os.getgid(), tuple(os.getgroups()), ""), "/"))
    """)

    assert facts["said"] == "privileges are given up by one thread only, and 2 run"
    assert facts["now"] == facts["before"]
    assert "thread" not in facts["then"]


def test_threads_are_counted_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_proc(path: str) -> list[str]:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "listdir", no_proc)
    monkeypatch.setattr("threading.active_count", lambda: 1)
    privileges.require_one_thread()
    monkeypatch.setattr("threading.active_count", lambda: 3)
    with pytest.raises(PrivilegeError, match="and 3 run"):
        privileges.require_one_thread()


# What is broken, and what the proof says of it: to root, to an ordinary user.
STILL = "privileges were not given up: {} is still permitted".format
NOT_SET = "privileges were not given up: {} are not as they were set".format
SABOTAGE = {
    "os.setresuid = lambda *ids: None": (NOT_SET("user ids"), STILL("changing to user 0")),
    "os.setresuid = lambda real, effective, saved: os.seteuid(effective)":
        (NOT_SET("user ids"), "done"),
    "os.setresgid = lambda *ids: None": (NOT_SET("group ids"), STILL("changing to group 0")),
    "os.setgroups = lambda groups: None":
        (NOT_SET("supplementary groups"), STILL("changing groups")),
    "os.chroot = lambda path: None":
        ("-T/--chroot '{top}': the root directory is still another one",
         STILL("changing the root directory")),
    "linux.capabilities = lambda: linux.Capabilities(0, 8, 0)": (NOT_SET("capabilities"),) * 2,
    "linux.set_capabilities = lambda wanted: None": (STILL("taking CAP_SETUID"),) * 2,
    "linux.ambient = lambda: 8": (NOT_SET("ambient capabilities"),) * 2,
    "linux.no_new_privileges = lambda: None": (NOT_SET("no-new-privileges"),) * 2,
}  # fmt: skip


@pytest.mark.parametrize("broken", SABOTAGE)
def test_proof_sees_what_was_not_given_up(tmp_path: Path, broken: str) -> None:
    to_root, to_others = SABOTAGE[broken]
    facts = run(
        f"""
        who = Identity(os.getuid(), os.getgid(), tuple(os.getgroups()), "me"), None
        if os.geteuid() == 0:
            os.setgroups([7])
            who = Identity(65534, 65534, (), "nobody"), sys.argv[1]
        {broken}
        report(said=outcome(privileges.drop, *who))
        """,
        tmp_path,
    )

    assert facts["said"] == (to_root.format(top=tmp_path) if ROOT else to_others)


@pytest.mark.parametrize(
    ("way", "name"),
    [
        ("os.setresuid", "changing to user 0"),
        ("os.setresgid", "changing to group 0"),
        ("os.setgroups", "changing groups"),
        ("os.chroot", "changing the root directory"),
        ("linux.set_capabilities", "taking CAP_SETUID"),
    ],
)
def test_each_way_back_is_tried(way: str, name: str) -> None:
    """A call that pretends to succeed once all is done stands for a kernel that would let us."""
    facts = run(
        f"""
        prove = privileges._prove
        def pretend(*arguments):
            {way} = lambda *_: None
            prove(*arguments)
        privileges._prove = pretend
        report(said=outcome(privileges.drop, None, None))
        """,
        ordinary=True,
    )

    assert facts["said"] == f"privileges were not given up: {name} is still permitted"


# Capabilities


def test_missing_capabilities() -> None:
    with open("/proc/self/status") as file:
        held = int(next(line for line in file if line.startswith("CapEff:")).split()[1], 16)
    wanted = {"CAP_NET_RAW": 13, "CAP_NET_ADMIN": 12, "CAP_SYS_CHROOT": 18}

    expected = [name for name, number in wanted.items() if not held >> number & 1]
    assert missing_capabilities(*wanted) == expected
    assert missing_capabilities() == []


def test_errors_end_the_command_as_a_bad_command_line_does() -> None:
    assert issubclass(PrivilegeError, DaemonloggerError)
    assert PrivilegeError.exit_status == UsageError.exit_status == 2


def test_report_is_of_the_child(tmp_path: Path) -> None:
    """What a child gave up, this process still has: else no later test would mean anything."""
    before: Any = os.getresuid(), os.getgroups(), missing_capabilities("CAP_SETUID")
    run("privileges.drop(None, sys.argv[1]) if os.geteuid() == 0 else None; report()", tmp_path)
    assert (os.getresuid(), os.getgroups(), missing_capabilities("CAP_SETUID")) == before
