"""From what was given on the command line of a verb of the archive to its configuration.

One function a verb, in `RULES`. They know which field a value goes to and what options mean to each
other; a single value is read by the option's own parser. Looks at nothing on disk but the filter
file.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from daemonlogger_py.config import units
from daemonlogger_py.config.archive import (
    EXTRACT_MEMORY_BYTES,
    INDEX_SMALLEST_BYTES,
    ExtractConfig,
    IndexConfig,
    LsConfig,
    PinConfig,
    PinsConfig,
    StatusConfig,
    UnpinConfig,
    VerifyConfig,
    Where,
)
from daemonlogger_py.config.option import Option
from daemonlogger_py.errors import UsageError

LARGEST = (1 << 63) - 1  # SQLite's integers: pins' numbers, and times, in the year 2262

AnyConfig = (
    ExtractConfig
    | IndexConfig
    | LsConfig
    | PinConfig
    | PinsConfig
    | StatusConfig
    | UnpinConfig
    | VerifyConfig
)


class Given:
    """What was given to one verb: values by long name, and how a message names them."""

    def __init__(
        self, verb: str, found: Sequence[tuple[Option, str | None]], words: Sequence[str] = ()
    ) -> None:
        """Judge each value by itself. Raises UsageError naming the option and what is accepted."""
        self.words = tuple(words)
        self._verb = verb
        self._values: dict[str, Any] = {}
        self._labels: dict[str, str] = {}
        for option, text in found:
            self._take(option, option.absent if text is None else text)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def get(self, name: str, default: Any = None) -> Any:
        """The value of the option `name`, the last one given; a tuple of all if it may repeat."""
        return self._values.get(name, default)

    def label(self, name: str) -> str:
        """The option `name` as it was given: --from '-1h'."""
        return self._labels[name]

    def missing(self, what: str) -> UsageError:
        """The error to raise where `what`, a word or an option, has to be there."""
        return UsageError(f"{self._verb}: {what}; see dlctl {self._verb} --help")

    def _take(self, option: Option, text: str | None) -> None:
        name = option.long
        self._labels[name] = option.as_given(text)
        value: Any = True if text is None else option.judged(text)
        if option.repeatable:
            value = (*self._values.get(name, ()), value)
        self._values[name] = value


def ls(given: Given) -> LsConfig:
    """Return what ``dlctl ls`` is asked for."""
    return LsConfig(_where(given, _paths(given)), json="json" in given, gaps="no-gaps" not in given)


def verify(given: Given) -> VerifyConfig:
    """Return what ``dlctl verify`` is asked for."""
    _exclude(given, "rebuild", "repair")
    for name in ("from", "to", "no-hashes"):
        # Half a catalog would pass for a whole one.
        _exclude(given, "rebuild", name)
    _exclude(given, "no-indexes", "index-dir")
    return VerifyConfig(
        _where(given, _paths(given)),
        json="json" in given,
        rebuild="rebuild" in given,
        repair="repair" in given,
        jobs=given.get("jobs"),
        hashes="no-hashes" not in given,
        indexes="no-indexes" not in given,
        index_dir=given.get("index-dir"),
        progress="no-progress" not in given,
    )


def index(given: Given) -> IndexConfig:
    """Return what ``dlctl index`` is asked for."""
    return IndexConfig(
        _where(given, _paths(given)),
        index_dir=given.get("index-dir"),
        follow="follow" in given,
        rebuild="rebuild" in given,
        jobs=given.get("jobs"),
        progress="no-progress" not in given,
        verbose="verbose" in given,
        smallest_bytes=given.get("smallest", INDEX_SMALLEST_BYTES),
    )


def extract(given: Given) -> ExtractConfig:
    """Return what ``dlctl extract`` is asked for; a filter file is read here."""
    paths = given.get("read", ())
    if "-" in paths:
        raise UsageError(
            "-r/--read '-': standard input is not accepted; accepted: a savefile or a directory"
        )
    _exclude(given, "no-index", "index-dir")
    _exclude(given, "reverse", "follow")
    if "follow" in given and "ring" not in given:
        raise UsageError("--follow: accepted only with --ring")
    where = _where(given, paths, missing="-r PATH or --ring DIR is missing")
    return ExtractConfig(
        where,
        filter_text=_filter(given),
        output=given.get("write", "-"),
        pcapng="pcapng" in given,
        max_packets=given.get("count"),
        reverse="reverse" in given,
        follow="follow" in given,
        stats="stats" in given,
        use_index="no-index" not in given,
        index_dir=given.get("index-dir"),
        jobs=given.get("jobs"),
        memory_bytes=given.get("memory", EXTRACT_MEMORY_BYTES),
    )


def status(given: Given) -> StatusConfig:
    """Return what ``dlctl status`` is asked for."""
    ring, rest = _ring(given)
    _no_more_words(rest)
    return StatusConfig(ring, given.get("prefix"), json="json" in given, watch_s=given.get("watch"))


def pin(given: Given) -> PinConfig:
    """Return what ``dlctl pin`` is asked for."""
    ring, rest = _ring(given)
    _no_more_words(rest)
    quota_bytes = given.get("quota")
    if "from" not in given:
        for name in ("to", "reason"):
            if name in given:
                raise UsageError(f"{given.label(name)}: accepted only with --from")
        if quota_bytes is None:
            raise given.missing("--from TIME is missing")
        return PinConfig(ring, given.get("prefix"), quota_bytes=quota_bytes)
    if "reason" not in given:
        raise given.missing("--reason TEXT is missing")
    from_ns = _time(given, "from")
    to_ns = _time(given, "to") if "to" in given else units.parse_time("now")
    _require_span(given, from_ns, to_ns)
    return PinConfig(
        ring,
        given.get("prefix"),
        from_ns=from_ns,
        to_ns=to_ns,
        reason=given.get("reason"),
        quota_bytes=quota_bytes,
    )


def unpin(given: Given) -> UnpinConfig:
    """Return what ``dlctl unpin`` is asked for."""
    ring, rest = _ring(given)
    if "all" in given:
        _no_more_words(rest)
    elif not rest:
        raise given.missing("NUMBER of a pin, or --all, is missing")
    try:
        numbers = tuple(units.parse_count(word, at_most=LARGEST) for word in rest)
    except ValueError as error:
        raise UsageError(f"NUMBER of a pin: {error}") from error
    return UnpinConfig(ring, tuple(dict.fromkeys(numbers)), given.get("prefix"))


def pins(given: Given) -> PinsConfig:
    """Return what ``dlctl pins`` is asked for."""
    ring, rest = _ring(given)
    _no_more_words(rest)
    return PinsConfig(ring, given.get("prefix"), json="json" in given)


RULES: Mapping[str, Callable[[Given], AnyConfig]] = {
    "ls": ls,
    "status": status,
    "extract": extract,
    "verify": verify,
    "index": index,
    "pin": pin,
    "unpin": unpin,
    "pins": pins,
}


def _where(
    given: Given, paths: Sequence[str], *, missing: str = "PATH or --ring DIR is missing"
) -> Where:
    rings = given.get("ring", ())
    if not paths and not rings:
        raise given.missing(missing)
    if "prefix" in given and not rings:
        raise UsageError(f"{given.label('prefix')}: accepted only with --ring")
    from_ns, to_ns = _time(given, "from"), _time(given, "to")
    _require_span(given, from_ns, to_ns)
    return Where(tuple(paths), tuple(rings), given.get("prefix"), from_ns, to_ns)


def _time(given: Given, name: str) -> int | None:
    time_ns: int | None = given.get(name)
    return None if time_ns is None else min(time_ns, LARGEST)


def _paths(given: Given) -> tuple[str, ...]:
    return tuple(_path(word, "PATH") for word in given.words)


def _ring(given: Given) -> tuple[str, Sequence[str]]:
    """The one ring that is meant, and the words that do not name it."""
    if "ring" in given:
        return str(given.get("ring")), given.words
    if not given.words:
        raise given.missing("DIR is missing")
    return _path(given.words[0], "DIR"), given.words[1:]


def _path(word: str, metavar: str) -> str:
    try:
        return units.parse_name(word)
    except ValueError as error:
        raise UsageError(f"{metavar}: {error}") from error


def _filter(given: Given) -> str:
    text = " ".join(given.words).strip()
    if "filter-file" not in given:
        if "\0" in text:
            raise UsageError(f"filter {text[:80]!r} holds a NUL character, which no filter does")
        return text
    if text:
        raise UsageError(
            f"{given.label('filter-file')} and filter {text[:80]!r}: only one of them is accepted"
        )
    from daemonlogger_py.config.filter_file import read_filter_file

    return read_filter_file(given.get("filter-file"))


def _require_span(given: Given, from_ns: int | None, to_ns: int | None) -> None:
    if from_ns is not None and to_ns is not None and from_ns >= to_ns:
        if "to" not in given:
            raise UsageError(f"{given.label('from')}: is to come, and --to is missing")
        raise UsageError(f"{given.label('from')} and {given.label('to')}: nothing is between them")


def _exclude(given: Given, one: str, other: str) -> None:
    if one in given and other in given:
        raise UsageError(
            f"{given.label(one)} and {given.label(other)}: only one of them is accepted"
        )


def _no_more_words(words: Sequence[str]) -> None:
    if words:
        raise UsageError(f"{words[0][:80]!r}: not accepted here; accepted: one DIR")
