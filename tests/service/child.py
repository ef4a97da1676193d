"""Runs Python source in a child process: what is given up there stays given up.

The source finds, imported already, what tests of privileges and of the sandbox need; another user
may not be permitted to read the Python that runs it. It says what it found out with `report`.
"""

import json
import os
import subprocess
import sys
from textwrap import dedent
from typing import Any

ROOT = os.geteuid() == 0

PROLOGUE = """
import ctypes, errno, json, os, signal, socket, sys, threading, time
from daemonlogger_py.errors import DaemonloggerError
from daemonlogger_py.service import linux, privileges, sandbox
from daemonlogger_py.service.privileges import Identity

def report(**facts):
    print(json.dumps(facts))

def outcome(call, *arguments, **named):
    '''What became of a call: done, the error's name, or the project's words.'''
    try:
        call(*arguments, **named)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    except DaemonloggerError as error:
        return str(error)
    return "done"

def status():
    '''What the kernel says of this process, read past all that is tested.'''
    with open("/proc/self/status") as file:
        lines = dict(line.rstrip("\\n").split(":\\t", 1) for line in file if ":\\t" in line)
    keys = ("Uid", "Gid", "Groups", "NoNewPrivs", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    return {key: lines[key].strip() for key in keys}

def to_write(path, content=b"x"):
    with open(path, "wb") as file:
        file.write(content)

def to_read(path):
    with open(path, "rb") as file:
        return file.read()

def become_ordinary():
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)

"""


def run(source: str, *arguments: object, ordinary: bool = False, fds: tuple[int, ...] = ()) -> Any:
    """Run the source, its arguments from sys.argv[1] on; return what it reported.

    `ordinary`: as root, become another user first, one without any privilege.
    """
    code = PROLOGUE + ("become_ordinary()\n" if ordinary else "") + dedent(source)
    done = subprocess.run(
        # What the source leaves open its end closes.
        [sys.executable, "-W", "error", "-W", "ignore::ResourceWarning", "-c", code]
        + [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        pass_fds=fds,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)
