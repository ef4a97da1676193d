"""Files of HTTP bodies: which bytes of a connection's messages, decoded or not, under which names.

    STREAM-HTTPBODY-kkk[.ext]      k counts the messages of the stream, those without a body too;
                                   ext by Content-Type
    STREAM-HTTPBODY-kkk[.ext].gz   beside it: the bytes as sent, if not all was decoded (.gz, .zz
                                   for deflate, .br, .zst); what was decoded has the first name
    STREAM-HTTP, -HTTPBODY, -HTTPBODY-GZIP   as tcpflow's man page has it, if asked for: head, body
                                   as sent, body decoded; -002 and so on behind, from the second on

STREAM is the file of the stream that has the message: requests have theirs beside the client's.
Where a name is taken, c1, c2 ... is put before the extension; an empty body leaves no file. Lost
bytes are NULs, but a body in a coding ends before the first of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from mmap import MADV_DONTNEED, mmap

from daemonlogger_py.errors import StorageError
from daemonlogger_py.protocols import http_coding
from daemonlogger_py.protocols.http import Exchange, Message, Side, body
from daemonlogger_py.protocols.http_plain import field
from daemonlogger_py.readers.streams.extensions import extension
from daemonlogger_py.readers.streams.facts import Body
from daemonlogger_py.readers.streams.outdir import OutDir

# Of one stream: a million files of one byte are an attack, not a download.
MOST_BODIES = 100_000
MOST_NOTES = 100
MOST_UNREAD = 10
_RELIEF_BYTES = 32 << 20


class Extracted:
    """What was made of one stream's messages."""

    def __init__(self) -> None:
        self.bodies: list[Body] = []
        self.notes: list[str] = []
        self.unread: list[str] = []
        self.failed = False

    def note(self, text: str) -> None:
        """Add a note, up to a limit."""
        if len(self.notes) < MOST_NOTES:
            self.notes.append(text)
        elif len(self.notes) == MOST_NOTES:
            self.notes.append("HTTP: there is more to be told that is left out")

    def lack(self, text: str) -> None:
        """Add a note about what is missing from the bodies and from their problems."""
        self.note(text)
        if len(self.unread) < MOST_UNREAD:
            self.unread.append(text)


