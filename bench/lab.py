"""The lab: two network namespaces joined by a veth pair, ext4 volumes in loop images, a sender.

Everything is made by a context manager and removed by it, also on Ctrl-C; what a killed run left
behind is removed by the next one (sweep_leftovers). Needs root. IPv6 is off in both namespaces and
no address is set, so no packet but the sender's is seen and counts are exact.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.count import packets_in
from bench.measure import Ballast, Child, Cost, ToolError, check, started

POKE_ETHERTYPE = 0x88B5
"""IEEE's ethertype for local experiments: no load has it."""

_PREFIX = "dlbench"
_OF_CATALOG = re.compile(r"\.catalog(-\w+)?$")
_LISTEN_LIMIT_S = 15.0
_SETTLE_LIMIT_S = 30.0
_STOP_LIMIT_S = 30.0
_TRANSFER_LIMIT_S = 120.0
_QUIET_S = 1.2
"""tcpdump lets the kernel hold a part-filled block for one second."""
_START_PAUSE_S = 0.3
_LEAD_BYTES = 384 << 20


@dataclass(frozen=True, slots=True)
class Sending:
    """What the sender does: a savefile, how often, at which rate (None: as fast as possible)."""

    file: Path
    packets: int
    loops: int = 1
    rate: int | None = None
    undisturbed: bool = False
    """Ahead of all else on this machine: what is on it does not slow down who sends to it."""

    @property
    def limit_s(self) -> float:
        """Return how long it may take at most, loading included."""
        total = self.packets * self.loops
        return 60 + total / (self.rate or 100_000) * 2


@dataclass(frozen=True, slots=True)
class Driven:
    """What came of a recorder that was only watched: what it cost, took to begin, and said."""

    cost: Cost
    began_s: float
    said: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of one live run: packets that reached the interface, packets in the files."""

    cost: Cost
    delivered: int
    kept: int
    sent: int
    sent_per_s: float

    @property
    def lost(self) -> int:
        """Return the packets that reached the interface and are in no file."""
        return self.delivered - self.kept


def processors() -> tuple[int, int]:
    """Return the processors of sender and recorder; the same one where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[1 % len(allowed)]


