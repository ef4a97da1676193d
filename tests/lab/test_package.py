"""The Debian package, from its one build command to its purge, in a bare Debian.

What the package promises: it installs with what it depends on and nothing else, its service's
command line records, and a purge leaves recorded packets and nothing else.
"""

import gzip
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import daemonlogger_py

from .commands import run
from .conftest import MakeVolume
from .load import Load
from .machine import Machine, UnbootableError
from .network import Link
from .records import assert_run, numbers_of, savefiles, walk_all
from .rootfs import Building, RootFs, bootstrap
from .senders import replay
from .unit import Service, Unit

ROOT = Path(__file__).parent.parent.parent
BUILDERS = {"debootstrap": "debootstrap", "dpkg-shlibdeps": "dpkg-dev", "gcc": "gcc"}

UNIT = "/lib/systemd/system/daemonlogger@.service"
SETTINGS = "/etc/default/daemonlogger"
WANTED = "/etc/systemd/system/multi-user.target.wants"
RECORDINGS = "/var/lib/daemonlogger"
INDEX_SECONDS = 60
# The first test has the building in it.
pytestmark = pytest.mark.timeout(900)


class Built(NamedTuple):
    """A package, and the bare system it is for."""

    package: Path
    system: Path  # never changed; each test has a copy
    workshop: Path  # where it was built


@pytest.fixture(scope="module")
def built(memory: Path) -> Iterator[Built]:
    """The package and a bare Debian, made side by side and in memory; both takes a while."""
    missing = {tool: name for tool, name in BUILDERS.items() if shutil.which(tool) is None}
    if missing:
        pytest.fail(f"the lab lacks: apt-get install {' '.join(missing.values())}", pytrace=False)
    place = Path(tempfile.mkdtemp(prefix="package", dir=memory))
    workshop = place / "workshop"
    workshop.mkdir()
    making = [
        bootstrap(place / "root"),
        # Not optimised: how fast the package runs is nothing that is looked at here.
        Building(
            *(ROOT / "packaging/deb/build", place / "dist"),
            environment={"TMPDIR": str(workshop), "CFLAGS": "-O0", "REUSE_C": "1"},
        ),
    ]
    try:
        said = [building.ended() for building in making]
        package = Path(said[1].splitlines()[-1])
        assert list((place / "dist").iterdir()) == [package], said[1]
        yield Built(package, place / "root", workshop)
    finally:
        for building in making:
            building.end()
        shutil.rmtree(place)


@pytest.fixture
def root(built: Built, memory: Path) -> Iterator[RootFs]:
    """A bare Debian of the test's own."""
    path = memory / "system"
    try:
        run("cp", "--archive", built.system, path)
        yield RootFs(path)
    finally:
        shutil.rmtree(path)


def field(package: Path, name: str) -> str:
    return run("dpkg-deb", "--field", package, name).stdout.strip()


def test_what_is_in_the_package(built: Built, memory: Path) -> None:
    assert field(built.package, "Version") == daemonlogger_py.__version__
    assert field(built.package, "Conflicts") == "daemonlogger"
    assert list(built.workshop.iterdir()) == []  # the build cleans up after itself

    rows = [row.split() for row in run("dpkg-deb", "--contents", built.package).stdout.splitlines()]
    assert {row[1] for row in rows} == {"root/root"}
    assert [row[5] for row in rows if row[0][0] == "-" and row[0][5] == "w"] == []
    names = [row[5] for row in rows if row[0][0] != "d"]
    strange = re.compile(r"/(tests|pip|[Cc]ython)/|\.(pyx|pxd|c|h)$|/(RECORD|direct_url\.json)$")
    assert [name for name in names if strange.search(name)] == []

    unpacked = Path(tempfile.mkdtemp(dir=memory))
    try:
        run("dpkg-deb", "--raw-extract", built.package, unpacked)
        files = [path for path in unpacked.rglob("*") if path.is_file() and not path.is_symlink()]
        # Where it was built is no business of where it runs.
        assert [path for path in files if bytes(built.workshop) in path.read_bytes()] == []
        pages = {path.name for path in (ROOT / "man").iterdir()}
        for path in files:
            if path.parent.parent.name == "man":
                page = path.name.removesuffix(".gz")
                pages.remove(page)
                assert gzip.decompress(path.read_bytes()) == (ROOT / "man" / page).read_bytes()
        assert pages == set()
    finally:
        shutil.rmtree(unpacked)


