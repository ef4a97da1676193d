"""Runs a command of ours as a user does: a process of its own, in a directory of its own."""

import os
import subprocess
import sys
from pathlib import Path

import daemonlogger_py

TESTED = Path(daemonlogger_py.__file__).parent.parent


def run_command(
    module: str, *arguments: str, cwd: Path, stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m daemonlogger_py.cli.MODULE`` in `cwd` and return how it ended."""
    # The copy that this process tests, wherever cwd is.
    path = os.pathsep.join(filter(None, [str(TESTED), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", f"daemonlogger_py.cli.{module}", *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "80"},
        text=True,
        timeout=60,
        check=False,
    )
