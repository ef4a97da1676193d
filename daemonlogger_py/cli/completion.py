"""Completion for bash, zsh and fish, from the tables the parsers come from.

``python -m daemonlogger_py.cli.completion SHELL [PROGRAM]`` prints the script of ``daemonlogger``,
or of ``dlctl``; a test holds the files in ``packaging/completion/`` to what is printed.

Own generators, because of what the alternatives leave out: argcomplete starts Python at every press
of the key; shtab knows neither bundled letters nor --name=value nor names with blanks in bash, and
fish in no release that distributions carry.
"""

import functools
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from daemonlogger_py.cli import outcome
from daemonlogger_py.cli.dlctl import HELP, VERBS, VERSION
from daemonlogger_py.config.archive_options import VERB_OPTIONS
from daemonlogger_py.config.option import Option
from daemonlogger_py.config.options import OPTIONS
from daemonlogger_py.config.stream_options import STREAM_OPTIONS
from daemonlogger_py.config.stream_scanners import ALL, SCANNER_NAMES
from daemonlogger_py.errors import UsageError


class Kind(Enum):
    """What the shell offers for a value."""

    NOTHING = "nothing"
    SOURCE = "source"  # an interface, or any
    INTERFACE = "interface"
    FILE = "file"
    DIRECTORY = "directory"
    USER = "user"
    GROUP = "group"
    COMMAND = "command"


# By the table's metavar; one that is not here, such as SIZE, has nothing that could be listed.
KINDS = {
    "IFACE": Kind.INTERFACE,
    "FILE": Kind.FILE,
    "FILE.toml": Kind.FILE,
    "DIR": Kind.DIRECTORY,
    "USER": Kind.USER,
    "GROUP": Kind.GROUP,
    "CMD": Kind.COMMAND,
    "PATH": Kind.FILE,
}
# By the metavar too, where all there is to choose from is in a table.
CHOICES = {"SCANNER": (ALL, *SCANNER_NAMES)}
# What the words besides the options are, of each verb.
OPERANDS = {
    "ls": ("PATH", Kind.FILE),
    "status": ("DIR", Kind.DIRECTORY),
    "extract": ("filter word", Kind.NOTHING),
    # Words are files with -l; nothing can be offered for those of a filter.
    "streams": ("filter word or FILE", Kind.FILE),
    "verify": ("PATH", Kind.FILE),
    "index": ("PATH", Kind.FILE),
    "pin": ("DIR", Kind.DIRECTORY),
    "unpin": ("DIR or NUMBER", Kind.DIRECTORY),
    "pins": ("DIR", Kind.DIRECTORY),
}


@dataclass(frozen=True, slots=True)
class Flag:
    """One option as a shell sees it."""

    names: tuple[str, ...]  # with their dashes, the letter first
    help: str
    metavar: str | None = None  # None: takes no value
    kind: Kind = Kind.NOTHING
    choices: tuple[str, ...] = ()
    repeatable: bool = False
    optional: bool = False  # its value may be left out; offered for --name=value alone


@dataclass(frozen=True, slots=True)
class Program:
    """A command, or one verb of it."""

    name: str
    help: str
    flags: tuple[Flag, ...]
    operand: str  # what the words besides the options are
    operand_kind: Kind = Kind.NOTHING
    verbs: tuple["Program", ...] = ()


def recorder() -> Program:
    """Return ``daemonlogger`` as its table of options has it."""
    flags = tuple(_flag_of_option(option) for option in OPTIONS)
    return Program("daemonlogger", "record packets", flags, "filter word")


def reader() -> Program:
    """Return ``dlctl``, and its verbs with their tables of options."""
    flags = (
        Flag(HELP, "show this help, and exit"),
        Flag(VERSION, "show the versions of dlctl and libpcap, and exit"),
    )
    verbs = tuple(
        Program(
            verb.name,
            verb.help,
            tuple(map(_flag_of_option, VERB_OPTIONS.get(verb.name, STREAM_OPTIONS))),
            *OPERANDS[verb.name],
        )
        for verb in VERBS
    )
    return Program("dlctl", "", flags, "", verbs=verbs)


def _flag_of_option(option: Option) -> Flag:
    names = (*([f"-{option.short}"] if option.short else []), f"--{option.long}")
    choices: tuple[str, ...] = CHOICES.get(option.metavar or "", ())
    if isinstance(option.parse, functools.partial):
        choices = tuple(option.parse.keywords.get("choices", choices))
    # One can record from any, but not send out of it.
    kind = Kind.SOURCE if option.long == "interface" else KINDS.get(option.metavar or "")
    return Flag(
        names,
        option.help,
        option.metavar,
        kind or Kind.NOTHING,
        choices,
        repeatable=option.repeatable,
        optional=option.absent is not None,
    )


