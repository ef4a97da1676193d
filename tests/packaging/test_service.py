"""The unit and its default file: what they say is what the recorder and the packages take."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from daemonlogger_py.cli.daemonlogger import build_parser, in_getopt_order
from daemonlogger_py.config.recorder import RecorderConfig
from daemonlogger_py.config.resolve import resolve

ROOT = Path(__file__).parent.parent.parent
UNIT = (ROOT / "systemd" / "daemonlogger@.service").read_text()
DEFAULT = (ROOT / "systemd" / "default").read_text()

# What docs/packaging.md says of it, measured with systemd 252; other versions weigh otherwise.
EXPOSURE = 1.7


def setting(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)


def options_of_default() -> str:
    (line,) = [row for row in DEFAULT.splitlines() if row and not row.startswith("#")]
    name, _, value = line.partition("=")
    assert name == "OPTIONS"
    return " ".join(shlex.split(value))


@pytest.fixture
def log_dir(tmp_path: Path) -> Path:
    """What systemd makes before it starts the recorder."""
    return tmp_path


def configuration(options: str, log_dir: Path) -> RecorderConfig:
    (line,) = setting("ExecStart")
    line = line.replace("/var/lib/daemonlogger/%i", str(log_dir)).replace("%I", "eth0")
    words = line.replace("$OPTIONS", options).split()
    assert words[0] == "/usr/bin/daemonlogger"
    flags, filter_words = in_getopt_order(words[1:])
    parsed = vars(build_parser().parse_args(flags))
    return resolve({k: v for k, v in parsed.items() if v is not None}, filter_words, None)


def test_the_recorder_takes_the_command_line(log_dir: Path) -> None:
    config = configuration(options_of_default(), log_dir)

    assert (config.interface, config.log_dir) == ("eth0", str(log_dir))
    assert (config.ring, config.max_percent) == (True, 65)


def test_a_filter_may_follow_the_options(log_dir: Path) -> None:
    (example,) = re.findall(r"OPTIONS=\"(-r --max-age [^\"]*)\"", DEFAULT)

    assert configuration(example, log_dir).filter == "not port 22"


def test_directory_of_the_unit_is_the_command_lines() -> None:
    assert setting("StateDirectory") == ["daemonlogger/%i"]
    assert setting("EnvironmentFile") == [
        "-/etc/default/daemonlogger", "-/etc/default/daemonlogger-%i",
    ]  # fmt: skip


def test_user_and_directory_are_those_the_packages_make() -> None:
    (user,), (group,) = setting("User"), setting("Group")
    deb = (ROOT / "packaging" / "deb" / "postinst").read_text()
    rpm = (ROOT / "packaging" / "daemonlogger-py.spec").read_text()

    assert f"install -d -o {user} -g {group} -m 0750 /var/lib/daemonlogger" in deb
    assert f"%attr(0750,{user},{group}) %dir /var/lib/daemonlogger" in rpm


def systemd_analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    path = shutil.which("systemd-analyze")
    if path is None:
        pytest.skip("systemd-analyze is not installed")
    words = [path, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_systemd_knows_every_setting(tmp_path: Path) -> None:
    # Programs and user are what a package brings.
    text = UNIT.replace("/usr/bin/daemonlogger", "/bin/true")
    text = re.sub(r"^(User|Group)=.*$", r"\1=root", text, flags=re.MULTILINE)
    (tmp_path / "daemonlogger@.service").write_text(text)

    done = systemd_analyze("verify", "--man=no", tmp_path / "daemonlogger@eth0.service")

    assert [line for line in done.stderr.splitlines() if "daemonlogger@" in line] == []


def test_little_is_left_exposed(tmp_path: Path) -> None:
    path = tmp_path / "daemonlogger@.service"
    path.write_text(UNIT)
    limit = round(EXPOSURE * 10)

    done = systemd_analyze("security", "--offline=true", f"--threshold={limit}", path)

    assert done.returncode == 0, done.stdout[-2000:]
