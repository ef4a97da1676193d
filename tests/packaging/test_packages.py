"""The packages' recipes agree with each other, with the tree, and with the shells that run them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGING = ROOT / "packaging"
STAGE = (PACKAGING / "stage").read_text()
SPEC = (PACKAGING / "daemonlogger-py.spec").read_text()
SCRIPTS = [
    PACKAGING / name
    for name in ("sources", "stage", "deb/build", "deb/postinst", "deb/prerm", "deb/postrm")
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_is_sound(script: Path) -> None:
    assert script.stat().st_mode & 0o111 == 0o111
    shell = script.read_text().splitlines()[0].rpartition("/")[2].removeprefix("env ")
    done = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
        assert done.stdout == ""


def test_control_is_filled_in() -> None:
    wanted = re.findall(r"@[A-Z]+@", (PACKAGING / "deb" / "control").read_text())
    given = re.findall(r"s/(@[A-Z]+@)/", (PACKAGING / "deb" / "build").read_text())

    assert sorted(wanted) == sorted(given) != []


def test_conffiles_are_staged() -> None:
    for path in (PACKAGING / "deb" / "conffiles").read_text().split():
        assert f'"$root{path}"' in STAGE


def test_all_verbs_have_what_they_need() -> None:
    """What asks for the extra says how pip gets it, which is no advice for a package."""
    assert "words_of project dependencies " in STAGE
    assert "words_of project optional-dependencies read " in STAGE


def test_spec_lists_what_is_in_the_tree() -> None:
    listed = SPEC[SPEC.index("%files") :]
    pages = {f"%{{_mandir}}/man{page.suffix[1:]}/{page.name}*" for page in (ROOT / "man").iterdir()}
    completions = {path.name.partition(".")[0] for path in (PACKAGING / "completion").iterdir()}

    assert pages == set(re.findall(r"^%{_mandir}/.*$", listed, re.MULTILINE))
    assert completions == {"daemonlogger", "dlctl"}
    for command in completions:
        assert f"/usr/share/bash-completion/completions/{command}\n" in listed
        assert f"/usr/share/zsh/site-functions/_{command}\n" in listed
        assert f"/usr/share/fish/vendor_completions.d/{command}.fish\n" in listed


def test_rpm_reads_the_spec() -> None:
    if shutil.which("rpmspec") is None:
        pytest.skip("rpmspec is not installed")
    import daemonlogger_py

    done = subprocess.run(
        [
            "rpmspec",
            "--query",
            "--queryformat",
            "%{NAME} %{VERSION}\n",
            PACKAGING / "daemonlogger-py.spec",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"daemonlogger-py {daemonlogger_py.__version__}\n", done.stderr


def test_container_builds_with_what_the_package_needs() -> None:
    groups = (ROOT / ".ci" / "packages").read_text()
    needed = {
        name
        for group in ("build", "package")
        for name in re.search(rf"^ +{group}\) echo (.*?);;", groups, re.M | re.S)[1].split()
    }
    recipe = (PACKAGING / "Containerfile").read_text()
    installed = set(re.search(r"AS build\n(.*?)\nWORKDIR", recipe, re.S)[1].split())

    assert needed <= installed
    copied = set(re.findall(r"^COPY (?!--from)(.*) \S+$", recipe, re.M))
    used = {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "daemonlogger_py",
        "man",
        "packaging",
        "systemd",
    }
    assert set(" ".join(copied).split()) == used