def bash(program: Program) -> str:
    """Return the completion script for bash, which needs no other script to be there."""
    name = _identifier(program.name)
    body = [*_bash_state(program), ""]
    for verb in program.verbs:
        body += [f"if [[ $verb == {verb.name} ]]; then"]
        body += _indented([*_bash_values(verb), *_bash_names(verb), "return"])
        body += ["fi"]
    body += [*_bash_values(program), *_bash_names(program)]
    lines = [*_heading("bash", program), ""]
    lines += [f"{name}() {{", *_indented(body), "}", "", f"complete -F {name} {program.name}"]
    return "\n".join(lines) + "\n"


def _bash_state(program: Program) -> Iterator[str]:
    """Lines that find the word, the one before that it may be the value of, and the verb."""
    yield "local word=$2 name"
    yield "COMPREPLY=()"
    yield '[[ " ${COMP_WORDS[*]:1:COMP_CWORD-1} " != *" -- "* ]] || return'
    if any(map(_needs_value, _every_flag(program))):
        yield from (
            "local before=$3 option=''",
            "# bash breaks --name=value at the sign.",
            "if [[ $word == '=' ]]; then",
            "    word=''",
            "elif [[ $before == '=' ]]; then",
            "    before=${COMP_WORDS[COMP_CWORD - 2]}",
            "fi",
        )
    if program.verbs:
        yield "local verb=''"
        yield 'for name in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do'
        yield "    [[ $name == -* ]] || { verb=$name; break; }"
        yield "done"


def _bash_option(valued: Sequence[Flag]) -> Iterator[str]:
    """Lines that find the option, one of `valued`, that the word is the value of."""
    letters = sorted({name[1] for flag in valued for name in flag.names if _is_letter(name)})
    yield "if [[ $before == --* ]]; then"
    yield "    option=$before"
    if letters:
        yield from (
            "elif [[ $before == -* ]]; then",
            "    # Letters may be bundled; the first with a value takes all that follows.",
            "    option=${before#-}",
            f'    while [[ $option && {"".join(letters)} != *"${{option:0:1}}"* ]]; do',
            "        option=${option:1}",
            "    done",
            "    option=-$option",
        )
    yield "fi"


def _bash_values(program: Program) -> Iterator[str]:
    branches = [line for flags in _alike(program.flags) for line in _bash_branch(flags)]
    if branches:
        yield from _bash_option([flag for flag in program.flags if _needs_value(flag)])
        yield "case $option in"
        yield from _indented(branches)
        yield "esac"


def _bash_branch(flags: Sequence[Flag]) -> Iterator[str]:
    pattern = " | ".join(name for flag in flags for name in flag.names)
    rows = textwrap.wrap(f"{pattern})", 90, break_on_hyphens=False, break_long_words=False)
    yield from (f"{row} \\" for row in rows[:-1])
    yield rows[-1]
    yield from _indented([*_bash_offer(flags[0].kind, flags[0].choices), "return"])
    yield "    ;;"


def _bash_offer(kind: Kind, choices: Sequence[str]) -> Iterator[str]:
    if choices:
        yield f"mapfile -t COMPREPLY < <(compgen -W '{' '.join(choices)}' -- \"$word\")"
    elif kind in (Kind.SOURCE, Kind.INTERFACE):
        # compgen -W would run what stands in an interface's name.
        first = "any " if kind is Kind.SOURCE else ""
        yield f"for name in {first}/sys/class/net/*/; do"
        yield "    name=${name%/}"
        yield "    name=${name##*/}"
        yield '    [[ $name != "$word"* ]] || COMPREPLY+=("$(printf %q "$name")")'
        yield "done"
    elif kind is Kind.FILE:
        yield "compopt -o default  # readline's own, which quotes names and knows ~"
    elif kind is Kind.DIRECTORY:
        yield "compopt -o dirnames"
    elif kind is not Kind.NOTHING:
        action = {Kind.USER: "-u", Kind.GROUP: "-g", Kind.COMMAND: "-c"}[kind]
        yield f'mapfile -t COMPREPLY < <(compgen {action} -- "$word")'


