"""Builds the native code with sanitizers, in a directory of its own, and lets libFuzzer loose.

    tests/fuzz/run SECONDS [JOBS [TARGET ...]]

The seconds are shared by the targets, in turn: `savefile`, `salvage`, `flow`, `http`, `judge` and
`index`.
Exit status 0: nothing found; 1: a finding, whose input is kept in tests/fuzz/.findings and named;
2: the campaign itself could not be run. Needs clang with its runtime libraries, Cython and
python-libpcap, and writes into the source tree nothing but findings.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from . import flow_seeds, http_seeds, index_seeds, judge_seeds, salvage_seeds, seeds

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PACKAGE = "daemonlogger_py"
FINDINGS = HERE / ".findings"
REGRESSIONS = HERE / "regressions"

# Python, but the input's bytes decide its way: compiled, its branches guide the fuzzer as well.
COMPILED_PYTHON = (
    f"{PACKAGE}/savefile/pcapng.py",
    f"{PACKAGE}/protocols/http.py",
    f"{PACKAGE}/protocols/http_chunked.py",
    f"{PACKAGE}/protocols/http_coding.py",
    f"{PACKAGE}/protocols/http_head.py",
)
# What inputs cannot reach is left out.
NOT_FUZZED = {
    f"{PACKAGE}/engine/{name}.pyx"
    for name in ("live", "live_handle", "prepared", "tap", "tap_sockets")
}
# Asked for here: sysconfig answers None to a thread while another one asks for the first time.
EXTENSION_SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
SANITIZERS = "address,undefined"
# Below so many seconds, code that is built in a third of the time finds more than faster code.
WORTH_OPTIMISING_SECONDS = 300
# Calls without positional arguments make Cython's code add 0 to a null pointer, which C++ allows.
COMPILE = (
    "-gline-tables-only",  # what a stack needs; all of -g takes a sixth longer
    "-fPIC",
    "-fno-omit-frame-pointer",
    "-fno-sanitize-recover=undefined",
    "-fno-sanitize=pointer-overflow",
    "-Wno-everything",
)
# A failed allocation is the code's to handle. Freed memory is kept away from new allocations for
# a few hundred inputs, which costs less than ASan's usual 256 MB.
ASAN_OPTIONS = (
    "allocator_may_return_null=1:detect_stack_use_after_return=1:quarantine_size_mb=32"
    ":malloc_context_size=10:leak_check_at_exit=0"
)
INPUT_BYTES = 16_384
# Longer than this for one input is a hang.
HANG_SECONDS = 10
# libpcap takes the 128 MiB that a D-Bus record claims; twice that at once nothing may take.
MALLOC_MB = 192
RSS_MB = 2048


class Target(NamedTuple):
    """What is fuzzed: a module with `one_input`, its first inputs, and words it knows."""

    module: str
    inputs: Iterator[tuple[str, bytes]]
    words: Mapping[str, bytes]


TARGETS = {
    "savefile": Target("fuzz.target", seeds.inputs(), seeds.DICTIONARY),
    "salvage": Target("fuzz.salvage_target", salvage_seeds.inputs(), salvage_seeds.DICTIONARY),
    "flow": Target("fuzz.flow_target", flow_seeds.inputs(), flow_seeds.DICTIONARY),
    "http": Target("fuzz.http_target", http_seeds.inputs(), http_seeds.DICTIONARY),
    "judge": Target("fuzz.judge_target", judge_seeds.inputs(), judge_seeds.DICTIONARY),
    "index": Target("fuzz.index_target", index_seeds.inputs(), index_seeds.DICTIONARY),
}


class Numbers(NamedTuple):
    """What one job's output tells."""

    executions: int
    edges: tuple[int, int]  # known after the seeds, and at the end
    features: tuple[int, int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a campaign; returns the exit status."""
    parser = argparse.ArgumentParser(prog="tests/fuzz/run", description=__doc__)
    parser.add_argument("seconds", type=positive, metavar="SECONDS")
    parser.add_argument("jobs", type=positive, metavar="JOBS", nargs="?", default=1)
    parser.add_argument("targets", type=target_name, metavar="TARGET", nargs="*")
    options = parser.parse_args(arguments)
    targets = options.targets or list(TARGETS)
    seconds = max(1, options.seconds // len(targets))
    with tempfile.TemporaryDirectory(prefix="daemonlogger-fuzz-") as directory:
        try:
            optimise = "-O1" if options.seconds >= WORTH_OPTIMISING_SECONDS else "-O0"
            program = build(Path(directory), optimise)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"cannot build the instrumented copy: {error}", file=sys.stderr)
            return 2
        return max(
            explore(Path(directory), program, name, seconds, options.jobs) for name in targets
        )


def positive(text: str) -> int:
    """Read a whole number from 1; ValueError for anything else."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def target_name(text: str) -> str:
    """Read a target's name; ValueError for anything else."""
    if text not in TARGETS:
        raise ValueError(text)
    return text


def build(directory: Path, optimise: str) -> Path:
    """Make the instrumented copy of the package and the program that drives it.

    `optimise` is the compiler's option that says how far.
    """
    shutil.copytree(
        ROOT / PACKAGE,
        directory / PACKAGE,
        ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__"),
    )
    shutil.copytree(
        HERE, directory / "fuzz", ignore=shutil.ignore_patterns(".*", "__pycache__", "regressions")
    )
    libraries = dict(extensions()) | {source: [] for source in COMPILED_PYTHON}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(
            lambda item: compile_extension(directory, optimise, *item), libraries.items()
        ):
            pass  # an exception of the compiler's comes here
    for source in COMPILED_PYTHON:
        (directory / source).unlink()
    return link_program(directory)


def extensions() -> Iterator[tuple[str, list[str]]]:
    """Sources of the native modules as they are built for users, with the libraries they need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for extension in project["tool"]["setuptools"]["ext-modules"]:
        for source in extension["sources"]:
            if source not in NOT_FUZZED:
                yield source, extension.get("libraries", [])


def compile_extension(directory: Path, optimise: str, source: str, libraries: list[str]) -> None:
    """Turn one Cython source into an instrumented extension beside it."""
    generated = (directory / source).with_suffix(".c")
    target = (directory / source).with_suffix(EXTENSION_SUFFIX)
    if translated := translation(source):
        shutil.copy(translated, generated)
    else:
        call([sys.executable, "-m", "cython", "-3", source, "-o", generated], directory)
    call(
        [
            "clang",
            f"-fsanitize=fuzzer-no-link,{SANITIZERS}",
            optimise,
            *COMPILE,
            "-shared",
            *python_headers(),
            generated,
            "-o",
            target,
            *(f"-l{name}" for name in libraries),
        ],
        directory,
    )


def translation(source: str) -> Path | None:
    """What the project's own build has made of a source; None unless it is of all that is here."""
    made = (ROOT / source).with_suffix(".c")
    if not made.exists():
        return None
    made_of = [ROOT / source, *(ROOT / PACKAGE).rglob("*.pxd")]
    changed_ns = max(path.stat().st_mtime_ns for path in made_of)
    return made if made.stat().st_mtime_ns > changed_ns else None


def link_program(directory: Path) -> Path:
    """Build harness.c with libFuzzer, the sanitizers' runtime and this Python in it."""
    program = directory / "fuzz-daemonlogger"
    call(
        [
            "clang",
            f"-fsanitize=fuzzer,{SANITIZERS}",
            *COMPILE,
            "-rdynamic",
            *python_headers(),
            directory / "fuzz" / "harness.c",
            "-o",
            program,
            *python_library(),
        ],
        directory,
    )
    return program


def python_headers() -> list[str]:
    """Where Python.h is."""
    return [f"-I{sysconfig.get_path('include')}", f"-I{sysconfig.get_path('platinclude')}"]


def python_library() -> list[str]:
    """How to link this Python into a program, whether it is built as a shared library or not."""
    config = {
        name: sysconfig.get_config_var(name) or ""
        for name in ("Py_ENABLE_SHARED", "LIBDIR", "LIBPL", "LDVERSION", "LIBS", "SYSLIBS")
    }
    where = config["LIBDIR"] if config["Py_ENABLE_SHARED"] else config["LIBPL"]
    return [
        f"-L{where}",
        f"-Wl,-rpath,{where}",
        f"-lpython{config['LDVERSION']}",
        *shlex.split(config["LIBS"]),
        *shlex.split(config["SYSLIBS"]),
    ]


def call(command: Sequence[object], directory: Path) -> None:
    """Run a tool of the build there."""
    subprocess.run([str(word) for word in command], cwd=directory, check=True)


def explore(build_directory: Path, program: Path, name: str, seconds: int, jobs: int) -> int:
    """Fuzz with that many processes that share one corpus, and tell what came of it."""
    target = TARGETS[name]
    directory = build_directory / "targets" / name
    corpus, first, regressions = directory / "corpus", directory / "seeds", REGRESSIONS / name
    for made in (corpus, first):
        made.mkdir(parents=True)
    FINDINGS.mkdir(exist_ok=True)
    known = set(FINDINGS.iterdir())
    seeded = write_inputs(first, target)
    seeds.write_dictionary(directory / "dictionary", target.words)
    environment = {
        **os.environ,
        "FUZZ_PYTHON": sys.executable,
        "FUZZ_BUILD": str(build_directory),
        "FUZZ_TARGET": target.module,
        # What the caller asks for wins.
        "ASAN_OPTIONS": f"{ASAN_OPTIONS}:{os.environ.get('ASAN_OPTIONS', '')}",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    command = [
        program,
        f"-max_total_time={seconds}",
        f"-max_len={INPUT_BYTES}",
        f"-timeout={HANG_SECONDS}",
        f"-malloc_limit_mb={MALLOC_MB}",
        f"-rss_limit_mb={RSS_MB}",
        "-detect_leaks=0",  # harness.c does, at less cost, and asks LeakSanitizer where one is
        f"-dict={directory / 'dictionary'}",
        f"-artifact_prefix={FINDINGS}/{name}-",
        "-reload=5",
        "-print_final_stats=1",
        corpus,
        first,
        *([regressions] if regressions.is_dir() else []),
    ]
    logs = [directory / f"job-{number}.log" for number in range(jobs)]
    running = []
    for log in logs:
        with log.open("wb") as output:
            running.append(
                subprocess.Popen(
                    [str(word) for word in command], stdout=output, stderr=output, env=environment
                )
            )
    failed = []
    try:
        for log, process in zip(logs, running, strict=True):
            if process.wait(seconds + 600) != 0:
                failed.append(log)
    finally:
        for process in running:
            process.kill()
    print(f"{name}:")
    report(logs, seconds, seeded, len(list(corpus.iterdir())))
    return tell_findings(name, failed, sorted(set(FINDINGS.iterdir()) - known))


def write_inputs(directory: Path, target: Target) -> int:
    """Write a target's first inputs into a directory; returns how many."""
    count = 0
    for count, (_, data) in enumerate(target.inputs, 1):
        (directory / f"{count}.bin").write_bytes(data)
    return count


def report(logs: list[Path], seconds: int, seeded: int, corpus: int) -> None:
    """Print the numbers of all jobs together."""
    jobs = [read_numbers(log.read_text(errors="replace")) for log in logs]
    executions = sum(job.executions for job in jobs)
    before, after = (max(job.edges[at] for job in jobs) for at in (0, 1))
    less, more = (max(job.features[at] for job in jobs) for at in (0, 1))
    print(f"{executions} executions, {executions / seconds:.0f}/s, in {len(jobs)} job(s)")
    print(f"corpus: {seeded} seeds, and {corpus} inputs that reached something new")
    print(f"edges of the native code: {before} by the seeds, {after} at the end")
    print(f"features (edges and how often): {less} by the seeds, {more} at the end")


def read_numbers(log: str) -> Numbers:
    """Read libFuzzer's own account."""
    total = re.search(r"stat::number_of_executed_units:\s*(\d+)", log)
    counted = [int(number) for number in re.findall(r"^#(\d+)", log, re.MULTILINE)]
    covered = re.findall(r"\b(INITED|\w+)\s+cov: (\d+) ft: (\d+)", log)
    after = [(int(edges), int(features)) for _, edges, features in covered] or [(0, 0)]
    first = [(int(edges), int(features)) for what, edges, features in covered if what == "INITED"]
    before = (first or after)[0]
    return Numbers(
        int(total[1]) if total else max(counted, default=0),
        (before[0], after[-1][0]),
        (before[1], after[-1][1]),
    )


def tell_findings(name: str, failed: list[Path], found: list[Path]) -> int:
    """Print what went wrong, with the inputs that did it; returns the exit status."""
    for log in failed:
        print(f"--- {log.name}", log.read_text(errors="replace")[-20_000:], sep="\n")
    if not any(FINDINGS.iterdir()):
        FINDINGS.rmdir()
    for path in found:
        # With a suffix, as the regressions have.
        kept = path.rename(path.with_suffix(".bin"))
        print(f"FINDING: {kept}\nto keep it as a test, move it to {REGRESSIONS / name}")
    return 1 if failed or found else 0


if __name__ == "__main__":
    sys.exit(main())