def install(root: RootFs, package: Path) -> None:
    """Install the package, or upgrade it over itself; whatever it depends on must be there."""
    copy = Path(shutil.copy(package, root.inside("/tmp")))
    try:
        root.run("apt-get", "install", "--yes", "--reinstall", f"/tmp/{copy.name}")
    finally:
        copy.unlink()


def purge(root: RootFs) -> str:
    """Purge the package and return what was said."""
    done = root.run("apt-get", "purge", "--yes", "daemonlogger-py")
    return done.stdout + done.stderr


def test_installs_records_and_purges(
    built: Built, root: RootFs, link: Link, thousands: Load
) -> None:
    package = built.package
    root.run("apt-get", "satisfy", "--yes", "--no-install-recommends", field(package, "Depends"))
    root.inside(WANTED).mkdir(parents=True, exist_ok=True)
    bare = root.listing()
    assert root.ids("daemonlogger") is None

    install(root, package)
    first = root.run("daemonlogger", "-v").stdout.splitlines()[0]
    assert first == f"daemonlogger-py {daemonlogger_py.__version__}"
    root.run("dlctl", "--help")
    owner = root.ids("daemonlogger")
    assert owner is not None
    assert described(root.inside(RECORDINGS)) == ("drwxr-x---", *owner)

    records(root, link, thousands, owner)
    keeps_what_an_administrator_changed(root, package)

    said = purge(root)
    recorded = {path for path in root.listing() if path.startswith(RECORDINGS[1:])}
    assert f"recorded packets are kept in {RECORDINGS}" in said
    assert root.ids("daemonlogger") is None
    kept = root.listing()
    assert {path: what for path, what in kept.items() if path not in recorded} == bare
    # Whoever gets the user's number next does not get these.
    assert {described(root.inside(path))[1:] for path in recorded} == {(0, 0)}
    assert len(walk_all(savefiles(root.inside(f"{RECORDINGS}/{link.receiver.interface}")))) == 1

    shutil.rmtree(root.inside(RECORDINGS))
    install(root, package)
    assert "recorded packets" not in purge(root)
    assert root.listing() == bare


def described(path: Path) -> tuple[str, int, int]:
    status = path.lstat()
    return stat.filemode(status.st_mode), status.st_uid, status.st_gid


def records(root: RootFs, link: Link, load: Load, owner: tuple[int, int]) -> None:
    """Run the installed unit's command line on the link and find every packet in its savefile."""
    interface = link.receiver.interface
    unit = Unit(root.inside(UNIT).read_text(), interface)
    service = Service(root, unit, link.receiver, root.inside("/run/said"))
    try:
        service.ready()
        status = service.status()
        assert status["Uid"].split() == [str(owner[0])] * 4
        assert status["Gid"].split() == [str(owner[1])] * 4
        assert (status["CapEff"], status["NoNewPrivs"]) == ("0" * 16, "1")
        sent = replay(link, load)
        assert service.stop() == 0, service.text
    finally:
        service.close()
        root.inside("/run/said").unlink()
        root.inside("/run/notify").unlink()

    directory = root.inside(f"{RECORDINGS}/{interface}")
    assert described(directory) == ("drwxr-x---", *owner)
    assert {described(path) for path in savefiles(directory)} == {("-rw-r-----", *owner)}
    assert_run(numbers_of(walk_all(savefiles(directory))), 0, sent - 1)


def keeps_what_an_administrator_changed(root: RootFs, package: Path) -> None:
    """Upgrade the package over itself."""
    root.inside(SETTINGS).write_text('OPTIONS="-r -m 3"\n')
    root.inside(f"{SETTINGS}-eth0").write_text('OPTIONS="-r -m 4"\n')
    os.chmod(root.inside(RECORDINGS), 0o700)
    root.inside(f"{WANTED}/daemonlogger@eth0.service").symlink_to(UNIT)

    install(root, package)

    assert root.inside(SETTINGS).read_text() == 'OPTIONS="-r -m 3"\n'
    assert described(root.inside(RECORDINGS))[0] == "drwx------"


