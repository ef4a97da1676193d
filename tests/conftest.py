"""What every test run shows and guards, whatever it tests.

Shows which native build, libpcap and Python it runs on. Notices that an earlier run died instead
of ending, as native code may make it, and does not pass that over. Fails a test that leaves file
descriptors open or children running: the one that finds none left is seldom the one that took
them. Marks everything in ``tests/lab`` as ``lab``. Other fixtures are not here: they belong to the
tests of a subject.
"""

import gc
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent
ROOT = TESTS.parent
# How long what a test has told to end may take for it.
LEAVING_S = 20.0

# No deadline and no complaint about slowness in either profile: a test that depends on how busy
# the machine is says nothing about the code. CI always tries the same examples, so that it fails
# for a change and not by chance; a developer's runs look at new ones each time.
UNTIMED = [HealthCheck.too_slow]
settings.register_profile(
    "ci",
    max_examples=100,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=UNTIMED,
)
# On a further Python: what differs there is the binding, which fewer examples reach as well.
settings.register_profile("ci-brief", settings.get_profile("ci"), max_examples=40)
settings.register_profile("dev", max_examples=50, deadline=None, suppress_health_check=UNTIMED)
BRIEF = "-brief" if os.environ.get("DAEMONLOGGER_BRIEF") else ""
settings.load_profile(f"ci{BRIEF}" if os.environ.get("CI") else "dev")


class LifeSign:
    """A file that is there while a run lasts and names the test that is running.

    One for each process, so that runs side by side do not take each other for dead, and by
    Python, as each has a native build of its own.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.name = f"running-{sys.version_info.major}.{sys.version_info.minor}-"
        self.path = directory / f"{self.name}{os.getpid()}"

    def write(self, test: str) -> None:
        """Say what is running now."""
        self.directory.mkdir(exist_ok=True)
        self.path.write_text(test)

    def remove(self) -> None:
        """Say that the run has ended, however it went."""
        self.path.unlink(missing_ok=True)

    def take_dead(self) -> list[str]:
        """Tell what dead runs were at, and forget them: this is said once."""
        tests = []
        for path in sorted(self.directory.glob(f"{self.name}*")):
            if not _alive(int(path.name.removeprefix(self.name))):
                tests.append(path.read_text())
                path.unlink()
        return tests


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


# Beside pytest's own cache, but without its plugin: the lab runs as root and leaves that out.
life_sign = LifeSign(ROOT / ".pytest_cache")


def pytest_sessionstart() -> None:
    """Refuse to go on when an earlier run died: what it would have found is not known."""
    # Told to stop, a run ends as by Ctrl-C. Whoever leaves a life sign behind has died.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if dead := life_sign.take_dead():
        raise pytest.UsageError(
            f"an earlier run died (segmentation fault, or killed) at {', '.join(dead)}: "
            "it has failed, whatever comes now. This is said once; run again to go on."
        )
    life_sign.write("its start")


def pytest_runtest_logstart(nodeid: str) -> None:
    """Name the test that runs, should it be the last."""
    life_sign.write(nodeid)


def pytest_unconfigure() -> None:
    """Take the life sign back."""
    life_sign.remove()


def _descriptors() -> dict[int, str]:
    """What is open, by number, without what is closed meanwhile, as that of the list itself is."""
    found = {}
    for fd in map(int, os.listdir("/proc/self/fd")):
        with suppress(FileNotFoundError):
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
    return found


def _children() -> set[int]:
    """All children, also those that have ended and were not waited for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return set()  # nearly always, and told without a look at every process of the machine
    return {child.pid for child in psutil.Process().children()}


def _left(descriptors: dict[int, str], children: set[int]) -> list[str]:
    """What is there and was not: nothing unless there are more descriptors than there were."""
    left = [f"child {pid}" for pid in sorted(_children() - children)]
    if len(found := _descriptors()) > len(descriptors):
        left += [
            f"descriptor {fd}: {name}"
            for fd, name in sorted(found.items())
            if descriptors.get(fd) != name
        ]
    return left


# Fixtures of a wider scope are set up before it and may keep what they like; those of the test
# itself are set up after it, and have ended when it goes on.
@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that does not close what it opens, or does not wait for what it starts."""
    failed, descriptors, children = request.session.testsfailed, _descriptors(), _children()
    yield
    # One that failed is not told more: its traceback holds what it had.
    if request.session.testsfailed > failed or not _left(descriptors, children):
        return
    # Nobody needs them any more, but pytest lets go of them later.
    (request.node.funcargs or {}).clear()
    if _left(descriptors, children):
        gc.collect()
    # a thread that was told to end may be about to
    enough = time.monotonic() + LEAVING_S
    while (left := _left(descriptors, children)) and time.monotonic() < enough:
        time.sleep(0.01)
    if left:
        pytest.fail(f"left by the test: {', '.join(left)}", pytrace=False)


@pytest.fixture
def left_to_the_process(request: pytest.FixtureRequest) -> Iterator[None]:
    """Close what a test leaves open where the process of a user would end, and close it."""
    before = _descriptors()
    yield
    request.node.funcargs.clear()
    gc.collect()
    for fd in _descriptors().keys() - before.keys():
        os.close(fd)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the lab by where it is, so that no test of it can miss the mark."""
    for item in items:
        if TESTS / "lab" in item.path.parents:
            item.add_marker(pytest.mark.lab)


def pytest_report_header() -> str:
    """Show which native build is tested: never a silent choice."""
    python = f"Python {platform.python_version()}"
    try:
        from daemonlogger_py.engine import bpf
    except ImportError as error:
        return f"engine: NOT BUILT ({error}), {python}"
    build = Path(bpf.__file__)
    age = ", NOT OF THIS SOURCE" if _stale(build.parent) else ""
    return f"engine: {build}{age}, {bpf.libpcap_version()}, {python}"


def _stale(engine: Path) -> bool:
    """Whether the tree's native source is not what the engine there was built from."""
    tree = ROOT / "daemonlogger_py" / "engine"
    if engine != tree:  # installed, with a copy of the source it was built from
        return any(
            source.read_bytes() != (engine / source.name).read_bytes()
            for source in tree.glob("*.pyx")
        )
    return any(
        source.stat().st_mtime > built.stat().st_mtime
        for source in tree.glob("*.pyx")
        for built in tree.glob(f"{source.stem}.*.so")
    )
