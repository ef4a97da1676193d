"""Fixtures of the lab: what each test gets made, and what is removed after it."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .commands import TOOLS
from .load import Load, write_load
from .network import Link
from .recorder import Recorder
from .senders import Frames
from .volume import Mounted, Volume

LAB = Path(__file__).parent
MILLION = 1_000_000

Record = Callable[..., Recorder]
MakeVolume = Callable[..., Volume]


@pytest.hookimpl(tryfirst=True)  # before -m looks at the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Say which tests need the machine; leave the lab out when the environment says so."""
    items.sort(key=lambda item: item.path != LAB / "test_package.py")  # begin with the longest
    ours = [item for item in items if LAB in item.path.parents]
    for item in ours:
        if "million" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.alone)
    if os.environ.get("DAEMONLOGGER_LAB") != "0":
        return
    if ours:
        items[:] = [item for item in items if LAB not in item.path.parents]
        config.hook.pytest_deselected(items=ours)
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(f"lab: {len(ours)} tests left out, DAEMONLOGGER_LAB=0 is set")


@pytest.fixture(scope="session", autouse=True)
def laboratory() -> None:
    """Refuse to run half a lab: without root or a tool every test fails and says why."""
    if os.geteuid() != 0:
        pytest.fail("the lab needs root; DAEMONLOGGER_LAB=0 leaves it out", pytrace=False)
    missing = {tool: package for tool, package in TOOLS.items() if shutil.which(tool) is None}
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        pytest.fail(
            f"the lab lacks {', '.join(missing)}: apt-get install {packages}", pytrace=False
        )


@pytest.fixture(scope="session")
def full() -> bool:
    """Say whether the long forms are to be run."""
    return os.environ.get("DAEMONLOGGER_LAB_FULL") == "1"


@pytest.fixture(scope="session")
def memory(laboratory: None) -> Iterator[Path]:
    """A tmpfs of the lab's own, for loads, images and savefiles: no disk sets the pace."""
    base = Path(tempfile.mkdtemp(prefix="daemonlogger-lab-"))
    base.chmod(0o755)  # for recorders that run as somebody else
    try:
        with Mounted(base / "memory", "tmpfs", options="size=6g,mode=0755") as mounted:
            yield mounted.path
    finally:
        base.rmdir()


@pytest.fixture
def logs(memory: Path) -> Iterator[Path]:
    """An empty directory in memory for one test's savefiles."""
    path = Path(tempfile.mkdtemp(prefix="logs", dir=memory))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def million(memory: Path) -> Load:
    """1,000,000 numbered packets of 60, 590 and 1514 bytes; who asks for it is run alone."""
    return write_load(memory / "million.pcap", MILLION)


@pytest.fixture(scope="session")
def thousands(memory: Path) -> Load:
    """40,000 numbered packets of 60, 590 and 1514 bytes, for the quick tests."""
    return write_load(memory / "thousands.pcap", 40_000)


@pytest.fixture(scope="session")
def wide(memory: Path) -> Load:
    """40,000 numbered packets of 1514 bytes: the most bytes for the least packets."""
    return write_load(memory / "wide.pcap", 40_000, choice=(1514,))


@pytest.fixture
def link() -> Iterator[Link]:
    """Two namespaces and the veth pair between them."""
    with Link() as made:
        yield made


@pytest.fixture
def frames(link: Link) -> Iterator[Frames]:
    """Single frames into the link's sending end."""
    sender = Frames(link.sender.packet_socket())
    yield sender
    sender.close()


@pytest.fixture
def record(link: Link, logs: Path) -> Iterator[Record]:
    """Start ``daemonlogger`` on the receiving end; the test gets it listening.

    Without further words it records the link's receiving end into ``logs``; ``interface`` and
    ``directory`` say otherwise, None leaves the option away; with ``listen=False`` nothing is
    waited for.
    """
    with ExitStack() as started:

        def start(
            *arguments: str | Path,
            interface: str | None = link.receiver.interface,
            directory: Path | None = logs,
            listen: bool = True,
            environment: dict[str, str] | None = None,
        ) -> Recorder:
            source = ["-i", interface] if interface else []
            target = ["-l", str(directory)] if directory else []
            words: tuple[str | Path, ...] = (*source, *target, *arguments)
            recorder = Recorder(link.receiver, *words, cwd=logs, environment=environment)
            started.callback(recorder.clear)
            if listen:
                recorder.listening()
            return recorder

        yield start


@pytest.fixture
def volume(memory: Path) -> Iterator[MakeVolume]:
    """Make ext4 volumes of a given size in bytes; each is thawed and removed at the end."""
    with ExitStack() as made:

        def make(size_bytes: int, *options: str) -> Volume:
            return made.enter_context(Volume(memory, size_bytes, options=options))

        yield make
