"""The unit of the indexer: dlctl takes its command line, and only the index can be written."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from daemonlogger_py.savefile.names import INDEX

ROOT = Path(__file__).parent.parent.parent
UNIT = (ROOT / "systemd" / "daemonlogger-index@.service").read_text()
RECORDER = (ROOT / "systemd" / "daemonlogger@.service").read_text()
PREFIX = "daemonlogger.pcap"
EXPOSURE = 0.6  # by systemd 252; other versions weigh otherwise


def setting(name: str, unit: str = UNIT) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit, re.MULTILINE)


def test_dlctl_takes_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from daemonlogger_py.cli import dlctl
    from daemonlogger_py.config.archive import IndexConfig
    from daemonlogger_py.readers.index import indexing

    given: list[IndexConfig] = []
    monkeypatch.setattr(indexing, "run", lambda config: given.append(config) or 0)
    (line,) = setting("ExecStart")
    words = line.replace("%i", "eth0").split()
    assert words[0] == "/usr/bin/dlctl"

    assert dlctl.main(words[1:]) == 0

    assert given[0].follow
    assert given[0].where.rings == ("/var/lib/daemonlogger/eth0",)
    assert given[0].where.prefix == PREFIX


def test_only_the_index_of_the_recorders_ring_can_be_written() -> None:
    (directory,) = setting("StateDirectory", RECORDER)
    index = f"/var/lib/{directory}/{PREFIX}{INDEX}"

    assert setting("ReadWritePaths") == [f"-{index}"]
    assert setting("ExecStartPre")[0].split()[-1] == index
    assert setting("ProtectSystem") == ["strict"]
    assert setting("CapabilityBoundingSet") == [""]


def test_it_is_run_as_who_owns_the_savefiles_at_the_lowest_priority() -> None:
    assert setting("User") == setting("User", RECORDER)
    assert setting("Group") == setting("Group", RECORDER)
    assert f"--reuid={setting('User')[0]} " in setting("ExecStartPre")[0]
    assert setting("Nice") == ["19"]
    assert setting("IOSchedulingClass") == ["idle"]


def systemd_analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    path = shutil.which("systemd-analyze")
    if path is None:
        pytest.skip("systemd-analyze is not installed")
    words = [path, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_systemd_knows_every_setting(tmp_path: Path) -> None:
    # Programs and user are what a package brings.
    text = UNIT.replace("/usr/bin/dlctl", "/bin/true").replace("/usr/bin/setpriv", "/bin/true")
    text = re.sub(r"^(User|Group)=.*$", r"\1=root", text, flags=re.MULTILINE)
    (tmp_path / "daemonlogger-index@.service").write_text(text)

    done = systemd_analyze("verify", "--man=no", tmp_path / "daemonlogger-index@eth0.service")

    assert [line for line in done.stderr.splitlines() if "daemonlogger-index@" in line] == []


def test_little_is_left_exposed(tmp_path: Path) -> None:
    path = tmp_path / "daemonlogger-index@.service"
    path.write_text(UNIT)
    limit = round(EXPOSURE * 10)

    done = systemd_analyze("security", "--offline=true", f"--threshold={limit}", path)

    assert done.returncode == 0, done.stdout[-2000:]
