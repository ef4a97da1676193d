"""The process around a recording: detached or not, as which user, confined to what, known to whom.

Everything privileged is done in one order, which `record.session` follows: `begin`, then open what
the recording needs, `confine`, and only then threads, `watch`, and packets. Threads come last as
what the kernel takes away, it takes from one thread; and nothing is taken from those that follow.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from daemonlogger_py.config.recorder import RecorderConfig
from daemonlogger_py.errors import PrivilegeError
from daemonlogger_py.record.messages import Messages, Tell
from daemonlogger_py.record.openfile import Sealed
from daemonlogger_py.record.opening import Opened

# Each is imported where a recording has it: most have none.
if TYPE_CHECKING:
    from daemonlogger_py.service.detach import Detached
    from daemonlogger_py.service.hooks import HookRunner
    from daemonlogger_py.service.metrics import MetricsServer
    from daemonlogger_py.service.notify import Notifier
    from daemonlogger_py.service.privileges import Identity

CATALOG_MODULES = (
    "hashlib",
    "resource",
    "sqlite3",
    "daemonlogger_py.record.catalog_process",
    "daemonlogger_py.record.cataloger",
    "daemonlogger_py.record.chronicle",
    "daemonlogger_py.savefile.catalog_pages",
)
LATE_MODULES = (
    "ctypes",
    "json",
    "psutil",
    "daemonlogger_py.record.keeper",
    "daemonlogger_py.record.nowriter",
    "daemonlogger_py.record.recovery",
    "daemonlogger_py.record.vitals",
    "daemonlogger_py.record.watch",
    "daemonlogger_py.service.metrics",
    "daemonlogger_py.service.sandbox",
    "daemonlogger_py.service.sealed",
)


class Surroundings:
    """What `begin` set up; `None` is what this recording has not."""

    def __init__(self, config: RecorderConfig) -> None:
        self._config = config
        self.detached: Detached | None = None
        self.identity: Identity | None = None
        self.notifier: Notifier | None = None
        self.metrics: MetricsServer | None = None
        self.hooks: HookRunner | None = None

    def confine(self, opened: Opened, tell: Tell) -> None:
        """Give up privileges and enter the sandbox, as configured. Raises PrivilegeError."""
        config = self._config
        if config.chroot is not None or self.identity is not None:
            _import_all(LATE_MODULES)
            if config.cataloged:
                _import_all(CATALOG_MODULES)
        dropped = _drop(self.identity, config.chroot, tell)
        if config.sandbox or (config.sandbox is None and dropped):
            self._enter_sandbox(opened, tell)

    def _enter_sandbox(self, opened: Opened, tell: Tell) -> None:
        from daemonlogger_py.service.sandbox import Rules, replaceable, restrict

        config, log_dir = self._config, opened.log_dir
        directories = []
        if log_dir is not None:
            directories.append(log_dir.fd)
            if log_dir.keeper is not None and log_dir.keeper.archive_fd is not None:
                directories.append(log_dir.keeper.archive_fd)
        read: tuple[str, ...] = ()
        if config.filter_file is not None:
            # A new root is no more than what the recorder was given.
            read = (*replaceable(config.filter_file), *(("/",) if config.chroot else ()))
        rules = Rules(
            savefiles=tuple(directories),
            sockets=(log_dir.fd,) if log_dir is not None and config.cataloged else (),
            read=read,
            remove=() if config.pid_path is None else (os.path.dirname(config.pid_path),),
        )
        applied = restrict(rules)
        if config.sandbox and not applied.abi:
            raise PrivilegeError(f"--sandbox on: {applied}")
        mark = "[!]" if applied.lacking else "[-]"
        tell("sandbox", f"{mark} {applied}", abi=applied.abi)

    def watch(self, tell: Tell) -> None:
        """Start the threads of what was begun."""
        if self.hooks is not None:
            self.hooks.watch(tell)

    def settle(self, tell: Tell) -> None:
        """Wait for the hooks of what was sealed, as long as that may take."""
        if self.hooks is None:
            return
        from daemonlogger_py.service.hooks import CLOSE_S

        if self.hooks.unfinished:
            text = f"[-] Waiting for {self.hooks.unfinished} hooks, at most {CLOSE_S:g} s"
            tell("waiting_for_hooks", text, hooks=self.hooks.unfinished)
        self.hooks.close()

    def say_now(self, text: str) -> None:
        """Say `text` to whoever started this, before messages are written."""
        os.write(2, f"{text}\n".encode())

    def on_sealed(self, opened: Opened) -> Callable[[Sealed], None] | None:
        """What the writer has to call for each savefile that is complete."""
        hooks, log_dir = self.hooks, opened.log_dir
        if hooks is None or log_dir is None:
            return None
        from daemonlogger_py.service.sealed import Sealed as Told

        # As it will be named from the root directory, where a daemon is.
        directory = self._config.log_dir
        directory = os.path.abspath(directory if self._config.chroot is None else f"/{directory}")
        interface = opened.config.interface or ""

        def announce(sealed: Sealed) -> None:
            hooks.sealed(
                Told(
                    os.path.join(directory, sealed.name),
                    sealed.first_ns or None,
                    sealed.last_ns or None,
                    sealed.packets,
                    sealed.size_bytes,
                    sealed.dropped,
                    interface,
                    sealed.why,
                )
            )

        return announce


@contextmanager
def begun(config: RecorderConfig) -> Iterator[Surroundings]:
    """Detach, lock the PID file, look up the user, connect and bind what needs privileges.

    With ``-d`` this returns in another process, and the calling one waits for its verdict: until
    `Detached.ready`, what is refused is refused in front of the caller. Raises UsageError.
    """
    with ExitStack() as stack:
        around = Surroundings(config)
        around.identity = identity_of(config)
        if config.daemon:
            from daemonlogger_py.service.detach import detach

            around.detached = detach(keep_stdin=config.read == "-")
        if config.pid_path is not None:
            from daemonlogger_py.service.pidfile import PidFile

            pid_file = PidFile(os.path.abspath(config.pid_path))
            pid_file.lock()
            stack.callback(pid_file.release)
            pid_file.write()
        if "NOTIFY_SOCKET" in os.environ:
            from daemonlogger_py.service.notify import Notifier

            around.notifier = Notifier()
            stack.callback(around.notifier.close)
        if config.metrics is not None:
            from daemonlogger_py.service.metrics import MetricsServer

            around.metrics = MetricsServer(*config.metrics)
            stack.callback(around.metrics.close)
        if config.on_roll is not None:
            from daemonlogger_py.service.hooks import HookRunner

            around.hooks = HookRunner(config.on_roll, around.identity, config.chroot)
            stack.callback(around.hooks.close)
            around.hooks.start()
        yield around


def try_hook(config: RecorderConfig, identity: "Identity | None") -> None:
    """Raise UsageError unless the hook can be run as `identity`, as far as can be known."""
    if config.on_roll is not None:
        from daemonlogger_py.service.hooks import HookRunner

        hooks = HookRunner(config.on_roll, identity, config.chroot)
        try:
            hooks.start()
        finally:
            hooks.close()


def identity_of(config: RecorderConfig) -> "Identity | None":
    """Whom to run as; None: whoever it was started by. Raises UsageError."""
    if config.user is None and config.group is None:
        return None
    from daemonlogger_py.service.privileges import identity

    return identity(config.user, config.group)


def messages(config: RecorderConfig) -> Messages:
    """Where a recording's messages go: nothing is written before they are released."""
    if not config.daemon:
        return Messages(log_format=config.log_format, held=True)
    from daemonlogger_py.service.syslog import SOCKET_PATH, Syslog

    log = Syslog()
    if not log.connected:
        warning = Messages(log_format=config.log_format, held=True)
        text = f"[!] no syslogd answers at {SOCKET_PATH}: messages are lost until one does"
        warning.tell("no_syslog", text)
        warning.flush()
    return Messages(log_format=config.log_format, log=log, held=True)


def _import_all(names: Iterable[str]) -> None:
    """Import what is only imported where it is used: Python's files may be out of reach then."""
    for name in names:
        import_module(name)


def _has_capabilities() -> bool:
    # Not by the system call, whose way through ctypes costs 15 ms of every user's replay.
    with open("/proc/self/status") as status:
        held = [int(line.split()[1], 16) for line in status if line.startswith("CapPrm:")]
    return any(held)


def _drop(identity: "Identity | None", chroot: str | None, tell: Tell) -> bool:
    if identity is None and chroot is None and (os.geteuid() == 0 or not _has_capabilities()):
        return False  # as the original, root stays root; an ordinary user has nothing to give up
    from daemonlogger_py.service.privileges import drop

    if not drop(identity, chroot):
        tell("privileged", "[!] Running as root: no privilege was dropped")
        return False
    uid, gid = os.geteuid(), os.getegid()
    text = f"[-] Running as uid {uid}, gid {gid}, without capabilities"
    tell("unprivileged", text, uid=uid, gid=gid)
    return True