def _bash_names(program: Program) -> Iterator[str]:
    names = [name for flag in program.flags for name in flag.names]
    yield "if [[ $word == -* ]]; then"
    yield from _indented(_bash_words(names))
    if program.verbs:
        yield "else"
        yield from _indented(_bash_words([verb.name for verb in program.verbs]))
    elif program.operand_kind is not Kind.NOTHING:
        yield "else"
        yield from _indented(_bash_offer(program.operand_kind, ()))
    yield "fi"


def _bash_words(words: Sequence[str]) -> list[str]:
    rows = textwrap.wrap(" ".join(words), 90, break_on_hyphens=False, break_long_words=False)
    if len(rows) > 1:
        rows = ["", *(f"    {row}" for row in rows), ""]
    return f"mapfile -t COMPREPLY < <(compgen -W '{chr(10).join(rows)}' -- \"$word\")".split("\n")


def zsh(program: Program) -> str:
    """Return the completion script for zsh: a file of its own in ``$fpath``."""
    name = _identifier(program.name)
    lines = [f"#compdef {program.name}", *_heading("zsh", program), ""]
    if _asks_for_interfaces(program):
        lines += [
            f"{name}_interfaces() {{",
            "    local expl",
            "    _wanted interfaces expl interface compadd -- $@ /sys/class/net/*(N-/:t)",
            "}",
            "",
        ]
    if program.verbs:
        body = ["local curcontext=$curcontext state line", "typeset -A opt_args", ""]
        body += _zsh_arguments(
            "_arguments -C -s -S", name, program, ["'1:verb:->verb'", "'*::word:->word'"]
        )
        body += ["case $state in", "    verb)", "        local -a verbs=("]
        body += [f"            {_quoted(f'{one.name}:{one.help}')}" for one in program.verbs]
        body += ["        )", "        _describe verb verbs", "        ;;", "    word)"]
        body += ["        case $line[1] in"]
        for one in program.verbs:
            rest = [f"'*:{one.operand}:{_zsh_action(name, one.operand_kind, ())}'"]
            arguments = _zsh_arguments("_arguments -s -S", name, one, rest)
            body += [f"            {one.name})", *_indented(arguments, 16), "                ;;"]
        body += ["        esac", "        ;;", "esac"]
    else:
        rest = [f"'*:{program.operand}:{_zsh_action(name, program.operand_kind, ())}'"]
        body = _zsh_arguments("_arguments -s -S", name, program, rest)
    lines += [f"{name}() {{", *_indented(body), "}", "", f'{name} "$@"']
    return "\n".join(lines) + "\n"


def _zsh_arguments(start: str, name: str, program: Program, rest: Sequence[str]) -> list[str]:
    specs = [*(_zsh_spec(name, flag) for flag in program.flags), *rest]
    return [f"{start} \\", *(f"    {spec} \\" for spec in specs[:-1]), f"    {specs[-1]}"]


def _zsh_spec(name: str, flag: Flag) -> str:
    text = re.sub(r"([\[\]\\:])", r"\\\1", flag.help)
    value = ""
    if flag.metavar:
        metavar = re.sub(r"([\\:])", r"\\\1", flag.metavar)
        value = f"{':' * (1 + flag.optional)}{metavar}:{_zsh_action(name, flag.kind, flag.choices)}"
    # -i may have its value attached, --interface=value too; each also as the next word.
    marks = ("-", "=-") if flag.optional else ("+", "=") if flag.metavar else ("", "")
    names = [f"{one}{marks[not _is_letter(one)]}" for one in flag.names]
    either = f"{{{','.join(names)}}}" if len(names) > 1 else names[0]
    # A second one is no longer offered, unless it may be given several times.
    often = _quoted("*" if flag.repeatable else f"({' '.join(flag.names)})")
    return often + either + _quoted(f"[{text}]{value}")


def _zsh_action(name: str, kind: Kind, choices: Sequence[str]) -> str:
    if choices:
        return f"({' '.join(choices)})"
    return {
        Kind.NOTHING: "()",  # a message alone would keep the one option that fits from being put in
        Kind.SOURCE: f"{{{name}_interfaces any}}",
        Kind.INTERFACE: f"{name}_interfaces",
        Kind.FILE: "_files",
        Kind.DIRECTORY: "_path_files -/",
        Kind.USER: "_users",
        Kind.GROUP: "_groups",
        Kind.COMMAND: "_command_names -e",
    }[kind]


