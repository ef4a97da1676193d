"""The DFXML report of a run: one document, well-formed on disk between any two writes.

A `Report` writes its head and its tail at once, and later rows over the tail with a new tail behind
them: whenever a run ends, by whatever means, what it has reported until then can be read. Rows come
as bytes, from dfxml.pyx; `finished_row` adds to one what post-processing found out.
``docs/report.xsd`` describes the whole.
"""

import os
import re
import resource
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import NamedTuple

from daemonlogger_py import __version__
from daemonlogger_py.config.streams import Plugin
from daemonlogger_py.errors import StorageError
from daemonlogger_py.readers.inputs.stopping import Stopping
from daemonlogger_py.readers.stalls import StalledError, Taker, open_output
from daemonlogger_py.readers.streams import dfxml
from daemonlogger_py.readers.streams.facts import Body, Finished, PluginResult

# Nothing to escape, as nearly all names and digests are.
_PLAIN = re.compile(r"[\w.:/+ -]*", re.ASCII).fullmatch
NAMESPACE = "http://afflib.org/tcpflow/"
ROW_END = b"    </fileobject>\n"
# Asked at once: once the root directory was changed, nobody finds the file.
_COMPILED = os.stat(dfxml.__file__).st_mtime

# Rows wait until there are so many bytes of them, or for so long.
BUFFER_BYTES = 1 << 20
FLUSH_SECONDS = 1.0

RUNNING = "running"  # what a report says of a run that was killed, too
FINISHED = "finished"
INTERRUPTED = "interrupted"
FAILED = "failed"


class Counts(NamedTuple):
    """What the end of a report tells of the whole run."""

    open_fds: int = 0  # of stream files
    max_open_flows: int = 0  # most of their files that were open at a time
    total_flows: int = 0  # streams
    flow_map_size: int = 0  # streams that were still open at the end
    total_packets: int = 0
    oddities: Mapping[str, int] = MappingProxyType({})  # how often, by name
    late_bytes: int = 0  # received again after their stream was closed: compared with nothing


