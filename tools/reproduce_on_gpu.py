"""Run the paper's experiments on one GPU that is available for minutes at a time: train, evaluate, publish, resume.

    python -m tools.reproduce_on_gpu --plan
    python -m tools.reproduce_on_gpu --corpus handwriting=iam-ondb.parquet --experiment prediction-3-layer \\
        --seconds 540 --shards /mnt/out --results results/published

Every experiment of the configuration (the paper preset, or --config) is a chain of trainings and their evaluations, run
in order until --seconds have passed. A training that is cut off goes on from its saved state in the next call, on this
machine or on another one that has the shards. Models and states are kept in --work. At the end of every call they are
also put into --shards, in at most --shard-count files of at most --shard-mib MiB, and the next call first takes them
from there. Finished models go first, then states; what does not fit is named.

--results receives EXPERIMENT/REGULARISATION.json (measures, settings, seed, hardware, commit, times) and the learning
curve beside it as REGULARISATION.parquet.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from pipeline._command import command
from pipeline._evaluations import read_evaluation
from pipeline._settings import ROOT, load_config, named_corpora, rows, training_settings
from pipeline.publish import publish
from rnngen.artifacts import write_json
from rnngen.errors import InputError
from rnngen.models.checkpoint import forget_state_before
from rnngen.models.model_directory import read_config
from tools.shards import join, split

PAPER = ROOT / "workflow" / "presets" / "paper.yaml"
SAFETY = 20.0
"""Seconds kept back of the budget: the last evaluation to finish, the shards to be written."""


class Job(NamedTuple):
    """One training with its evaluations."""

    experiment: str
    regularisation: str
    start: str | None
    """The regularisation whose weights this one starts from."""
    corpus: str
    settings: dict[str, Any]
    dynamic: dict[str, Any] | None

    @property
    def name(self) -> str:
        return f"{self.experiment}/{self.regularisation}"


def main(
    corpus: Annotated[list[str] | None, typer.Option(help="NAME=PARQUET; repeat for each corpus.")] = None,
    config: Annotated[
        list[Path] | None, typer.Option(help="Configuration file on top of config.yaml; default: the paper preset.")
    ] = None,
    experiment: Annotated[
        list[str] | None, typer.Option(help="Only this experiment; repeat for several, in order; default: all.")
    ] = None,
    backend: Annotated[str, typer.Option(help="Back end of the layers: triton, fused or auto.")] = "triton",
    seconds: Annotated[float, typer.Option(help="Seconds that this call may take.")] = 540.0,
    work: Annotated[Path, typer.Option(help="Models and resumable states.")] = Path("checkpoints/gpu"),
    shards: Annotated[
        Path | None, typer.Option(help="Folder of shards, read at the start and written at the end.")
    ] = None,
    shard_mib: Annotated[int, typer.Option(help="Size of the largest shard, in MiB.")] = 16,
    shard_count: Annotated[int, typer.Option(help="Greatest number of shards.")] = 4,
    results: Annotated[Path, typer.Option(help="Published results.")] = ROOT / "results" / "published",
    commit: Annotated[str | None, typer.Option(help="Commit to record where there is no checkout.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only show what is done and what is to do.")] = False,
) -> None:
    """Run it again and again until --plan shows nothing left to do."""
    deadline = time.monotonic() + seconds - SAFETY
    corpora = named_corpora(corpus or [])
    jobs = list_jobs(load_config([ROOT / "config.yaml", *(config or [PAPER])]), experiment, backend)
    if shards is not None:
        restored = join(shards, work)
        print(f"{len(restored)} files put back from {shards}" if restored else f"no shards in {shards}", flush=True)
    show_plan(jobs, work, results, corpora)
    if plan:
        return
    try:
        for job in jobs:
            if job.corpus not in corpora or published(job, results):
                continue
            if time.monotonic() >= deadline or not run(job, corpora[job.corpus], work, results, deadline, commit):
                print(f"time is over at {job.name}; run again to go on", flush=True)
                break
    finally:
        if shards is not None:
            carry(jobs, work, shards, shard_mib << 20, shard_count)
    show_plan(jobs, work, results, corpora)


def list_jobs(config: dict[str, Any], chosen: list[str] | None, backend: str = "triton") -> list[Job]:
    """All trainings, each after the one it starts from."""
    jobs = []
    for name in chosen or config["experiments"]:
        if name not in config["experiments"]:
            raise InputError(f"--experiment {name}: expected one of {', '.join(config['experiments'])}")
        entry = config["experiments"][name]
        for regularisation, row in rows(entry).items():
            settings = training_settings(config, name, regularisation)
            settings["training"]["backend"] = backend
            start = row.get("from")
            jobs.append(Job(name, regularisation, start, entry["corpus"], settings, entry.get("dynamic")))
    return jobs


def show_plan(jobs: list[Job], work: Path, results: Path, corpora: dict[str, Path]) -> None:
    """A line a job: done, how far, or to do."""
    width = max(len(job.name) for job in jobs)
    print(f"{'job':{width}}  network    at most   state")
    for job in jobs:
        network, training = job.settings["network"], job.settings["training"]
        size = f"{network['layers']} × {network['cells']}"
        print(
            f"{job.name:{width}}  {size:9}  {training['maximum_epochs']:3} epochs  {state(job, work, results, corpora)}"
        )
    sys.stdout.flush()


def state(job: Job, work: Path, results: Path, corpora: dict[str, Path]) -> str:
    if published(job, results):
        record = json.loads(result_path(job, results).read_text(encoding="utf-8"))
        return f"published: {record['training']['wall_seconds'] / 60:.1f} min, {record['model']['epochs']:.1f} epochs"
    if job.corpus not in corpora:
        return f"no corpus {job.corpus}"
    description = model_description(job, work)
    if description is not None and description["complete"]:
        return "trained, to be evaluated"
    saved = work / job.name / "state" / "state.json"
    if saved.exists():
        progress = json.loads(saved.read_text(encoding="utf-8"))["values"]["progress"]
        return f"paused at epoch {progress['epoch']}, update {progress['updates']}, {progress['seconds'] / 60:.1f} min"
    return "to do"


def result_path(job: Job, results: Path) -> Path:
    return results / job.experiment / f"{job.regularisation}.json"


def published(job: Job, results: Path) -> bool:
    """Whether a result with these very settings is there."""
    path = result_path(job, results)
    return path.exists() and json.loads(path.read_text(encoding="utf-8"))["training"]["settings"] == job.settings


def model_description(job: Job, work: Path) -> dict[str, Any] | None:
    folder = work / job.name
    return read_config(folder) if (folder / "config.json").exists() else None


def run(job: Job, corpus: Path, work: Path, results: Path, deadline: float, commit: str | None) -> bool:
    """Train, evaluate and publish; False if the time was over before the end."""
    model = work / job.name
    description = model_description(job, work)
    if description is None or not description["complete"] or description["provenance"]["settings"] != job.settings:
        print(f"training {job.name}", flush=True)
        settings = work / job.name / "settings.json"
        write_json(settings, job.settings)
        options = ["--corpus", corpus, "--output", model, "--settings", settings]
        if job.start is not None:
            start = work / job.experiment / job.start
            if not (start / "weights.safetensors").exists():
                result = result_path(job, results).with_name(f"{job.start}.json")
                raise InputError(
                    f"{job.name} starts from the weights of {job.start}, which are not in {work}: give the --shards "
                    f"that hold them, or remove {result} to train them again"
                )
            options += ["--initial", start]
        for stale in ("static.json", "dynamic.json"):
            (model / stale).unlink(missing_ok=True)
        module("train", *options, "--time-budget", max(1.0, deadline - time.monotonic()))
        description = model_description(job, work)
        if description is None or not description["complete"]:
            return False
    measures = {}
    for name, adaptation in {"static": None, "dynamic": job.dynamic}.items():
        if name == "dynamic" and adaptation is None:
            continue
        found = model / f"{name}.json"
        if not found.exists():
            if time.monotonic() >= deadline:
                return False
            module(
                "evaluate", "--model", model, "--corpus", corpus, "--output", found, "--dynamic", json.dumps(adaptation)
            )
        measures[name] = read_evaluation(found)
    publish(description, measures, model / "log.parquet", results, commit=commit)
    return True


def module(name: str, *options: Any) -> None:
    """Run a module of this pipeline in a process of its own; InputError if it fails, after its own message."""
    process = subprocess.run([sys.executable, "-m", f"pipeline.{name}", *map(str, options)], cwd=ROOT)
    if process.returncode:
        raise InputError(f"pipeline.{name} ended with exit status {process.returncode}; its message is above")


def carry(jobs: list[Job], work: Path, shards: Path, shard_bytes: int, count: int) -> None:
    """Write the shards: finished models in the order of the plan, then the states of unfinished ones."""
    finished, unfinished = [], []
    for job in jobs:
        folder = work / job.name
        if (folder / "state").exists():
            forget_state_before(folder / "state")
            unfinished.append(folder)
        elif folder.exists():
            finished.append(folder)
    left_out = split(work, [*finished, *unfinished], shards, shard_bytes, count)
    for folder in left_out:
        print(f"not in the shards, too large for {count} of {shard_bytes >> 20} MiB: {folder.relative_to(work)}")


if __name__ == "__main__":
    command(main)
