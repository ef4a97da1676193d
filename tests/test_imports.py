"""Native sources keep the layers of ``[tool.importlinter]``, whose tool reads Python alone."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "daemonlogger_py"
NATIVE = sorted(path for path in (ROOT / PACKAGE).rglob("*") if path.suffix in {".pyx", ".pxd"})

NOT_CODE = re.compile(r'"""(?:.|\n)*?"""|\'\'\'(?:.|\n)*?\'\'\'|#.*')
CONTINUATION = re.compile(r"\\\n")
FROM = re.compile(r"^[ \t]*from\s+(\.*[\w.]*)\s+c?import\s+(\([^)]*\)|[^\n;]+)", re.MULTILINE)
IMPORT = re.compile(r"^[ \t]*c?import\s+([^\n;]+)", re.MULTILINE)
INCLUDE = re.compile(r"^[ \t]*include\s+['\"]", re.MULTILINE)


def layers() -> list[set[str]]:
    """Layers of the contract from the top; the names in one may not import each other."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = (
        contract
        for contract in config["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers" and contract["containers"] == [PACKAGE]
    )
    return [{name.strip(" ()") for name in layer.split("|")} for layer in contract["layers"]]


def imported(source: str, package: str) -> set[str]:
    """Dotted names that a Cython source of that package imports or cimports."""
    code = CONTINUATION.sub(" ", NOT_CODE.sub("", source))
    names = set()
    for module, what in FROM.findall(code):
        base = absolute(module, package)
        names |= {f"{base}.{name}" for name in listed(what)}
    for what in IMPORT.findall(code):
        names |= listed(what)
    return names


def listed(what: str) -> set[str]:
    """Names of an import list, without what they are called here."""
    return {name.split()[0] for name in what.strip("()\n ").split(",") if name.strip()}


def absolute(module: str, package: str) -> str:
    """Resolve a relative module name: one dot is the package itself."""
    dots = len(module) - len(module.lstrip("."))
    if dots == 0:
        return module
    base = package.split(".")[: len(package.split(".")) - (dots - 1)]
    return ".".join([*base, *filter(None, [module[dots:]])])


def violations(source: str, path: str) -> list[str]:
    """What a source at that path (relative to the root) imports against the contract."""
    package = path.rpartition("/")[0].replace("/", ".")
    own = package.removeprefix(f"{PACKAGE}.").split(".")[0]
    contract = layers()
    level = next(index for index, layer in enumerate(contract) if own in layer)
    below = set().union(*contract[level + 1 :])
    return [
        f"{path} imports {name}"
        for name in sorted(imported(source, package))
        if name.split(".")[0] == PACKAGE and name.split(".")[1] not in {own, *below}
    ]


def test_there_is_something_to_scan() -> None:
    assert {path.parent.name for path in NATIVE} >= {"engine", "savefile"}


@pytest.mark.parametrize("path", NATIVE, ids=lambda path: str(path.relative_to(ROOT)))
def test_native_source_imports_only_layers_below(path: Path) -> None:
    source = path.read_text()

    assert violations(source, path.relative_to(ROOT).as_posix()) == []
    assert not INCLUDE.search(source), "included text has no layer: cimport it"


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("from daemonlogger_py.record import ring", {"daemonlogger_py.record.ring"}),
        ("    from daemonlogger_py.record import ring", {"daemonlogger_py.record.ring"}),
        ("from daemonlogger_py cimport record as r", {"daemonlogger_py.record"}),
        ("from daemonlogger_py.cli cimport (\n    a,\n    b as c,\n)",
         {"daemonlogger_py.cli.a", "daemonlogger_py.cli.b"}),
        ("from daemonlogger_py.cli import a, \\\n    b",
         {"daemonlogger_py.cli.a", "daemonlogger_py.cli.b"}),
        ("import os, daemonlogger_py.cli.dlctl as x", {"os", "daemonlogger_py.cli.dlctl"}),
        ("cimport daemonlogger_py.cli.dlctl", {"daemonlogger_py.cli.dlctl"}),
        ("from . cimport live", {"daemonlogger_py.engine.live"}),
        ("from .live cimport poll", {"daemonlogger_py.engine.live.poll"}),
        ("from ..record import ring", {"daemonlogger_py.record.ring"}),
        ("from .. import record", {"daemonlogger_py.record"}),
        ('"""Text.\nfrom daemonlogger_py.cli import x\n"""', set()),
        ("# from daemonlogger_py.cli import x", set()),
        ('cdef extern from "<pcap.h>" nogil:\n    pass', set()),
    ],
)  # fmt: skip
def test_scan_reads_every_form_of_import(statement: str, names: set[str]) -> None:
    assert imported(statement, "daemonlogger_py.engine") == names


@pytest.mark.parametrize(
    ("path", "statement", "allowed"),
    [
        ("daemonlogger_py/engine/x.pyx", "from daemonlogger_py.savefile cimport records", True),
        ("daemonlogger_py/engine/x.pyx", "from daemonlogger_py.engine cimport buffer", True),
        ("daemonlogger_py/engine/x.pyx", "from daemonlogger_py.errors import SourceError", True),
        ("daemonlogger_py/engine/x.pyx", "from daemonlogger_py.record import ring", False),
        ("daemonlogger_py/engine/x.pyx", "from ..cli import dlctl", False),
        ("daemonlogger_py/engine/x.pyx", "from .. import record", False),
        ("daemonlogger_py/savefile/x.pxd", "from daemonlogger_py.engine cimport buffer", False),
        ("daemonlogger_py/savefile/x.pyx", "from daemonlogger_py.config import units", False),
        ("daemonlogger_py/savefile/x.pyx", "import daemonlogger_py.errors", True),
        ("daemonlogger_py/record/x.pyx", "from daemonlogger_py.readers import x", False),
        ("daemonlogger_py/engine/x.pyx", "from pylibpcap.pcap cimport pcap_t", True),
    ],
)
def test_contract_is_enforced(path: str, statement: str, allowed: bool) -> None:
    assert (violations(statement, path) == []) is allowed
