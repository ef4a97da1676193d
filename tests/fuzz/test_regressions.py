"""What the fuzzer holds, held once more for every seed and every input that once was a finding."""

from pathlib import Path

import pytest

from . import (
    flow_seeds,
    flow_target,
    http_seeds,
    http_target,
    index_seeds,
    index_target,
    judge_seeds,
    judge_target,
    salvage_seeds,
    salvage_target,
    seeds,
    target,
)

TARGETS = {
    "savefile": (target.one_input, dict(seeds.inputs())),
    "salvage": (salvage_target.one_input, dict(salvage_seeds.inputs())),
    "flow": (flow_target.one_input, dict(flow_seeds.inputs())),
    "http": (http_target.one_input, dict(http_seeds.inputs())),
    "judge": (judge_target.one_input, dict(judge_seeds.inputs())),
    "index": (index_target.one_input, dict(index_seeds.inputs())),
}
REGRESSIONS = [
    (name, path)
    for name in TARGETS
    for path in sorted((Path(__file__).parent / "regressions" / name).glob("*.bin"))
]


@pytest.mark.parametrize("name", TARGETS)
def test_seeds(name: str) -> None:
    one_input, inputs = TARGETS[name]
    assert inputs
    for seed, data in inputs.items():
        try:
            one_input(data)
        except BaseException as error:
            error.add_note(f"seed: {seed}")
            raise


@pytest.mark.parametrize(
    ("name", "path"), REGRESSIONS, ids=[f"{name}-{path.stem}" for name, path in REGRESSIONS]
)
def test_regression(name: str, path: Path) -> None:
    TARGETS[name][0](path.read_bytes())
