"""Trainings on a real Slurm of two nodes, with a job killed, a node lost and a time limit on the way.

The cluster is started and stopped here, in one folder. Needs slurmctld, slurmd, slurm-client and munge. What the whole
smoke preset asks of a cluster is planned here, not run: of its 471 processor seconds half are starts of Snakemake.
"""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from pipeline._settings import load_config, training_settings
from pipeline.train import train_one
from tests.workflow.slurm_cluster import ask, free_ports, missing, two_nodes, wait_for
from tests.workflow.test_workflow import DUMP, SNAKEMAKE, copy_project

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing() != "", reason=f"not installed: {missing()}"),
]
pytest.importorskip("snakemake_executor_plugin_slurm", reason="pip install '.[slurm]'")

LONGER = {"maximum_epochs": 100, "maximum_updates": 300, "validate_every": 10, "patience": 1000}
"""Of the trainings that something happens to: long enough to be met on the way."""
EVENTS = {"wikipedia": "kill", "treebank-word": "down", "prediction-1-layer": "limit"}
TARGETS = [f"results/smoke/evaluations/{name}/none.static.json" for name in EVENTS]
CHANGE = "change.yaml"
ARGUMENTS = ("--profile", "profiles/slurm", "--configfile", "workflow/presets/smoke.yaml", CHANGE)
OFTEN = ("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2")