class Report:
    """A report that is being written.

    `counts` may be set at any time, and are told from the next write on. Raises StorageError where
    the file cannot be made or written, and for a path that is a symbolic link; StalledError where
    nobody reads a FIFO, or a reader holds it up, once `stopping` is requested.
    """

    def __init__(
        self,
        path: str,
        *,
        command_line: Sequence[str] = (),
        tdelta_ns: int = 0,
        clock: Callable[[], float] = time.monotonic,
        stopping: Stopping,
    ) -> None:
        self.path = path
        self._stopping = stopping
        self.counts = Counts()
        self._clock = clock
        self._began = clock()
        self._rows: list[bytes] = []
        self._waiting_bytes = 0
        self._written_bytes = 0  # of head and rows; the tail is behind them
        self._file_bytes = 0
        self._fd = -1
        head = _head(command_line, tdelta_ns)
        with self._storage():
            self._fd, self._in_place = _opened(path, head + self._tail(RUNNING), stopping)
            self._taker = Taker(self._fd, f"report {path!r}", stopping)
            if not self._in_place:  # a pipe: nothing can be written over
                self._pass_on(head)
        self._written_bytes = len(head)
        self._file_bytes = len(head) + len(self._tail(RUNNING))
        self._next_flush = clock() + FLUSH_SECONDS

    def append(self, rows: bytes = b"") -> None:
        """Take whole rows, or none, and write those that waited for long or are many."""
        if rows:
            self._rows.append(rows)
            self._waiting_bytes += len(rows)
        if self._waiting_bytes >= BUFFER_BYTES or (
            self._waiting_bytes and self._clock() >= self._next_flush
        ):
            self._flush(RUNNING)

    def close(self, how: str = FINISHED) -> None:
        """Write what is left, and the final tail, which says `how` the run ended."""
        if self._fd < 0:
            return
        try:
            self._flush(how)
        finally:
            self._taker.close()
            os.close(self._fd)
            self._fd = -1

    def _flush(self, how: str) -> None:
        rows = b"".join(self._rows)
        with self._storage():
            if self._in_place:
                self._overwrite_tail(rows, self._tail(how))
            else:
                self._pass_on(rows if how == RUNNING else rows + self._tail(how))
        self._rows.clear()
        self._waiting_bytes = 0
        self._next_flush = self._clock() + FLUSH_SECONDS

    def _pass_on(self, data: bytes) -> None:
        try:
            self._taker.write(data)
        except StalledError:
            what = f"report {self.path!r} was held up by its reader, and has no end"
            raise StalledError(self._stopping, what) from None

    def _overwrite_tail(self, rows: bytes, tail: bytes) -> None:
        try:
            _write(self._fd, rows + tail, self._written_bytes)
        except OSError:
            # The volume is full, perhaps: the tail that is gone had room there.
            with suppress(OSError):
                os.ftruncate(self._fd, self._written_bytes)
                _write(self._fd, self._tail(FAILED), self._written_bytes)
            raise
        self._written_bytes += len(rows)
        file_bytes = self._written_bytes + len(tail)
        if file_bytes < self._file_bytes:
            os.ftruncate(self._fd, file_bytes)
        self._file_bytes = file_bytes

    def _tail(self, how: str) -> bytes:
        counts = self.counts
        used = resource.getrusage(resource.RUSAGE_SELF)
        numbers = {
            "open_fds_at_end": counts.open_fds,
            "max_open_flows": counts.max_open_flows,
            "total_flows": counts.total_flows,
            "flow_map_size": counts.flow_map_size,
            "total_packets": counts.total_packets,
        }
        usage = {
            "utime": f"{used.ru_utime:.6f}",
            "stime": f"{used.ru_stime:.6f}",
            "maxrss": used.ru_maxrss,
            "minflt": used.ru_minflt,
            "majflt": used.ru_majflt,
            "nswap": used.ru_nswap,
            "inblock": used.ru_inblock,
            "oublock": used.ru_oublock,
            "clocktime": f"{self._clock() - self._began:.6f}",
        }
        lines = ["  </configuration>", "  <summary />"]
        lines += [f"  <{name}>{value}</{name}>" for name, value in numbers.items()]
        lines += ["  <rusage>"]
        lines += [f"    <{name}>{value}</{name}>" for name, value in usage.items()]
        lines += ["  </rusage>"]
        if counts.late_bytes:
            lines += [f"  <late_bytes>{counts.late_bytes}</late_bytes>"]
        if counts.oddities:
            lines += ["  <oddities>"]
            lines += [
                f"    <oddity name='{_text(name)}' count='{count}' />"
                for name, count in counts.oddities.items()
            ]
            lines += ["  </oddities>"]
        lines += [f"  <outcome>{how}</outcome>", "</dfxml>"]
        return "".join(f"{line}\n" for line in lines).encode()

    @contextmanager
    def _storage(self) -> Iterator[None]:
        """Turn an OSError into a StorageError that names the report."""
        try:
            yield
        except OSError as error:
            raise StorageError(f"report {self.path!r}: {error.strerror}") from error


def finished_row(finished: Finished, prefix: str, plugin: Plugin | None = None) -> bytes:
    """Return the row of a stream with what post-processing found out; `prefix` is put before names.

    `plugin` is whose function made the result, if there is one.
    """
    return b"".join(
        (
            finished.closed.row,
            _hashdigest(finished.md5),
            _byte_runs(finished.bodies, finished.unread, prefix),
            _result(plugin, finished.plugin),
            ROW_END,
        )
    )


def _hashdigest(md5: str) -> bytes:
    return f"      <hashdigest type='MD5'>{_text(md5)}</hashdigest>\n".encode() if md5 else b""


def _byte_runs(bodies: Sequence[Body], unread: Sequence[str], prefix: str) -> bytes:
    if not bodies and not unread:
        return b""
    problem = f" problem='{_text('; '.join(unread))}'" if unread else ""
    lines = [f"    <byte_runs{problem}>"]
    for body in bodies:
        problem = f" problem='{_text('; '.join(body.problems))}'" if body.problems else ""
        lines.append(
            f"     <byte_run file_offset='{body.file_offset}'{problem}><fileobject>"
            f"<filename>{_text(prefix + body.filename)}</filename>"
            f"<filesize>{body.filesize}</filesize></fileobject></byte_run>"
        )
    return "".join(f"{line}\n" for line in [*lines, "    </byte_runs>"]).encode()


def _result(plugin: Plugin | None, result: PluginResult | None) -> bytes:
    if plugin is None or result is None or (result.text is None and not result.problem):
        return b""
    about = {
        "scanner": "python",
        "path": plugin.path,
        "module": plugin.module,
        "function": plugin.function,
        "problem": result.problem,
    }
    attributes = "".join(f" {name}='{_text(value)}'" for name, value in about.items() if value)
    return (
        f"      <tcpflow:result{attributes}>{_text(result.text or '')}</tcpflow:result>\n"
    ).encode()


