"""What the kernel is asked and told, against what it says in /proc."""

import errno

import pytest

from daemonlogger_py.service import linux

from .child import ROOT, run


def of_proc(field: str) -> str:
    with open("/proc/self/status") as file:
        return next(line.split()[1] for line in file if line.startswith(f"{field}:"))


def test_capabilities_are_those_that_proc_shows() -> None:
    held = linux.capabilities()

    assert held == (
        int(of_proc("CapEff"), 16), int(of_proc("CapPrm"), 16), int(of_proc("CapInh"), 16)
    )  # fmt: skip
    assert linux.bounding() == int(of_proc("CapBnd"), 16)
    assert linux.ambient() == int(of_proc("CapAmb"), 16)
    assert linux.has_no_new_privileges() is (of_proc("NoNewPrivs") == "1")


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("CAP_CHOWN", 0),
        ("CAP_SETUID", 7),
        ("CAP_NET_ADMIN", 12),
        ("CAP_NET_RAW", 13),
        ("CAP_SYS_CHROOT", 18),
        ("CAP_SYS_ADMIN", 21),
        ("CAP_SETFCAP", 31),
        ("CAP_MAC_OVERRIDE", 32),
        ("CAP_CHECKPOINT_RESTORE", 40),
    ],
)
def test_names_of_capabilities_are_in_the_order_of_their_numbers(name: str, number: int) -> None:
    assert linux.CAPABILITIES[number] == name


def test_capabilities_are_set_one_by_one() -> None:
    facts = run("""
        before = linux.capabilities()
        low, high = (1 << 13 | 1 << 39) & before.permitted, 1 << 39 & before.permitted
        linux.set_capabilities(linux.Capabilities(high, low, 0))
        report(low=low, high=high, now=status(), again=outcome(linux.set_capabilities, before))
    """)

    assert int(facts["now"]["CapPrm"], 16) == facts["low"]
    assert int(facts["now"]["CapEff"], 16) == facts["high"]
    assert facts["again"] == ("EPERM" if ROOT else "done")


def test_nobody_has_more_than_is_permitted() -> None:
    facts = run("report(got=outcome(linux.set_capabilities, linux.Capabilities(1, 1, 0)))",
                ordinary=True)  # fmt: skip
    assert facts == {"got": "EPERM"}


def test_bounding_set() -> None:
    facts = run("""
        got = outcome(linux.drop_bounding)
        report(got=got, left=linux.bounding(), now=status())
    """)

    assert facts["got"] == ("done" if ROOT else "EPERM")
    assert (facts["left"] == 0) is ROOT
    assert int(facts["now"]["CapBnd"], 16) == facts["left"]


def test_no_new_privileges() -> None:
    facts = run("""
        linux.no_new_privileges()
        linux.clear_ambient()
        report(now=status(), has=linux.has_no_new_privileges())
    """)

    assert facts["has"] is True
    assert facts["now"]["NoNewPrivs"] == "1"


def test_landlock_tells_its_version_or_why_there_is_none() -> None:
    facts = run("report(said=outcome(linux.landlock_abi), again=outcome(linux.landlock_abi))")

    assert facts["said"] == facts["again"]
    assert facts["said"] in ("done", "ENOSYS", "EOPNOTSUPP", "EPERM")
    if facts["said"] == "done":
        assert linux.landlock_abi() >= 1


def test_landlock_refuses_what_it_does_not_know() -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011 - which one it is, is the test
        linux.landlock_ruleset(1 << 63, 0, 0)

    known = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)
    assert caught.value.errno in known
    assert caught.value.strerror


def test_disks_are_left_to_others_by_this_thread_and_those_it_starts() -> None:
    facts = run("""
        import ctypes
        def io_class():
            numbers = {"x86_64": 252, "aarch64": 31}
            number = numbers.get(os.uname().machine)
            return number and ctypes.CDLL(None).syscall(number, 1, 0) >> 13
        known = io_class() is not None
        linux.leave_disk_to_others()
        classes = [io_class()]
        thread = threading.Thread(target=lambda: classes.append(io_class()))
        thread.start()
        thread.join()
        report(known=known, classes=classes)
    """)

    assert facts["classes"] == ([3, 3] if facts["known"] else [None, None])


def test_an_architecture_that_is_not_known_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux, "_IOPRIO_SET", {})
    with pytest.raises(OSError, match="Function not implemented") as caught:
        linux.leave_disk_to_others()
    assert caught.value.errno == errno.ENOSYS
