"""What the fuzzer holds, held once more for every seed and every input that once was a finding."""

from pathlib import Path

import pytest

from . import seeds
from .target import one_input

REGRESSIONS = sorted((Path(__file__).parent / "regressions").glob("*.bin"))
SEEDS = dict(seeds.inputs())


@pytest.mark.parametrize("name", SEEDS)
def test_seed(name: str) -> None:
    one_input(SEEDS[name])


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_regression(path: Path) -> None:
    one_input(path.read_bytes())
