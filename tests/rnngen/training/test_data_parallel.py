"""Trainings shared by processes against the same in one process, in float64."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.rnngen.training.shared_trainings import CASES

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module", params=[2, 3])
def processes(request) -> int:
    return request.param


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    return train(tmp_path_factory.mktemp("alone"), [sys.executable])


@pytest.fixture(scope="module")
def shared(tmp_path_factory, processes) -> Path:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return train(tmp_path_factory.mktemp("shared"), torchrun)


def train(folder: Path, start: list[str]) -> Path:
    command = [*start, "-m", "tests.rnngen.training.shared_trainings", str(folder)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return folder


@pytest.mark.parametrize("case", CASES)
def test_weights_deviations_and_states_are_those_of_one_process(alone, shared, case):
    one, several = (load_file(folder / f"{case}.0.safetensors") for folder in (alone, shared))
    assert one.keys() == several.keys()
    assert any(name.startswith("carried") for name in one) == (case == "text")
    for name, tensor in one.items():
        assert (tensor - several[name]).abs().max() <= 1e-12 * tensor.abs().max(), name
    losses = [json.loads((folder / f"{case}.0.json").read_text()) for folder in (alone, shared)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-12, abs=0)


@pytest.mark.parametrize("case", CASES)
def test_all_processes_have_the_same_bits(shared, processes, case):
    first = load_file(shared / f"{case}.0.safetensors")
    for rank in range(1, processes):
        other = load_file(shared / f"{case}.{rank}.safetensors")
        assert all(torch.equal(tensor, other[name]) for name, tensor in first.items())


def test_the_noise_of_every_case_moves_the_weights(alone):
    """The cases with and without noise differ: what is compared above is not one training three times."""
    lines, fixed, adaptive = (load_file(alone / f"{case}.0.safetensors") for case in CASES[1:4])
    assert not any(torch.equal(lines[name], fixed[name]) for name in lines)
    assert not any(torch.equal(fixed[name], adaptive[name]) for name in lines)