class Lab:
    """A pair of namespaces: `va` sends, the recorder listens on `vb`."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._sender = f"{_PREFIX}-{os.getpid()}-a"
        self._recorder = f"{_PREFIX}-{os.getpid()}-b"
        self.interface = "vb"
        self.sender_cpu, self.recorder_cpu = processors()

    @contextlib.contextmanager
    def up(self) -> Iterator[Lab]:
        """Make the namespaces; remove them at the end of the block."""
        try:
            for space in (self._sender, self._recorder):
                check(["ip", "netns", "add", space])
                for which in ("all", "default"):
                    self._inside(space, "sysctl", "-qw", f"net.ipv6.conf.{which}.disable_ipv6=1")
                check(["ip", "-n", space, "link", "set", "lo", "up"])
            pair = ["va", "type", "veth", "peer", "name", "vb", "netns", self._recorder]
            check(["ip", "-n", self._sender, "link", "add", *pair])
            check(["ip", "-n", self._sender, "link", "set", "va", "up"])
            check(["ip", "-n", self._recorder, "link", "set", "vb", "up"])
            yield self
        finally:
            for space in (self._sender, self._recorder):
                subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)

    def record(
        self,
        argv: Sequence[str],
        out: Path,
        sending: Sending,
        *,
        one_core: bool = False,
        needs_poke: bool = False,
        during: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
        ballast_bytes: int = 0,
        tapped: bool = False,
    ) -> Recorded:
        """Start a recorder, send, let it settle, stop it by SIGINT, and count its files.

        during() is entered just before the sender starts and left when it has ended. With tapped,
        what is kept is what arrived behind the tap. Raises ToolError when the recorder or the
        sender fails or does not end in time.
        """
        before = self._received()
        before_behind = self._received_behind() if tapped else 0
        cpu = self.sender_cpu if one_core else self.recorder_cpu
        ballast = Ballast(ballast_bytes)
        with started(self._command(self._recorder, cpu, argv), self._work / "recorder") as child:
            self._wait_listening(child)
            with ballast.ahead_of(lambda: _bytes_in(out), _LEAD_BYTES), during():
                sent, per_s = self._send(sending)
            settle(child)
            delivered = self._received() - before
            child.signal(signal.SIGINT)
            if needs_poke:
                self._poke()
            cost = child.wait(_STOP_LIMIT_S, may_fail=True)
            pokes = re.search(r"^pokes (\d+)$", child.printed(), re.MULTILINE)
        files = [
            path
            for path in sorted(out.iterdir())
            if path.is_file() and not _OF_CATALOG.search(path.name)
        ]
        if tapped:
            kept = self._received_behind() - before_behind
        else:
            kept = packets_in(files) - (int(pokes[1]) if pokes else 0)
        return Recorded(cost, delivered, kept, sent, per_s)

    def drive(self, argv: Sequence[str], ready: str, sending: Sending | None = None) -> Driven:
        """Start a recorder, send if told to, stop it by SIGINT; its files are not counted.

        `ready` is what it says once it records. Raises ToolError.
        """
        command = self._command(self._recorder, self.recorder_cpu, argv)
        began = time.monotonic()
        with started(command, self._work / "recorder") as child:
            while ready not in child.printed():
                if time.monotonic() - began > _LISTEN_LIMIT_S or _ticks(child.pid) is None:
                    raise ToolError(f"does not say {ready!r}: {child.messages()}")
                time.sleep(0.001)
            began_s = time.monotonic() - began
            if sending is not None:
                self._send(sending)
            settle(child)
            child.signal(signal.SIGINT)
            cost = child.wait(_STOP_LIMIT_S)
            return Driven(cost, began_s, child.printed())

    def transfer(self, argv: Sequence[str], amount_bytes: int, rate: str, judge: Path) -> None:
        """Have iperf3 send to the recorder's side while it taps; see `tap`.

        `judge` gets the headers of the TCP packets that arrived behind the tap. `rate` is
        iperf3's -b. Raises ToolError.
        """
        for space, device, address in (
            (self._sender, "va", "198.18.0.1/24"),
            (self._recorder, self.interface, "198.18.0.2/24"),
        ):
            check(["ip", "-n", space, "address", "replace", address, "dev", device])
        look = ["tcpdump", "-Z", "root", "-i", "tb", "-B", "262144", "-s", "128", "-w", str(judge)]
        serve = ["iperf3", "-s", "-1", "-B", "198.18.0.2"]
        send = ["iperf3", "-c", "198.18.0.2", "-n", str(amount_bytes), "-b", rate]
        logs = [self._work / name for name in ("witness", "recorder", "server", "client")]
        with contextlib.ExitStack() as stack:

            def start(space: str, cpu: int, command: Sequence[str]) -> Child:
                log = logs.pop(0)
                return stack.enter_context(started(self._command(space, cpu, command), log))

            witness = start(self._sender, self.sender_cpu, [*look, "tcp"])
            tool = start(self._recorder, self.recorder_cpu, argv)
            for child in (witness, tool):
                self._wait_listening(child)
            start(self._recorder, self.sender_cpu, serve)
            time.sleep(_START_PAUSE_S)
            start(self._sender, self.sender_cpu, send).wait(_TRANSFER_LIMIT_S)
            for child in (tool, witness):
                settle(child)
                child.signal(signal.SIGINT)
                child.wait(_STOP_LIMIT_S, may_fail=True)

    def _command(self, space: str, cpu: int, argv: Sequence[str]) -> list[str]:
        # All of these replace themselves: the pid is the tool's. It does not outlive a killed run.
        bound = ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", space]
        return [*bound, "taskset", "-c", str(cpu), *argv]

    def _inside(self, space: str, *argv: str) -> str:
        return check(["ip", "netns", "exec", space, *argv])

    @contextlib.contextmanager
    def tap(self) -> Iterator[str]:
        """Make an interface for the recorder to send out of, `ta`, and what is behind it."""
        pair = ["ta", "type", "veth", "peer", "name", "tb", "netns", self._sender]
        check(["ip", "-n", self._recorder, "link", "add", *pair])
        try:
            check(["ip", "-n", self._recorder, "link", "set", "ta", "up"])
            check(["ip", "-n", self._sender, "link", "set", "tb", "up"])
            yield "ta"
        finally:
            check(["ip", "-n", self._recorder, "link", "del", "ta"])

    def _received(self) -> int:
        """Return how many packets the recorder's interface has received."""
        return _received_on(self._recorder, self.interface)

    def _received_behind(self) -> int:
        return _received_on(self._sender, "tb")

    def _wait_listening(self, child: Child) -> None:
        """Wait until the child has a running packet socket, then a moment for its output file."""
        deadline = time.monotonic() + _LISTEN_LIMIT_S
        while time.monotonic() < deadline:
            if _packet_sockets(child.pid):
                time.sleep(_START_PAUSE_S)
                return
            if _ticks(child.pid) is None:
                break
            time.sleep(0.01)
        raise ToolError(f"does not listen: {child.messages()}")

    def _send(self, sending: Sending) -> tuple[int, float]:
        """Send a load; return how many packets went out and how many a second."""
        pace = ["--topspeed"] if sending.rate is None else ["--pps", str(sending.rate)]
        first = ["nice", "-n", "-20"] if sending.undisturbed else []
        argv = [*first, "tcpreplay", "-q", "-K", *pace, f"--loop={sending.loops}", "-L"]
        argv += [str(sending.packets * sending.loops), "-i", "va", str(sending.file)]
        command = self._command(self._sender, self.sender_cpu, argv)
        with started(command, self._work / "sender") as child:
            child.wait(sending.limit_s)
            said = child.printed()
        sent = re.search(r"Successful packets:\s+(\d+)", said)
        per_s = re.search(r"([\d.]+) pps", said)
        if sent is None or per_s is None:
            raise ToolError(f"tcpreplay: {child.messages()}")
        return int(sent[1]), float(per_s[1])

    def _poke(self) -> None:
        """Send one packet that wakes a reader which cannot be interrupted on an idle link."""
        time.sleep(0.2)
        frame = bytes.fromhex("020000000002020000000001") + POKE_ETHERTYPE.to_bytes(2, "big")
        record = struct.pack("<IIII", 0, 0, 60, 60) + frame.ljust(60, b"\0")
        path = self._work / "poke.pcap"
        path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + record)
        self._inside(self._sender, "tcpreplay", "-q", "-i", "va", str(path))