class Extractor:
    """Writes the bodies of HTTP messages below an output directory."""

    def __init__(
        self,
        outdir: OutDir,
        *,
        decompress: bool = True,
        man_names: bool = False,
        limits: http_coding.Limits | None = None,
    ) -> None:
        self._outdir = outdir
        self._decompress = decompress
        self._man_names = man_names
        self._limits = http_coding.Limits() if limits is None else limits

    def extract(self, sides: Sequence[Side], names: Sequence[str]) -> list[Extracted]:
        """Write the bodies of one connection, of which one or both sides are given by stream name.

        A file that cannot be written ends it, with a note.
        """
        extracted = [Extracted() for _ in sides]
        exchange = Exchange(sides)
        for index, message in exchange:
            made = extracted[index]
            if (unread := message.unread) is not None:
                count = message.start - unread.offset
                made.lack(
                    f"HTTP: what is in between, {count} bytes from {unread.offset} on,"
                    f" {unread.problem}"
                )
            try:
                self._message(sides[index], names[index], message, made)
            except (StorageError, OSError) as error:
                made.note(str(error))
                made.failed = True
                return extracted
            if len(made.bodies) >= MOST_BODIES:
                made.lack(f"HTTP: no more than {MOST_BODIES} bodies of a stream are stored")
                return extracted
        for made, ending, side in zip(extracted, exchange.endings, sides, strict=True):
            if ending is not None:
                rest = len(side.data) - ending.offset
                made.lack(
                    f"HTTP: what follows, {rest} bytes from {ending.offset} on, {ending.problem}"
                )
        return extracted

    def _message(self, side: Side, name: str, message: Message, made: Extracted) -> None:
        before = len(made.bodies)
        if self._man_names:
            self._by_man_page(side, name, message, made)
        elif message.framing not in ("none", "tunnel"):
            self._numbered(side, name, message, made)
        if message.problems and len(made.bodies) == before:
            text = f"HTTP {message.kind} {message.number}: {'; '.join(message.problems)}"
            if message.complete:
                made.note(text)
            else:
                made.lack(text)

    def _numbered(self, side: Side, name: str, message: Message, made: Extracted) -> None:
        stem = f"{name}-HTTPBODY-{message.number:03d}"
        ending = extension(field(message.fields, b"content-type"))
        applied = http_coding.codings(message.fields) if self._decompress else ()
        if not applied:
            self._as_sent(side, message, made, (stem, ending))
        elif problem := _not_decoded(applied):
            self._as_sent(side, message, made, (stem, ending + _extensions(applied)), problem)
        elif failure := self._decoded(side, message, made, (stem, ending), applied):
            self._as_sent(side, message, made, (stem, ending + _extensions(applied)), failure)

    def _by_man_page(self, side: Side, name: str, message: Message, made: Extracted) -> None:
        number = f"-{message.number:03d}" if message.number > 1 else ""
        head = bytes(side.data[message.start : message.body_start])
        self._store(made, message.start, (f"{name}-HTTP{number}", ""), (head,))
        if message.framing in ("none", "tunnel"):
            return
        applied = http_coding.codings(message.fields) if self._decompress else ()
        problem = _not_decoded(applied) if applied else ""
        sent = len(made.bodies)
        self._as_sent(side, message, made, (f"{name}-HTTPBODY{number}", ""), problem)
        if applied and not problem and len(made.bodies) > sent:
            file = (f"{name}-HTTPBODY-GZIP{number}", "")
            if failure := self._decoded(side, message, made, file, applied):
                made.bodies[sent] = _with_problem(made.bodies[sent], failure)

    def _as_sent(
        self,
        side: Side,
        message: Message,
        made: Extracted,
        file: tuple[str, str],
        problem: str = "",
    ) -> None:
        problems = (*message.problems, problem) if problem else message.problems
        with closing(body(side, message)) as pieces:
            self._store(made, message.body_start, file, _relieved(pieces, side), problems)

    def _decoded(
        self,
        side: Side,
        message: Message,
        made: Extracted,
        file: tuple[str, str],
        applied: Sequence[str],
    ) -> str:
        """Store the decoded body; returns why the bytes as sent are worth keeping too, or ""."""
        with closing(body(side, message, to_gap=True)) as pieces:
            decoding = _Decoding(http_coding.decode(_relieved(pieces, side), applied, self._limits))
            count = len(made.bodies)
            self._store(made, message.body_start, file, decoding, message.problems)
        error = decoding.error
        if error is None:
            return ""
        if len(made.bodies) > count:
            made.bodies[-1] = _with_problem(made.bodies[-1], str(error))
        return f"kept as sent: {error}"

    def _store(
        self,
        made: Extracted,
        offset: int,
        file: tuple[str, str],
        pieces: Iterable[bytes | memoryview],
        problems: tuple[str, ...] = (),
    ) -> None:
        name, size = self._outdir.store(*file, pieces)
        if size:
            made.bodies.append(Body(offset, name, size, problems))


class _Decoding:
    """Decoded pieces, and what ended them early."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.error: http_coding.CodingError | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._pieces
        except http_coding.CodingError as error:
            # Without a traceback: its frames would hold on to the stream's mapped bytes.
            self.error = type(error)(*error.args)


def _with_problem(body: Body, problem: str) -> Body:
    return body._replace(problems=(*body.problems, problem))


def _not_decoded(applied: Sequence[str]) -> str:
    """Why the codings cannot be undone, or "". What they are called comes from packets."""
    if len(applied) > http_coding.MOST_CODINGS:
        return f"kept as sent: it has {len(applied)} codings"
    for coding in applied:
        if not http_coding.known(coding):
            missing = coding in http_coding.EXTENSIONS
            why = "its Python module is not installed" if missing else "it is not known"
            return f"kept as sent: its coding {coding[:40]!a} cannot be undone: {why}"
    return ""


def _extensions(applied: Sequence[str]) -> str:
    known = [http_coding.EXTENSIONS[name] for name in applied if name in http_coding.EXTENSIONS]
    return "".join(f".{name}" for name in known[-http_coding.MOST_CODINGS :])


def _relieved(pieces: Iterable[bytes | memoryview], side: Side) -> Iterable[bytes | memoryview]:
    """Pass pieces on, and let go of mapped pages: a body of gigabytes need not stay in memory."""
    data = side.data
    return _unmapping(pieces, data) if isinstance(data, mmap) else pieces


def _unmapping(pieces: Iterable[bytes | memoryview], data: mmap) -> Iterator[bytes | memoryview]:
    passed = 0
    for piece in pieces:
        yield piece
        passed += len(piece)
        if passed >= _RELIEF_BYTES:
            passed = 0
            data.madvise(MADV_DONTNEED)
