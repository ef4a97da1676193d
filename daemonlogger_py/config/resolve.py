"""Flags, filter words and a TOML file, joined into one RecorderConfig.

Knows who wins and which RecorderConfig field a value goes to. Reading a single value is the
option's own parser; what options mean to each other, and to the disk, is `config.checks`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daemonlogger_py.config.checks import Given, check
from daemonlogger_py.config.option import (
    LIST_TYPES,
    NUMBER_TYPES,
    SWITCH_TYPES,
    TEXT_TYPES,
    Option,
)
from daemonlogger_py.config.options import BY_LONG
from daemonlogger_py.config.recorder import RecorderConfig, RollTime
from daemonlogger_py.errors import UsageError

FILTER_KEY = "filter"
Flag = str | bool | list[str]
KEYS = frozenset(option.long for option in BY_LONG.values() if not option.command) | {FILTER_KEY}

# Two ways to say the same thing: within one place they contradict each other, but a flag is
# meant to win over the file, whichever of the two ways the file took.
ALTERNATIVES = (("interface", "read"), ("filter-file", FILTER_KEY))


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A TOML file as it was read; its keys and types are not checked yet."""

    path: str
    table: Mapping[str, object]


def read_config_file(path: str) -> ConfigFile:
    """Read the TOML file `path`. Raises UsageError when it cannot be read or is not TOML."""
    import tomllib  # 7 ms that a start without --config need not pay

    try:
        with open(path, "rb") as file:
            return ConfigFile(path, tomllib.load(file))
    except OSError as error:
        raise UsageError(f"--config {path!r}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path!r}: not TOML: {error}") from error


def resolve(
    flags: Mapping[str, Flag], words: Sequence[str] = (), file: ConfigFile | None = None
) -> RecorderConfig:
    """Return what is asked for, validated: flags (by long name) win over `file`.

    A switch in `flags` is True; every other value is the text the user wrote, or a list of them
    for what may be given several times. `words` are the filter words. Raises UsageError naming the
    option, or the file and its key, the value, and what is accepted.
    """
    given = _from_file(file) if file else {}
    from_flags = _from_flags(flags, words)
    for alternatives in ALTERNATIVES:
        if any(name in from_flags for name in alternatives):
            for name in alternatives:
                given.pop(name, None)
    given.update(from_flags)
    config = RecorderConfig(**_fields(given))
    check(config, given)
    return config


def _from_flags(flags: Mapping[str, Flag], words: Sequence[str]) -> dict[str, Given]:
    given = {}
    for name, raw in flags.items():
        option = BY_LONG[name]
        if not option.command:
            given[name] = _given(option, option.label, raw)
    text = " ".join(words).strip()
    if text:
        given[FILTER_KEY] = Given("filter", text, text)
    return given


def _from_file(file: ConfigFile) -> dict[str, Given]:
    given = {}
    for key, raw in file.table.items():
        label = f"{file.path}: {key}"
        if key not in KEYS:
            raise UsageError(
                f"{file.path}: unknown key {key!r}; accepted: {', '.join(sorted(KEYS))}"
            )
        if key == FILTER_KEY:
            _require_type(label, raw, TEXT_TYPES)
            text = str(raw).strip()
            if "\0" in text:
                raise UsageError(f"{label}: {text!r} holds a NUL character, which no filter does")
            if text:
                given[key] = Given(label, text, text)
            continue
        option = BY_LONG[key]
        _require_type(label, raw, option.types)
        if raw is not False:  # a switch that is off is as good as not there
            given[key] = _given(option, label, raw)
    return given


def _given(option: Option, label: str, raw: object) -> Given:
    if option.metavar is None:
        return Given(label, str(raw), raw)
    if not option.repeatable:
        return Given(label, str(raw), option.judged(str(raw), label))
    several = []
    for item in raw if isinstance(raw, list) else [raw]:
        _require_type(label, item, TEXT_TYPES)
        several.append(str(item))
    return Given(label, " ".join(several), tuple(option.judged(item, label) for item in several))


def _require_type(label: str, raw: object, types: tuple[type, ...]) -> None:
    # type() and not isinstance(): true is an int to Python, and "count = true" a mistake to us.
    if type(raw) not in types:
        names: dict[tuple[type, ...], str] = {
            SWITCH_TYPES: "true or false",
            TEXT_TYPES: "a string",
            LIST_TYPES: "a string or a list of strings",
        }
        accepted = names.get(types)
        if accepted is None:
            accepted = "a whole number or a string" if types == NUMBER_TYPES else "a number"
        raise UsageError(f"{label}: {raw!r} is not accepted; accepted: {accepted}")


def _fields(given: Mapping[str, Given]) -> dict[str, Any]:
    fields: dict[str, Any] = {name.replace("-", "_"): item.value for name, item in given.items()}
    if "roll_time" in fields:
        fields["roll_time"] = RollTime(*fields["roll_time"])
    if fields.pop("no_promiscuous", False):
        fields["promiscuous"] = False
    min_free = fields.pop("min_free", None)
    if isinstance(min_free, float):
        fields["min_free_percent"] = min_free
    elif min_free is not None:
        fields["min_free_bytes"] = min_free
    for name in ("catalog", "sandbox"):
        if name in fields:
            fields[name] = fields[name] == "on"
    fields["roll_size_given"] = "roll_size" in fields
    return fields
