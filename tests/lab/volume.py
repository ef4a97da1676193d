"""File systems the lab makes and removes: memory, a small ext4 on a loop device, one that stalls.

The image lies on the lab's own tmpfs, so its speed is memory's. A frozen volume is always thawed
before anything else is done to it: a process that writes to it cannot even be killed.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from .commands import run

# What is counted twice is more than this, and for less time; see `UseSampler`.
TWICE_SHARE = 0.001
TWICE_S = 0.02


class Mounted:
    """A file system mounted on a directory of its own; ``path`` is that directory."""

    def __init__(self, path: Path, kind: str, *, options: str = "") -> None:
        self.path = path
        self._kind = kind
        self._options = options

    def __enter__(self) -> Self:
        self.path.mkdir()
        options = ["-o", self._options] if self._options else []
        run("mount", "-t", self._kind, *options, f"daemonlogger-lab-{self._kind}", self.path)
        return self

    def __exit__(self, *_: object) -> None:
        run("umount", "-l", self.path, check=False)
        with suppress(OSError):
            self.path.rmdir()


class Volume:
    """An ext4 file system of size_bytes in an image on tmpfs, by way of a loop device."""

    def __init__(self, memory: Path, size_bytes: int, *, options: tuple[str, ...] = ()) -> None:
        stem = f"volume{time.monotonic_ns()}"
        self.path = memory / stem
        self._image = memory / f"{stem}.img"
        self._size_bytes = size_bytes
        self._options = options
        self._device: str | None = None
        self._frozen = False

    def __enter__(self) -> Self:
        try:
            self._create()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _create(self) -> None:
        self.path.mkdir()
        with self._image.open("wb") as image:
            image.truncate(self._size_bytes)
        whole = ("-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard")
        run("mkfs.ext4", "-q", "-F", *whole, *self._options, self._image)
        self._device = run("losetup", "--find", "--show", self._image).stdout.strip()
        run("mount", "-t", "ext4", self._device, self.path)
        (self.path / "lost+found").rmdir()

    def close(self) -> None:
        """Thaw, unmount, free the loop device, delete the image; may be called twice."""
        self.thaw()
        run("umount", "-l", self.path, check=False)
        if self._device is not None:
            run("losetup", "-d", self._device, check=False)
            self._device = None
        with suppress(OSError):
            self.path.rmdir()
        self._image.unlink(missing_ok=True)

    def freeze(self) -> None:
        """Let every write to the volume wait, as a disk that stalls does."""
        self._frozen = True
        run("fsfreeze", "-f", self.path)

    def thaw(self) -> None:
        """Let the writes go on; does nothing when the volume is not frozen."""
        if self._frozen:
            run("fsfreeze", "-u", self.path)
            self._frozen = False

    @contextmanager
    def frozen(self, seconds: float) -> Iterator[None]:
        """Freeze on entry; on leaving, thaw when the seconds since then have passed."""
        self.freeze()
        until = time.monotonic() + seconds
        try:
            yield
            time.sleep(max(0.0, until - time.monotonic()))
        finally:
            self.thaw()

    def used_share(self) -> float:
        """Return the used share of the volume, 0 to 1; reserved blocks count as used."""
        state = os.statvfs(self.path)
        return 1 - state.f_bavail / state.f_blocks

    def share_of_files(self) -> float:
        """Return the share that the files in it take."""
        taken = 0
        for directory, _, names in os.walk(self.path):
            for name in names:
                with suppress(FileNotFoundError):  # deleted meanwhile
                    taken += os.lstat(os.path.join(directory, name)).st_blocks * 512
        state = os.statvfs(self.path)
        return taken / (state.f_blocks * state.f_frsize)

    def available_bytes(self) -> int:
        """Return what may still be written."""
        state = os.statvfs(self.path)
        return state.f_bavail * state.f_frsize

    def fill(self, name: str, leave_bytes: int = 0) -> Path:
        """Write a foreign file that leaves about leave_bytes of what is available now."""
        path = self.path / name
        wanted = self.available_bytes() - leave_bytes
        # Someone else may write to the volume meanwhile: then it is full a little earlier.
        with suppress(OSError), path.open("wb", buffering=0) as out:
            for done in range(0, wanted, 64 << 10):
                out.write(bytes(min(64 << 10, wanted - done)))
        return path


class UseSampler:
    """A thread that asks a volume for its use about every millisecond and keeps the most.

    While ext4 writes back what it allocated late, it counts those blocks twice for an instant
    (the two counters that statfs subtracts are not read as one): a use counts when three samples
    in a row show it. Where the machine is busy that instant may be longer, so it also has to be
    what the files take, each by itself, or to last.
    """

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._rest = 0.0  # what is used without being a file's
        self.most = 0.0
        self.samples = 0

    def __enter__(self) -> Self:
        self._rest = self._volume.used_share() - self._volume.share_of_files()
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _sample(self) -> None:
        recent = [0.0] * 3
        more_since = time.monotonic()
        while not self._over.wait(0.001):
            recent[self.samples % 3] = self._volume.used_share()
            self.samples += 1
            if (use := min(recent)) <= self.most:
                more_since = time.monotonic()
            elif (
                use - self._rest - self._volume.share_of_files() < TWICE_SHARE
                or time.monotonic() > more_since + TWICE_S
            ):
                self.most = use
