"""The sandbox on older and newer kernels, on such as have none, and where it fails."""

import errno
import os
from pathlib import Path

import pytest

from daemonlogger_py.errors import PrivilegeError
from daemonlogger_py.service import linux, sandbox
from daemonlogger_py.service.sandbox import NEWEST_ABI, Applied, Rules, restrict

from .sandboxed import KERNEL_ABI, make_directories, try_out


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return make_directories(tmp_path)


@pytest.mark.parametrize("newest", range(1, NEWEST_ABI + 1))
def test_each_version_of_landlock(top: Path, newest: int) -> None:
    facts = try_out(
        f"""
        rules = sandbox.Rules(savefiles=(logs, archive))
        applied = sandbox.restrict(rules, newest_abi={newest})
        report(abi=applied.abi, text=str(applied), make=outcome(to_write, top + "/logs/t.1"),
               beside=outcome(to_write, top + "/beside/x"),
               move=outcome(os.rename, top + "/logs/old", top + "/archive/t.1"),
               cut=outcome(os.truncate, top + "/beside/old", 0),
               listen=outcome(socket.create_server, ("127.0.0.1", 0)),
               kill=outcome(os.kill, os.getppid(), 0))
        """,
        top,
    )

    abi = min(newest, KERNEL_ABI)
    assert facts["abi"] == abi
    assert facts["make"] == "done"
    assert facts["beside"] == ("EACCES" if abi else "done")
    assert facts["move"] == ("EXDEV" if abi == 1 else "done")
    assert facts["cut"] == ("EACCES" if abi >= 3 else "done")
    assert facts["listen"] == ("EACCES" if abi >= 4 else "done")
    assert facts["kill"] == ("EPERM" if abi >= 6 else "done")
    words = {3: "truncation", 4: "TCP connections", 5: "device control", 6: "signals"}
    lacking = ", ".join(word for since, word in words.items() if abi < since)
    if abi:
        too_old = f", too old to restrict {lacking}" if lacking else ""
        assert facts["text"] == f"sandbox by Landlock (ABI {abi}){too_old}"
    else:
        assert facts["text"].startswith("no sandbox: ")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSYS, "this kernel was built without Landlock"),
        (errno.EOPNOTSUPP, "Landlock is switched off in this kernel (boot option lsm=)"),
        (errno.EPERM, "Landlock is refused here, as by a container's seccomp filter"),
    ],
)
def test_kernel_without_landlock(monkeypatch: pytest.MonkeyPatch, code: int, reason: str) -> None:
    def absent() -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(linux, "landlock_abi", absent)
    monkeypatch.setattr(sandbox, "require_one_thread", lambda: None)

    applied = restrict(Rules(savefiles=()))
    assert applied == Applied(0, reason)
    assert str(applied) == f"no sandbox: {reason}"


def test_landlock_that_fails_is_not_gone_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(linux, "landlock_abi", fails)
    monkeypatch.setattr(sandbox, "require_one_thread", lambda: None)
    with pytest.raises(PrivilegeError, match="cannot be put into force: Input/output error"):
        restrict(Rules(savefiles=()))


@pytest.mark.parametrize("broken", ["landlock_restrict", "landlock_ruleset"])
def test_sandbox_that_is_not_in_force_is_seen(top: Path, broken: str) -> None:
    facts = try_out(
        f"""
        def broken(*_):
            if "{broken}" == "landlock_ruleset":
                raise OSError(errno.EINVAL, "Invalid argument")
        linux.landlock_abi = lambda: 1
        linux.landlock_ruleset = lambda *_: os.open("/", os.O_RDONLY)
        linux.landlock_allow = lambda *_: None
        linux.{broken} = broken
        report(said=outcome(enter), left=sorted(os.listdir(logs)))
        """,
        top,
    )

    expected = {
        "landlock_restrict": "the sandbox is not in force: a directory could still be made",
        "landlock_ruleset": "the sandbox cannot be put into force: Invalid argument",
    }
    assert facts == {"said": expected[broken], "left": ["link", "old"]}


def test_threads_would_stay_outside(top: Path) -> None:
    facts = try_out(
        """
        stop = threading.Event()
        thread = threading.Thread(target=stop.wait)
        thread.start()
        said = outcome(enter)
        stop.set()
        thread.join()
        report(said=said, beside=outcome(to_write, top + "/beside/x"))
        """,
        top,
    )

    assert facts["said"] == "privileges are given up by one thread only, and 2 run"
    assert facts["beside"] == "done"