def _received_on(space: str, interface: str) -> int:
    found = check(["ip", "-n", space, "-j", "-s", "link", "show", interface])
    return int(json.loads(found)[0]["stats64"]["rx"]["packets"])


def settle(child: Child) -> None:
    """Wait until the child uses no more CPU: what the kernel had queued for it is taken."""
    deadline = time.monotonic() + _SETTLE_LIMIT_S
    ticks, since = _ticks(child.pid), time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - since < _QUIET_S:
        time.sleep(0.05)
        now = _ticks(child.pid)
        if now is None:
            raise ToolError(f"ended by itself: {child.messages()}")
        # A tool that polls may use one tick now and then.
        if ticks is None or now > ticks + 1:
            ticks, since = now, time.monotonic()


def _packet_sockets(pid: int) -> int:
    """Count the running packet sockets in the network namespace of a process, our own's apart."""
    try:
        if os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            return 0
        rows = Path(f"/proc/{pid}/net/packet").read_text().splitlines()[1:]
    except OSError:
        return 0
    fields = [row.split() for row in rows]
    return sum(1 for row in fields if row[4] != "0" and row[5] == "1")


def _ticks(pid: int) -> int | None:
    """Return the CPU ticks a process has used; None once it ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[11]) + int(fields[12])


def _bytes_in(folder: Path) -> int:
    """Return the size of all files in a directory."""
    total = 0
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total


@contextlib.contextmanager
def ext4_volume(work: Path, size_bytes: int) -> Iterator[Path]:
    """Make and mount an ext4 volume in an image under work; yield its mount point.

    The image is allocated beforehand and no block of it is ever discarded, so that the disk
    under the file system costs the same in each run.
    """
    image, mount = work / "volume.img", work / "volume"
    mount.mkdir()
    try:
        with image.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size_bytes)
        extended = "nodiscard,lazy_itable_init=0,lazy_journal_init=0"
        check(["mkfs.ext4", "-q", "-F", "-E", extended, str(image)])
        check(["mount", "-o", "loop", str(image), str(mount)])
        yield mount
    finally:
        _unmount(mount)
        image.unlink(missing_ok=True)


@contextlib.contextmanager
def frozen(mount: Path, after_s: float, for_s: float) -> Iterator[None]:
    """Freeze a volume for_s seconds, beginning after_s seconds into the block.

    A process of its own thaws the volume again, so that it does not stay frozen when the
    benchmark is killed meanwhile. Raises ToolError if freezing failed.
    """
    script = 'sleep "$2"; fsfreeze -f "$1" || exit 1; sleep "$3"; fsfreeze -u "$1"'
    argv = ["sh", "-c", script, "sh", str(mount), str(after_s), str(for_s)]
    process = subprocess.Popen(argv, start_new_session=True)
    try:
        yield
    finally:
        try:
            status = process.wait(after_s + for_s + 30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            status = 1
    if status:
        raise ToolError("the volume could not be frozen or thawed")


def _unmount(mount: Path) -> None:
    """Thaw and unmount, patiently: the last file may still be on its way to the image."""
    if mount.is_mount():
        subprocess.run(["fsfreeze", "-u", str(mount)], capture_output=True, check=False)
        for _ in range(20):
            done = subprocess.run(["umount", str(mount)], capture_output=True, check=False)
            if done.returncode == 0:
                break
            time.sleep(0.25)
    with contextlib.suppress(OSError):
        mount.rmdir()


@contextlib.contextmanager
def work_directory(parent: Path) -> Iterator[Path]:
    """Make a directory for this run under parent; remove it with all it holds."""
    work = parent / f"{_PREFIX}-{os.getpid()}"
    work.mkdir(parents=True)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def sweep_leftovers(parent: Path) -> None:
    """Remove namespaces, mounts and directories of benchmark runs that are no more."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False)
    for name in re.findall(rf"^({_PREFIX}-\d+-[ab])\b", listed.stdout, re.MULTILINE):
        if _gone(name):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    for folder in parent.glob(f"{_PREFIX}-*"):
        if _gone(folder.name):
            _unmount(folder / "volume")
            shutil.rmtree(folder, ignore_errors=True)


def _gone(name: str) -> bool:
    """Return whether the run that gave a thing this name has ended."""
    number = re.match(rf"{_PREFIX}-(\d+)", name)
    return number is not None and not Path("/proc", number[1]).exists()