def fish(program: Program) -> str:
    """Return the completion script for fish."""
    name = _identifier(program.name)
    lines = [*_heading("fish", program), ""]
    if _asks_for_interfaces(program):
        lines += [
            f"function {name}_interfaces",
            r"    string replace -r '^/sys/class/net/(.*)/$' '$1' -- /sys/class/net/*/",
            "end",
            "",
        ]
    complete = f"complete -c {program.name}"
    first = f"{complete} -n __fish_use_subcommand" if program.verbs else complete
    if program.operand_kind is Kind.NOTHING:
        lines.append(f"{first} -f")
    lines += [f"{first} {_fish_flag(name, flag)}" for flag in program.flags]
    for verb in program.verbs:
        lines.append(f"{first} -a {verb.name} -d {_fish_quoted(verb.help)}")
        within = f"{complete} -n '__fish_seen_subcommand_from {verb.name}'"
        if verb.operand_kind is Kind.NOTHING:
            lines.append(f"{within} -f")
        elif verb.operand_kind is Kind.DIRECTORY:
            lines.append(f"{within} -f -a '(__fish_complete_directories)'")
        lines += [f"{within} {_fish_flag(name, flag)}" for flag in verb.flags]
    return "\n".join(lines) + "\n"


def _fish_flag(name: str, flag: Flag) -> str:
    words = [f"-s {one[1:]}" if _is_letter(one) else f"-l {one[2:]}" for one in flag.names]
    if _needs_value(flag) and flag.kind is Kind.FILE:
        words.append("-r -F")
    elif _needs_value(flag):
        words.append("-x")
        offers = " ".join(flag.choices) or {
            Kind.SOURCE: f"any ({name}_interfaces)",
            Kind.INTERFACE: f"({name}_interfaces)",
            Kind.DIRECTORY: "(__fish_complete_directories)",
            Kind.USER: "(__fish_complete_users)",
            Kind.GROUP: "(__fish_complete_groups)",
            Kind.COMMAND: "(__fish_complete_command)",
        }.get(flag.kind, "")
        words += [f"-a {_fish_quoted(offers)}"] if offers else []
    return " ".join([*words, f"-d {_fish_quoted(flag.help)}"])


def _heading(shell: str, program: Program) -> list[str]:
    argument = "" if program.name == "daemonlogger" else f" {program.name}"
    return [
        f"# {shell} completion for {program.name}.",
        f"# Generated by python -m daemonlogger_py.cli.completion {shell}{argument}; do not edit.",
    ]


def _alike(flags: Sequence[Flag]) -> Iterator[list[Flag]]:
    """Flags that must have a value, together where the same is offered for it."""
    groups: dict[tuple[Kind, tuple[str, ...]], list[Flag]] = {}
    for flag in flags:
        if _needs_value(flag):
            groups.setdefault((flag.kind, flag.choices), []).append(flag)
    yield from groups.values()


def _every_flag(program: Program) -> list[Flag]:
    return [flag for one in (program, *program.verbs) for flag in one.flags]


def _asks_for_interfaces(program: Program) -> bool:
    return any(flag.kind in (Kind.SOURCE, Kind.INTERFACE) for flag in _every_flag(program))


def _needs_value(flag: Flag) -> bool:
    return flag.metavar is not None and not flag.optional


def _is_letter(name: str) -> bool:
    return not name.startswith("--")


def _identifier(name: str) -> str:
    return "_" + re.sub(r"\W", "_", name)


def _indented(lines: "Sequence[str] | Iterator[str]", by: int = 4) -> list[str]:
    return [f"{' ' * by}{line}" if line else "" for line in lines]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", r"'\''") + "'"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", r"\'") + "'"


SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}
PROGRAMS = {"daemonlogger": recorder, "dlctl": reader}


def main(argv: list[str] | None = None) -> int:
    """Print the script for the shell that `argv` names first, of the program it names second."""
    return outcome.run("completion", lambda: _command(sys.argv[1:] if argv is None else argv))


def _command(argv: Sequence[str]) -> int:
    shell, program = [*argv, "daemonlogger"][:2] if argv else ("", "daemonlogger")
    if shell not in SHELLS or program not in PROGRAMS or len(argv) > 2:
        raise UsageError(
            f"{' '.join(argv)!r} is not accepted; accepted: one of {', '.join(SHELLS)},"
            f" then nothing or one of {', '.join(PROGRAMS)}"
        )
    outcome.write_out(SHELLS[shell](PROGRAMS[program]()).removesuffix("\n"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
