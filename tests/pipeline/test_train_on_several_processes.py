"""pipeline.train under torchrun: killed, stopped, and without data in one of its processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.pipeline.test_train import SETTINGS, altered
from tests.pipeline.test_train import corpus as corpus  # a fixture

pytestmark = pytest.mark.slow
FILES = ("weights.safetensors", "optimiser.safetensors", "log.parquet", "config.json")
LONG = altered(noise="adaptive", standard_deviation=0.075, training={"maximum_epochs": 40, "patience": 10_000})


def torchrun(settings, corpus, output, *options, restarts=0, program=("-m", "pipeline.train")):
    """The command of a training on two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += [f"--max-restarts={restarts}", *program, "--settings", json.dumps(settings), "--corpus", str(corpus)]
    return [*command, "--output", str(output), "--state", str(output) + ".state", *options]


def start(command):
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def rank_of(process: int) -> str | None:
    environment = Path(f"/proc/{process}/environ").read_text(errors="replace").split("\0")
    return next((word.removeprefix("RANK=") for word in environment if word.startswith("RANK=")), None)


def worker(parent: subprocess.Popen, rank: int) -> int:
    """The process of a rank below torchrun."""
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    return next(int(child) for child in children if rank_of(int(child)) == str(rank))


def wait_for_state(parent: subprocess.Popen, output) -> None:
    while not Path(f"{output}.state/state.json").exists():
        assert parent.poll() is None, parent.stdout.read()
        time.sleep(0.01)


@pytest.fixture(scope="module")
def undisturbed(corpus, tmp_path_factory):
    """The files of a training that nothing happened to."""
    output = tmp_path_factory.mktemp("undisturbed") / "m"
    result = subprocess.run(torchrun(LONG, corpus, output), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    assert json.loads((output / "run.json").read_text())["processes"] == 2
    return {name: (output / name).read_bytes() for name in FILES}


def test_a_killed_process_takes_the_others_along_and_all_go_on_to_the_same_bits(corpus, tmp_path, undisturbed):
    output = tmp_path / "m"
    parent = start(torchrun(LONG, corpus, output, restarts=1))
    wait_for_state(parent, output)
    os.kill(worker(parent, 1), signal.SIGKILL)
    said, _ = parent.communicate(timeout=300)
    assert parent.returncode == 0, said[-3000:]
    assert "resuming at epoch" in said
    assert {name: (output / name).read_bytes() for name in FILES} == undisturbed


def test_a_signal_to_one_process_stops_all_at_one_update(corpus, tmp_path, undisturbed):
    output = tmp_path / "m"
    parent = start(torchrun(LONG, corpus, output, "--checkpoint-seconds", "1e9"))
    wait_for_state(parent, output)
    os.kill(worker(parent, 1), signal.SIGTERM)
    said, _ = parent.communicate(timeout=300)
    assert parent.returncode != 0
    assert "the same command goes on from it" in said
    again = subprocess.run(torchrun(LONG, corpus, output), capture_output=True, text=True)
    assert again.returncode == 0 and "resuming at epoch" in again.stdout, again.stderr[-3000:]
    assert {name: (output / name).read_bytes() for name in FILES} == undisturbed


def test_a_process_without_its_data_ends_all_and_says_why_in_one_line(corpus, tmp_path):
    program = tmp_path / "second_has_none.py"
    program.write_text(
        "import os, sys\n"
        "if os.environ['RANK'] == '1':\n"
        "    sys.argv[sys.argv.index('--corpus') + 1] = 'nowhere.parquet'\n"
        "from pipeline._command import command\n"
        "from pipeline.train import main\n"
        "command(main)\n",
        encoding="utf-8",
    )
    command = torchrun(SETTINGS, corpus, tmp_path / "m", program=(str(program),))
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode != 0
    errors = sorted(line for line in result.stderr.splitlines() if line.startswith("error: "))
    assert len(errors) == 2
    assert errors[0].startswith("error: nowhere.parquet")
    assert errors[1] == "error: process 0 ends with process 1 of 2, which says why"
    assert not (tmp_path / "m").exists()


def test_another_number_of_processes_goes_on_and_says_what_that_costs(corpus, tmp_path):
    output = tmp_path / "m"
    paused = subprocess.run(torchrun(LONG, corpus, output, "--time-budget", "0"), capture_output=True, text=True)
    assert paused.returncode == 0, paused.stderr[-3000:]
    command = torchrun(LONG, corpus, output)
    alone = [sys.executable, *command[command.index("-m", 3) :]]
    result = subprocess.run(alone, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "going on with another number of processes (1, so far 2): equal up to rounding" in result.stdout
    assert json.loads((output / "config.json").read_text())["complete"]