@dataclass
class Run:
    """One run on the cluster: its folder, what Snakemake said, and what Slurm knew of every job."""

    folder: Path
    said: str
    jobs: list[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A project in which three trainings are long enough to be met on the way."""
    folder = copy_project(tmp_path_factory.mktemp("slurm") / "project")
    change = {
        "corpora": {"wikipedia": {"dumps": [DUMP]}},
        "experiments": {name: {"training": LONGER} for name in EVENTS},
    }
    (folder / CHANGE).write_text(yaml.safe_dump(change), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="slurm") as place, two_nodes(Path(place)) as environment:
        environment["PATH"] = f"{SNAKEMAKE.parent}:{environment['PATH']}"
        environment["OMP_NUM_THREADS"] = "1"
        yield environment


@pytest.fixture(scope="module")
def run(folder, cluster) -> Run:
    log = folder / "run.log"
    with log.open("w") as file:
        command = [str(SNAKEMAKE), *TARGETS, *ARGUMENTS, *OFTEN]
        process = subprocess.Popen(command, cwd=folder, env=cluster, stdout=file, stderr=subprocess.STDOUT)
        try:
            waiting = dict(EVENTS)
            while waiting and process.poll() is None:
                for experiment, event in list(waiting.items()):
                    found = stopped_training(folder, experiment)
                    if found is not None:
                        HAPPENINGS[event](cluster, job_of(found), found)
                        del waiting[experiment]
                time.sleep(0.01)
            process.wait()
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait()
    assert process.returncode == 0, log.read_text()[-5000:]
    assert not waiting
    jobs = ask(cluster, "scontrol", "-o", "show", "job").splitlines()
    return Run(folder, log.read_text(encoding="utf-8"), jobs)


def stopped_training(folder: Path, experiment: str) -> int | None:
    """The process of a training that has saved a state, stopped where it is; None as long as there is none."""
    state = f"results/smoke/state/{experiment}/none"
    if not (folder / state / "state.json").exists():
        return None
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_text(errors="replace").split("\0")
            here = (place / "cwd").readlink() == folder
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if here and "pipeline.train" in words and state in words:
            os.kill(int(place.name), signal.SIGSTOP)
            return int(place.name)
    return None


def job_of(process: int) -> str:
    """The Slurm job that a process belongs to."""
    return re.search(r"\0SLURM_JOB_ID=(\d+)", Path(f"/proc/{process}/environ").read_text(errors="replace"))[1]


def kill(cluster: dict[str, str], job: str, process: int) -> None:
    ask(cluster, "scancel", "--signal=KILL", "--full", job)


def lose_node(cluster: dict[str, str], job: str, process: int) -> None:
    node = ask(cluster, "squeue", "-h", "-j", job, "-o", "%N").strip()
    ask(cluster, "scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    wait_for(lambda: not Path(f"/proc/{process}").exists(), "the end of a job whose node is down")


def reach_limit(cluster: dict[str, str], job: str, process: int) -> None:
    ask(cluster, "scontrol", "update", f"JobId={job}", "EndTime=now+1seconds")


HAPPENINGS: dict[str, Callable[[dict[str, str], str, int], None]] = {
    "kill": kill,
    "down": lose_node,
    "limit": reach_limit,
}


@pytest.mark.parametrize("experiment", EVENTS)
def test_weights_are_those_of_an_undisturbed_training(run, tmp_path, experiment):
    log = (run.folder / f"results/smoke/logs/train/{experiment}.none.log").read_text(encoding="utf-8")
    assert "resuming at epoch" in log
    files = [run.folder / name for name in ("config.yaml", "workflow/presets/smoke.yaml", CHANGE)]
    settings = training_settings(load_config(files), experiment, "none")
    corpus = run.folder / "results/smoke/corpora" / f"{settings['corpus']['name']}.parquet"
    assert train_one(settings | {"device": "cpu"}, corpus, tmp_path / "m", None, tmp_path / "state", None, 1e9)
    for name in ("weights.safetensors", "optimiser.safetensors", "log.parquet"):
        there = run.folder / "results/smoke/models" / experiment / "none" / name
        assert (tmp_path / "m" / name).read_bytes() == there.read_bytes(), name


def test_every_job_has_memory_time_and_trainings_a_card(run):
    assert run.jobs and all("MinMemoryNode=" in job and "MinMemoryNode=0 " not in job for job in run.jobs)
    assert not any("TimeLimit=UNLIMITED" in job for job in run.jobs)
    rows = [job for job in run.jobs if re.search(r"Comment=\S*train", job)]
    assert len(rows) == 3 + 2  # the killed one and the one out of time come again, the lost one is the same job
    assert all(re.search(r"TresPerNode=gres:gpu(:1)?(\s|$)", job) for job in rows)
    assert not any("gres:gpu" in job for job in run.jobs if job not in rows)


def test_smoke_is_few_jobs_and_each_rule_has_a_time_of_its_own(folder, cluster):
    result = subprocess.run(
        [str(SNAKEMAKE), "reproduce-all", *ARGUMENTS, "--dry-run", "--forceall"],
        cwd=folder, env=cluster, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    said = result.stdout + result.stderr
    groups = re.findall(r"Group job (\S+) \(jobs", said)
    alone = re.findall(r"^Job \d+: ", said, re.MULTILINE)
    assert 15 < len(groups) + len(alone) <= 50


def test_one_training_on_two_nodes_is_that_of_two_processes_here(run, cluster, tmp_path):
    files = [run.folder / name for name in ("config.yaml", "workflow/presets/smoke.yaml", CHANGE)]
    settings = training_settings(load_config(files), "wikipedia", "none") | {"device": "cpu"}
    settings["training"] |= {"maximum_updates": 30}
    corpus = str(run.folder / "results/smoke/corpora/wikipedia.parquet")
    arguments = ["-m", "pipeline.train", "--settings", json.dumps(settings), "--corpus", corpus, "--output"]
    (port,) = free_ports(1)
    nodes = ["srun", "--nodes=2", "--ntasks-per-node=1", "--mem=2000", "torchrun", "--nnodes=2", "--nproc-per-node=1"]
    nodes += ["--rdzv-id=test", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}"]
    here = ["torchrun", "--standalone", "--nproc-per-node=2"]
    for start, name in ((nodes, "nodes"), (here, "here")):
        command = [*start, *arguments, str(tmp_path / name)]
        result = subprocess.run(command, env=cluster, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr[-3000:]
    for name in ("weights.safetensors", "optimiser.safetensors", "log.parquet", "config.json"):
        assert (tmp_path / "nodes" / name).read_bytes() == (tmp_path / "here" / name).read_bytes(), name


def test_a_partition_that_does_not_exist_is_named(folder, cluster):
    arguments = ("--default-resources", "slurm_partition=nowhere", "--forcerun", "evaluate", "--retries", "0")
    result = subprocess.run(
        [str(SNAKEMAKE), *TARGETS, *ARGUMENTS, *OFTEN, *arguments],
        cwd=folder, env=cluster, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode != 0
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert lines == ["error: slurm_partition=nowhere: the cluster has no such partition, but debug"]
    assert "Traceback" not in result.stderr