def _opened(path: str, content: bytes, stopping: Stopping) -> tuple[int, bool]:
    """A descriptor of a new file at `path` that holds `content`, and True; or of a pipe, and False.

    What is at `path` is replaced, never written into: it may be another user's, by a hard link.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    if stat.S_ISLNK(mode):
        raise StorageError(f"report {path!r}: is a symbolic link; accepted: a file, or a new name")
    if stat.S_ISCHR(mode) or stat.S_ISFIFO(mode):
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY
        return open_output(path, flags, stopping, name=f"report {path!r}"), False
    if not stat.S_ISREG(mode):
        raise StorageError(f"report {path!r}: is no regular file; accepted: a file, or a new name")
    part = f"{path}.{os.getpid()}.part"
    fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        _write(fd, content, 0)
        os.rename(part, path)
    except OSError:
        os.close(fd)
        with suppress(OSError):
            os.unlink(part)
        raise
    return fd, True


def _write(fd: int, data: bytes, offset: int) -> None:
    """Write all of `data` at `offset`."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(fd, rest, offset)
        offset += written
        rest = rest[written:]


def _head(command_line: Sequence[str], tdelta_ns: int) -> bytes:
    lines = [
        "<?xml version='1.0' encoding='UTF-8'?>",
        f"<dfxml xmloutputversion='1.0' xmlns:tcpflow='{NAMESPACE}'>",
        # The line breaks are those of tcpflow.
        "  <metadata ",
        f"  xmlns='{NAMESPACE}' ",
        "  xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' ",
        "  xmlns:dc='http://purl.org/dc/elements/1.1/'>",
        "    <dc:type>Feature Extraction</dc:type>",
        "  </metadata>",
        "  <creator version='1.0'>",
        "    <program>dlctl streams</program>",
        f"    <version>{__version__}</version>",
        "    <build_environment>",
        *_elements(6, _build_environment()),
        *(
            f'      <library name="{name}" version="{_text(version)}"/>'
            for name, version in _libraries()
        ),
        "    </build_environment>",
        "    <execution_environment>",
        *_elements(6, _execution_environment(command_line)),
        "    </execution_environment>",
        "  </creator>",
        "  <configuration>",
        "  </configuration>",
        f"  <tdelta>{_seconds(tdelta_ns)}</tdelta>",
        "  <configuration>",
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def _elements(indent: int, values: Mapping[str, str]) -> list[str]:
    return [f"{' ' * indent}<{name}>{_text(text)}</{name}>" for name, text in values.items()]


def _build_environment() -> dict[str, str]:
    return {
        "compiler": dfxml.COMPILER,
        "compilation_date": _utc(_COMPILED).removesuffix("Z"),
    }


def _libraries() -> list[tuple[str, str]]:
    from daemonlogger_py.engine.bpf import libpcap_version

    python = ".".join(map(str, sys.version_info[:3]))
    libpcap = libpcap_version().removeprefix("libpcap version ")
    return [("libpcap", libpcap), ("cython", dfxml.CYTHON), ("python", python)]


def _execution_environment(command_line: Sequence[str]) -> dict[str, str]:
    import shlex

    system = os.uname()
    uid = os.getuid()
    return {
        "os_sysname": system.sysname,
        "os_release": system.release,
        "os_version": system.version,
        "host": system.nodename,
        "arch": system.machine,
        "command_line": shlex.join(command_line),
        "uid": str(uid),
        "username": _user_name(uid),
        "start_time": _utc(time.time()),
    }


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # no such user, or no user database in this root
        return ""


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _seconds(span_ns: int) -> str:
    """Seconds with as many decimals as it takes."""
    seconds, nanoseconds = divmod(abs(span_ns), 1_000_000_000)
    decimals = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
    return f"{'-' if span_ns < 0 else ''}{seconds}{decimals}"


def _text(text: str) -> str:
    """`text` as an element or an attribute may hold it; bytes of a name are what they were."""
    if _PLAIN(text):
        return text
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # other surrogates, as a plug-in may return
        data = text.encode("utf-8", "surrogatepass")
    return dfxml.escaped(data).decode()
