"""The benchmark of the layers on a GPU, at toy size in Triton's interpreter: every line runs and says what it must."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="the package triton is not installed")
def test_every_comparison_has_times_errors_and_what_binds(tmp_path):
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    output = tmp_path / "rows.json"
    command = [sys.executable, "-m", "benchmarks.lstm_cuda", "--toy", "--repeats", "1", "--output", str(output)]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    rows = json.loads(output.read_text())["rows"]
    variants = {}
    for row in rows:
        variants.setdefault(row["what"], set()).add(row["variant"])
        assert row["binds"] in ("FLOP", "bytes", "steps")
        assert row["error"] < (0.05 if "16" in row["variant"] else 1e-5), row
        assert row["roof"] >= 0 and row["times_same_type"] > 0 and row["times_fastest"] > 0
    library = {
        f"nn.LSTM {name}" for name in ("fp32", "tf32", "fp16", "bf16", "fp16 padded to 128", "bf16 padded to 128")
    }
    layer, network = variants.values()
    assert layer == library | {"ours fp32", "ours tf32", "ours bf16"}
    updates = {f"training {name}{how}" for name in ("fp32", "tf32", "bf16") for how in ("", " recorded")}
    assert network == layer | updates
    assert "million characters a second, training bf16 recorded" in run.stdout


def test_without_a_gpu_it_says_how_to_run():
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "benchmarks.lstm_cuda"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode != 0 and "--toy" in run.stdout + run.stderr
