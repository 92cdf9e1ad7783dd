"""The benchmark of the networks on a GPU, at toy size on the CPU: every line runs and says what it must."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "benchmarks.lstm_cuda"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def test_every_variant_has_a_time_and_a_ratio(tmp_path):
    output = tmp_path / "rows.json"
    command = [*COMMAND, "--toy", "--repeats", "1", "--output", str(output)]
    run = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    rows = json.loads(output.read_text())["rows"]
    assert [row["network"] for row in rows] == ["text"] * 6 + ["synthesis"] * 6
    assert [row["variant"] for row in rows[:3]] == ["nn.LSTM", "fused, launched", "fused, recorded"]
    assert all(row["ms"] > 0 and row["ratio"] > 0 for row in rows)
    assert all(row["ratio"] == 1 for row in rows if row["variant"] == "nn.LSTM")


def test_without_a_gpu_it_says_how_to_run():
    run = subprocess.run(COMMAND, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert run.returncode != 0 and "--toy" in run.stdout + run.stderr
