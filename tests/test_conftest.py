"""A run after one that died refuses and says so once; a test that leaves something open fails."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")

# Which of these leave something is in their names.
LEAVING = """
import os, subprocess, threading, time
import pytest

class Closed:
    def __init__(self):
        self.fd = opened()
    def __del__(self):
        os.close(self.fd)

def opened():
    return os.open("/dev/null", os.O_RDONLY)

@pytest.fixture(scope="module")
def of_all():
    with subprocess.Popen(["sleep", "60"]) as child:
        yield opened()
        child.kill()

@pytest.fixture
def own():
    return Closed()

def test_descriptor_is_left(of_all):
    opened()

def test_child_is_left():
    subprocess.Popen(["true"]).returncode = 0  # so that nobody waits for it

def test_what_a_wider_scope_keeps(of_all):
    pass

def test_what_a_fixture_of_its_own_keeps(own):
    pass

def test_what_a_cycle_keeps():
    one = Closed()
    one.itself = one

def test_what_a_thread_keeps():
    fd = opened()
    threading.Thread(target=lambda: (time.sleep(0.05), os.close(fd))).start()

def test_what_the_end_closes(left_to_the_process):
    opened()

def test_failing():
    opened()
    assert False
"""


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
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            project,
            "tests",
        ],
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


def test_who_leaves_a_descriptor_or_a_child_fails(project: Path) -> None:
    (project / "tests" / "test_native.py").write_text(LEAVING)
    conftest = project / "tests" / "conftest.py"
    conftest.write_text(conftest.read_text().replace("LEAVING_S = 20.0", "LEAVING_S = 0.2"))

    told = re.sub(r"\d+", "N", run(project).stdout)

    assert re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", told, re.MULTILINE) == [
        "test_failing",
        "test_descriptor_is_left",
        "test_child_is_left",
    ]
    assert re.findall(r"^left by the test: .*", told, re.MULTILINE) == [
        "left by the test: descriptor N: /dev/null",
        "left by the test: child N",
    ]
