"""``dlctl status``: how the recorder of a ring is doing, by its own account.

The account is one line of JSON from the socket ``PREFIX.socket`` in the ring's directory, which the
recorder's catalog process answers; `account` says what is in it. Where nobody answers, the last
that the catalog knows is shown instead, and the exit status is 1.
"""

import os
import socket
import stat
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from daemonlogger_py.config.archive import StatusConfig, Where
from daemonlogger_py.errors import CatalogError, UsageError
from daemonlogger_py.readers.account import account_of, facts_of
from daemonlogger_py.readers.figures import counted, size, utc
from daemonlogger_py.readers.output import write_lines
from daemonlogger_py.readers.tables import Fact, console, drawn_facts, show_facts
from daemonlogger_py.savefile.names import CATALOG, SOCKET, printable

if TYPE_CHECKING:
    from daemonlogger_py.savefile.catalog_rows import Run

ANSWER_S = 3.0
"""How long a recorder may take for its account; a busy disk does not hold it up."""
MAX_ANSWER_BYTES = 1 << 20


class NobodyError(Exception):
    """No recorder answers; the text says why."""


class Place:
    """The directory `ring`, open, and the `prefix` of the ring in it that is meant.

    Without a prefix it is the only one that has a socket, or else a catalog; None where neither is
    there. Raises UsageError for a directory that cannot be read, and for several to choose from.
    """

    def __init__(self, ring: str, prefix: str | None = None) -> None:
        self.ring = ring
        shown = printable(ring)
        try:
            self.dir_fd = os.open(ring, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise UsageError(f"--ring {shown}: {error.strerror}") from None
        try:
            self.prefix = self._only_prefix() if prefix is None else prefix
        except OSError as error:
            self.close()
            raise UsageError(f"--ring {shown}: {error.strerror}") from None
        except UsageError:
            self.close()
            raise

    def close(self) -> None:
        """Close the directory."""
        os.close(self.dir_fd)

    def _only_prefix(self) -> str | None:
        with os.scandir(self.dir_fd) as entries:
            names = [entry.name for entry in entries]
        for suffix, is_type in ((SOCKET, stat.S_ISSOCK), (CATALOG, stat.S_ISREG)):
            found = [name for name in names if name.endswith(suffix) and name != suffix]
            prefixes = sorted(
                name.removesuffix(suffix) for name in found if is_type(self._mode(name))
            )
            if len(prefixes) > 1:
                known = ", ".join(map(printable, prefixes))
                raise UsageError(
                    f"--ring {printable(self.ring)}: --prefix is missing; accepted: {known}"
                )
            if prefixes:
                return prefixes[0]
        return None

    def _mode(self, name: str) -> int:
        try:
            return os.stat(name, dir_fd=self.dir_fd, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return 0


def run(config: StatusConfig) -> int:
    """Show the status once, or until Ctrl-C, and return the exit status. Raises UsageError."""
    place = Place(config.ring, config.prefix)
    try:
        if config.watch_s is None:
            return _once(place, as_json=config.json)
        return _watch(place, config.watch_s, as_json=config.json)
    finally:
        place.close()


def ask(dir_fd: int, name: str) -> dict[str, Any]:
    """The account of the recorder that listens on the socket `name`. Raises NobodyError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as client:
        client.settimeout(ANSWER_S)
        end_s = time.monotonic() + ANSWER_S
        answer = b""
        try:
            # By the directory's descriptor: a path of more than 108 bytes has no address.
            client.connect(f"/proc/self/fd/{dir_fd}/{name}")
            while len(answer) <= MAX_ANSWER_BYTES and time.monotonic() < end_s:
                piece = client.recv(65536)
                if not piece:
                    return account_of(answer)
                answer += piece
        except FileNotFoundError:
            raise NobodyError(f"there is no {printable(name)}") from None
        except OSError as error:
            raise NobodyError(error.strerror or str(error)) from None
        except ValueError:
            raise NobodyError("its answer is no account") from None
    raise NobodyError("its answer does not end")


def _once(place: Place, *, as_json: bool) -> int:
    try:
        account = _asked(place)
    except NobodyError as error:
        if as_json:
            write_lines([_json({"running": False, "why": str(error)})])
        else:
            show_facts([_not_running(error), *_last_known(place)])
        return 1
    if as_json:
        write_lines([_json({"running": True} | account)])
    else:
        show_facts(list(facts_of(account)))
    return 0


def _watch(place: Place, every_s: float, *, as_json: bool) -> int:
    terminal = None if as_json else console()
    try:
        if terminal is None:
            while True:
                _once(place, as_json=as_json)
                if not as_json:
                    write_lines([""])
                time.sleep(every_s)
        from rich.live import Live

        with Live(console=terminal, auto_refresh=False) as live:
            while True:
                live.update(drawn_facts(_facts(place)), refresh=True)
                time.sleep(every_s)
    except KeyboardInterrupt:
        return 0  # the way this ends


def _facts(place: Place) -> list[Fact]:
    try:
        return list(facts_of(_asked(place)))
    except NobodyError as error:
        return [_not_running(error), *_last_known(place)]


def _asked(place: Place) -> dict[str, Any]:
    if place.prefix is None:
        raise NobodyError(f"there is no {_prefix_of_savefiles(place)}{SOCKET}")
    return ask(place.dir_fd, f"{place.prefix}{SOCKET}")


def _prefix_of_savefiles(place: Place) -> str:
    """What the recorder would listen by, where neither a socket nor a catalog is there."""
    from daemonlogger_py.readers.inputs.ring import names_in, only_prefix

    try:
        return printable(only_prefix(place.dir_fd, names_in(place.dir_fd, place.ring), place.ring))
    except UsageError:
        return "PREFIX"


def _not_running(error: NobodyError) -> Fact:
    return Fact("recorder", f"none answers: {error}", "red")


def _last_known(place: Place) -> Iterator[Fact]:
    """What savefiles and catalog still tell without a recorder."""
    from daemonlogger_py.readers.archive import Archive

    try:
        with Archive(Where(rings=(place.ring,), prefix=place.prefix), required=True) as archive:
            for complaint in archive.complaints:
                about = "ring" if complaint.path == place.ring else "catalog"
                yield Fact(about, complaint.text, "yellow")
            sizes_bytes = [member.size_bytes for member in archive.each()]
            catalogs = [one.catalog for one in archive.directories if one.catalog is not None]
            runs = catalogs[0].runs() if catalogs else []
    except (UsageError, CatalogError) as error:
        yield Fact("ring", str(error), "yellow")
        return
    if runs:
        yield _last_run(runs[-1])
    yield Fact(
        "ring",
        f"{counted(len(sizes_bytes), 'savefile')}, {size(sum(sizes_bytes))}",
    )


def _last_run(run: "Run") -> Fact:
    parts = [f"since {utc(run.started_ns)}"]
    if run.ended_ns is not None:
        parts.append(f"ended {utc(run.ended_ns)}")
        parts.append(printable(run.why or "without a reason"))
        return Fact("last run", ", ".join(parts))
    return Fact("last run", f"{parts[0]}, without an end; last seen {utc(run.seen_ns)}", "red")


def _json(account: dict[str, Any]) -> str:
    import json

    return json.dumps(account)
