"""What tests inside the sandbox share: directories, the way in, and what this kernel refuses."""

from pathlib import Path
from textwrap import dedent
from typing import Any

from daemonlogger_py.service import linux
from daemonlogger_py.service.sandbox import NEWEST_ABI

from .child import run

try:
    KERNEL_ABI = linux.landlock_abi()
except OSError:
    KERNEL_ABI = 0
ABI = min(KERNEL_ABI, NEWEST_ABI)

ENTER = """
import shutil

top = sys.argv[1]
logs = os.open(top + "/logs", os.O_RDONLY | os.O_DIRECTORY)
archive = os.open(top + "/archive", os.O_RDONLY | os.O_DIRECTORY)
def enter(**rules):
    return sandbox.restrict(sandbox.Rules(savefiles=(logs, archive), **rules))
"""


def refused(name: str = "EACCES", since: int = 1) -> str:
    """What the kernel at hand answers to what is refused since that ABI."""
    return name if since <= ABI else "done"


def make_directories(folder: Path) -> Path:
    """Make two directories for savefiles and one beside them, each with a file."""
    for name in ("logs", "archive", "beside"):
        (folder / name).mkdir()
        (folder / name / "old").write_bytes(b"old")
    (folder / "logs/link").symlink_to("../beside/old")
    return folder


def try_out(source: str, top: Path, *arguments: object, fds: tuple[int, ...] = ()) -> Any:
    """Run the source in a child, with `enter` for what `make_directories` made; as `run` does."""
    return run(ENTER + dedent(source), top, *arguments, fds=fds)
