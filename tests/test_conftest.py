"""A run after one that died refuses, names the test, and says so once."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of its own with this conftest and one test that signals its own process."""
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "conftest.py").write_text(CONFTEST.read_text())
    (tests / "test_native.py").write_text(
        "import os\n\ndef test_native():\n    os.kill(os.getpid(), int(os.environ['SEND']))\n"
    )
    return tmp_path


def run(project: Path, send: int = 0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", project, "tests"],
        cwd=project,
        env=os.environ | {"SEND": str(int(send))},
        capture_output=True,
        text=True,
        check=False,
    )


def signs(project: Path) -> list[Path]:
    return list((project / ".pytest_cache").iterdir())


def test_a_run_that_ended_leaves_no_sign_and_shows_the_engine(project: Path) -> None:
    ended = run(project)

    assert ended.returncode == pytest.ExitCode.OK, ended.stdout + ended.stderr
    assert signs(project) == []
    assert re.search(r"^engine: .*Python 3\.\d+", ended.stdout, re.MULTILINE)


@pytest.mark.parametrize("fatal", [signal.SIGSEGV, signal.SIGKILL])
def test_the_run_after_a_dead_one_refuses_once_and_names_the_test(
    project: Path, fatal: signal.Signals
) -> None:
    assert run(project, fatal).returncode == -fatal

    refused = run(project)
    assert refused.returncode == pytest.ExitCode.USAGE_ERROR
    assert "died" in refused.stderr
    assert "tests/test_native.py::test_native" in refused.stderr
    assert "passed" not in refused.stdout

    assert run(project).returncode == pytest.ExitCode.OK


def test_a_run_told_to_stop_has_not_died(project: Path) -> None:
    assert run(project, signal.SIGTERM).returncode == pytest.ExitCode.INTERRUPTED
    assert signs(project) == []
    assert run(project).returncode == pytest.ExitCode.OK


def test_a_run_still_going_is_not_taken_for_dead(project: Path) -> None:
    (project / ".pytest_cache").mkdir()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    other = project / ".pytest_cache" / f"running-{python}-{os.getpid()}"
    other.write_text("tests/test_elsewhere.py::test_elsewhere")

    assert run(project).returncode == pytest.ExitCode.OK
    assert signs(project) == [other]
