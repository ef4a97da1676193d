"""The shape of the house: what a reader may rely on in every file, and where its test is."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import daemonlogger_py

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "daemonlogger_py"
TESTS = ROOT / "tests"
NATIVE = sorted(PACKAGE.rglob("*.pyx"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BUILD = PROJECT["tool"]["setuptools"]
MODULES = sorted({*PACKAGE.rglob("*.py"), *NATIVE})

# Modules without a test file of their own, each with the reason.
TESTED_ELSEWHERE = {
    "errors.py": "classes without behaviour; the command line's tests see their exit statuses",
}

# A name that says nothing about what is in the file.
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}

# Directories of what tools and recordings leave behind; hidden ones are left out too.
LEFT_BEHIND = {"build", "dist", "pcap", "__pycache__"}
TEXT = {".py", ".pyx", ".pxd", ".pyi", ".md", ".toml", ".yaml", ".service", ".8", ".1", ".sh", ""}
# Where someone keeps a tree, as opposed to where an installed system keeps things.
SOMEONES_PATH = re.compile(r"(?<![\w.])/(?:home|Users|root|work)/\w+|[A-Z]:\\\\?Users", re.ASCII)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def opens_with_docstring(path: Path) -> bool:
    if path.suffix == ".py":
        return ast.get_docstring(ast.parse(path.read_text())) is not None
    code = re.sub(r"\A(?:#.*\n|\s)*", "", path.read_text())
    return code.startswith('"""')


def tree(directory: Path = ROOT) -> Iterator[Path]:
    """Files that a person wrote: no hidden directory but CI's, nothing that a tool left behind."""
    for path in sorted(directory.iterdir()):
        if path.is_dir():
            hidden = path.name.startswith(".") and path.name != ".ci"
            if not hidden and path.name not in LEFT_BEHIND and path.suffix != ".egg-info":
                yield from tree(path)
        elif path.suffix in TEXT:
            yield path


def test_modules_open_with_a_docstring() -> None:
    files = [*MODULES, *PACKAGE.rglob("*.pxd"), *TESTS.rglob("*.py")]

    assert [relative(path) for path in files if not opens_with_docstring(path)] == []


def test_modules_have_a_test_file_in_the_same_place() -> None:
    wrong = []
    for path in (path for path in MODULES if path.name != "__init__.py"):
        inside = path.relative_to(PACKAGE)
        expected = TESTS / inside.parent / f"test_{path.stem}.py"
        if expected.exists() is (inside.as_posix() in TESTED_ELSEWHERE):
            wrong.append(relative(expected))

    assert wrong == []


def test_exceptions_are_of_modules_that_exist() -> None:
    assert [name for name in TESTED_ELSEWHERE if not (PACKAGE / name).exists()] == []


def test_native_modules_are_typed_and_built() -> None:
    built = {source for extension in BUILD["ext-modules"] for source in extension["sources"]}

    assert [relative(path) for path in NATIVE if not path.with_suffix(".pyi").exists()] == []
    assert built == {relative(path) for path in NATIVE}


def test_every_package_is_installed() -> None:
    packages = {relative(path.parent).replace("/", ".") for path in PACKAGE.rglob("__init__.py")}

    assert set(BUILD["packages"]) == packages


def test_names_say_what_is_inside() -> None:
    names = {
        relative(path): {path.stem, *path.relative_to(ROOT).parts[:-1]}
        for path in tree()
        if path.suffix in {".py", ".pyx", ".pxd", ".sh"}
    }

    assert "tests/test_house.py" in names
    assert [path for path, parts in names.items() if parts & EMPTY_NAMES] == []


def test_no_path_of_somebodys_machine() -> None:
    found = [
        f"{relative(path)}:{number}: {line.strip()}"
        for path in tree()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if SOMEONES_PATH.search(line)
    ]

    assert found == []


@pytest.mark.parametrize("place", ["/home/", "/Users/", "/root/", "/work/"])
def test_a_path_of_somebodys_machine_is_found(place: str) -> None:
    assert SOMEONES_PATH.search(f'cwd = "{place}someone/daemonlogger"')
    assert not SOMEONES_PATH.search(f"docs{place}page")


def test_there_is_one_version() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert BUILD["dynamic"]["version"] == {"attr": "daemonlogger_py.__version__"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", daemonlogger_py.__version__)