def test_runs_under_systemd(
    built: Built, root: RootFs, link: Link, thousands: Load, volume: MakeVolume
) -> None:
    """The units in all their confinement; a watchdog bites when the disk does not answer."""
    root.run("apt-get", "install", "--yes", "--no-install-recommends", "systemd")
    root.run(
        "apt-get", "satisfy", "--yes", "--no-install-recommends", field(built.package, "Depends")
    )
    install(root, built.package)
    service = f"daemonlogger@{link.receiver.interface}.service"
    directory = f"{RECORDINGS}/{link.receiver.interface}"
    shorter = root.inside("/etc/systemd/system/daemonlogger@.service.d/shorter.conf")
    shorter.parent.mkdir()
    shorter.write_text("[Service]\nWatchdogSec=4\n")
    disk = volume(256 << 20)
    root.inside(SETTINGS).write_text('OPTIONS="-F"\n')
    try:
        with Machine(root, link.receiver, {disk.path: directory}) as machine:
            machine.run("systemctl", "start", service)
            machine.waits_for(service, ActiveState="active", NRestarts="0")
            sent = replay(link, thousands)
            machine.run("systemctl", "reload", service)
            with disk.frozen(0):
                sent += replay(link, thousands)
                machine.waits_for(service, Result="watchdog", ActiveState="deactivating")
            machine.waits_for(service, ActiveState="active", NRestarts="1")
            indexes(machine, link.receiver.interface, disk.path)
            machine.run("systemctl", "stop", service)
            said = machine.journal(service)
            machine.waits_for(service, ActiveState="inactive", Result="success")

            services = service, f"daemonlogger-index@{link.receiver.interface}.service"
            machine.run("systemctl", "enable", "--now", *services)
            machine.run("apt-get", "purge", "--yes", "daemonlogger-py")
            for service in services:
                machine.waits_for(service, ActiveState="inactive", LoadState="not-found")
                assert not root.inside(f"{WANTED}/{service}").is_symlink()
            assert root.ids("daemonlogger") is None
    except UnbootableError as error:
        pytest.skip(str(error))
    numbers = numbers_of(walk_all(savefiles(disk.path)))
    assert_run(numbers, 0, sent - 1, period=thousands.count)
    assert "Hangup, rolling over!" in said


def indexes(machine: Machine, interface: str, ring: Path) -> None:
    """Have the unit beside the recorder's index what is sealed, and nothing else written."""
    service = f"daemonlogger-index@{interface}.service"
    before = {path.name for path in ring.iterdir()}
    # Small ones need none.
    sealed = [path for path in savefiles(ring)[:-1] if path.stat().st_size > 1 << 20]
    assert sealed
    machine.run("systemctl", "start", service)
    wanted = {f"{path.name}.npz" for path in sealed}
    index = ring / "daemonlogger.pcap.index"
    end = time.monotonic() + INDEX_SECONDS
    while not (index.is_dir() and wanted <= {path.name for path in index.iterdir()}):
        assert time.monotonic() < end, machine.journal(service)
        time.sleep(0.1)
    machine.waits_for(service, ActiveState="active", NRestarts="0")
    owner = described(ring)[1:]
    assert described(index) == ("drwxr-x---", *owner)
    assert {described(index / name) for name in wanted} == {("-rw-r-----", *owner)}
    assert {path.name for path in ring.iterdir()} == before | {index.name}

    directory = f"{RECORDINGS}/{interface}"
    said = machine.run(
        *("dlctl", "extract", "--ring", directory, "-w", "/dev/null", "--stats", "port 1"),
        check=False,
    )
    indexed = re.search(r"(\d+) savefiles? indexed", said.stderr)
    assert indexed, said
    assert int(indexed[1]) >= len(sealed)
    machine.run("systemctl", "stop", service)
    machine.waits_for(service, ActiveState="inactive", Result="success")
