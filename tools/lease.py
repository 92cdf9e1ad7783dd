"""A quarter of an hour on a machine with a GPU: find out what works there, then train what fits into the rest.

    python -m tools.lease first --output OUT
    python -m tools.lease second --choice OUT/choice.json --corpus handwriting=iam-ondb.parquet --output OUT

`first` compares every way of computing a network (`MODES`) with the readable reference, each in a process of its own
and within `CHECK_SECONDS` in all; then it times what was right against cuDNN's nn.LSTM. choice.json names the modes
that were right, the fastest first.

`second` trains the experiments of the paper preset side by side, one process each, with the first of those modes. A
training that fails starts again with the next one. Every `WRITE_SECONDS` the learning curves and the best weights so
far are in OUT; shortly before the end the trainings pause and what has been trained is evaluated. `--resume` goes on
from the shards of an earlier call, as far as they could hold the states.

OUT has at most `SHARDS` files of `SHARD_BYTES` (`tools.shards.join` unpacks them) and two of JSON. The machine needs
torch; what is missing of what `pipeline.train` imports travels as wheels (docs/gpu.md).
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
import typer
from safetensors.torch import save_file

from pipeline._settings import ROOT, load_config, named_corpora, rows, training_settings
from rnngen.artifacts import machine, read_json_object, write_json
from rnngen.errors import InputError, one_line_exits
from rnngen.models.checkpoint import has_training_state, load_training_state
from rnngen.models.model_directory import read_config
from tools.shards import join, split

PAPER = ROOT / "workflow" / "presets" / "paper.yaml"
CHECK_SECONDS, BENCHMARK_SECONDS = 180.0, 120.0
WRITE_SECONDS, LOOK_SECONDS = 60.0, 1.0
PAUSE_SECONDS, EVALUATE_SECONDS = 90.0, 45.0
"""Kept of the time for trainings to pause in and be evaluated, and of that for evaluation and the last shards."""
SHARDS, SHARD_BYTES = 6, 16 << 20
ORDER = ("synthesis", "prediction-3-layer", "prediction-1-layer", "treebank-character", "treebank-word", "wikipedia")
"""Experiments by worth."""

MODES = ("triton, recorded", "triton", "fused, recorded", "fused")
"""Back ends, under recorded graphs or launched operation by operation."""

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def environment(mode: str) -> dict[str, str]:
    """What a process needs to compute in this mode."""
    extra = {"RNNGEN_CUDA_GRAPHS": "1" if mode.endswith("recorded") else "0", "OMP_NUM_THREADS": "1"}
    if not torch.cuda.is_available():
        extra["TRITON_INTERPRET"] = "1"
    return os.environ | extra


def backend_of(mode: str) -> str:
    return mode.partition(",")[0]


# first


@app.command()
def first(
    output: Annotated[Path, typer.Option(help="Folder for choice.json and the benchmark's rows.")],
    toy: Annotated[bool, typer.Option("--toy", help="Sizes for a CPU.")] = False,
) -> None:
    """Which modes are right here, and which of them is fastest."""
    output.mkdir(parents=True, exist_ok=True)
    about = {"machine": torch.cuda.get_device_name() if torch.cuda.is_available() else machine()}
    choice: dict[str, Any] = about | {"torch": torch.__version__, "checks": {}, "modes": []}
    deadline = time.monotonic() + CHECK_SECONDS
    for mode in reversed(MODES):  # the plain ones first: they are what is left if time runs out
        said = run_for(
            [sys.executable, "-m", "tools.lease", "check", mode, *(["--toy"] if toy else [])],
            environment(mode),
            deadline - time.monotonic(),
        )
        choice["checks"][mode] = said
        if said == "right":
            choice["modes"].insert(0, mode)
        print(f"{mode}: {said}", flush=True)
        write_json(output / "choice.json", choice)
    measured = output / "benchmark.json"
    backends = [
        argument for name in sorted({backend_of(mode) for mode in choice["modes"]}) for argument in ("--backend", name)
    ]
    command = [sys.executable, "-m", "benchmarks.lstm_cuda", *backends, "--output", str(measured)]
    command += ["--budget", str(BENCHMARK_SECONDS / 2), *(["--toy", "--repeats", "1"] if toy else [])]
    if backends:
        choice["benchmark"] = run_for(command, environment("recorded"), BENCHMARK_SECONDS)
        if measured.exists():
            choice["modes"] = fastest_first(choice["modes"], read_json_object(measured, "the benchmark")["rows"])
    write_json(output / "choice.json", choice)
    print(f"modes, the fastest first: {'; '.join(choice['modes']) or 'none is right'}", flush=True)


def run_for(command: Sequence[str], environment: dict[str, str], seconds: float) -> str:
    """Run a process for at most so long; "right", or what went wrong in a line."""
    if seconds <= 0:
        return "no time left"
    with tempfile.TemporaryFile("w+") as said:
        try:
            status = subprocess.run(
                command, env=environment, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT, timeout=seconds
            ).returncode
        except subprocess.TimeoutExpired:
            status = None
        said.seek(0)
        text = said.read()
    print(text[-2000:], flush=True)
    if status is None:
        return f"not done after {seconds:.0f} s"
    lines = text.strip().splitlines()
    return "right" if status == 0 else f"exit status {status}: {lines[-1] if lines else 'it said nothing'}"


def fastest_first(modes: Sequence[str], measured: Sequence[dict[str, Any]]) -> list[str]:
    """The modes by the median of their ratios to nn.LSTM in bfloat16; those that were not timed come last."""

    def ratio(mode: str) -> float:
        variant = mode if "," in mode else f"{mode}, launched"
        found = [row["ratio"] for row in measured if row["variant"] == variant and row["precision"] == "bfloat16"]
        return statistics.median(found) if found else 0.0

    return sorted(modes, key=ratio, reverse=True)


@app.command()
def check(
    mode: Annotated[str, typer.Argument(help="; ".join(MODES))],
    toy: Annotated[bool, typer.Option("--toy", help="Sizes for a CPU.")] = False,
) -> None:
    """Outputs and gradients of all kinds of networks against the reference; an error if they differ."""
    from benchmarks.lstm_cuda import Case, minibatch, ours
    from rnngen.training.gradients import MADE_DIRECTLY, RecordedGradients, backpropagate

    if mode not in MODES:
        raise InputError(f"mode {mode!r}: expected one of {'; '.join(MODES)}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cells, batch, steps = (8, 3, 12) if toy else (400, 32, 64)
    for kind in ("text", "prediction", "synthesis"):
        case = Case(kind, kind, 3, cells, batch, steps, 49 if kind == "text" else 0)
        given = minibatch(case, device)
        state = None
        for precision, bound in (("float32", 1e-4), ("bfloat16", 5e-2)):
            if device.type == "cuda":
                torch.backends.cuda.matmul.fp32_precision = "ieee" if precision == "float32" else "tf32"
            found = []
            for backend, wanted in (("reference", "float32"), (backend_of(mode), precision)):
                objective = ours(case, backend, wanted, device)
                network = objective.network
                if kind == "text":
                    state = [layer.zero_state(batch) for layer in network.layers]
                run = RecordedGradients(network, objective.losses) if mode.endswith("recorded") else None
                for _ in range(MADE_DIRECTLY + 2):  # made directly, recorded, replayed
                    network.zero_grad()
                    if run is None or backend == "reference":
                        losses = backpropagate(objective.losses, given, state)[0]
                    else:
                        losses = run(given, state)[0]
                found.append([losses, *(p.grad for p in network.parameters())])
            error = max(
                float((a.double() - b.double()).norm() / b.double().norm())
                for a, b in zip(found[1], found[0], strict=True)
            )
            print(f"{mode}, {kind}, {precision}: error {error:.1e}", flush=True)
            if not error < bound:
                raise InputError(f"{mode}, {kind}, {precision}: error {error:.1e}, more than {bound}")


# second


class Job(NamedTuple):
    """One training; `start` is the row whose weights it starts from."""

    experiment: str
    row: str
    start: str | None
    corpus: str
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.experiment}/{self.row}"


class Running(NamedTuple):
    """A training in its process."""

    job: Job
    mode: str
    process: subprocess.Popen[bytes]


@app.command()
def second(
    corpus: Annotated[list[str], typer.Option(help="NAME=PARQUET; repeat for each corpus.")],
    output: Annotated[Path, typer.Option(help="Folder for shards and report.json.")],
    choice: Annotated[Path | None, typer.Option(help="choice.json of `first`; default: fused, recorded.")] = None,
    config: Annotated[list[Path] | None, typer.Option(help="On top of config.yaml; default: the paper preset.")] = None,
    seconds: Annotated[float, typer.Option(help="Seconds that this call may take.")] = 560.0,
    side_by_side: Annotated[int, typer.Option(help="Trainings at once.")] = 5,
    resume: Annotated[Path | None, typer.Option(help="Shards of an earlier call.")] = None,
    work: Annotated[Path, typer.Option(help="Models and states.")] = Path("checkpoints/lease"),
) -> None:
    """Train side by side, in order of worth, until the time is over."""
    deadline = time.monotonic() + seconds
    modes = ["fused, recorded", "fused"]
    if choice is not None:
        modes = read_json_object(choice, "what `first` found").get("modes") or modes
    corpora = named_corpora(corpus)
    jobs = list_jobs(load_config([ROOT / "config.yaml", *(config or [PAPER])]), set(corpora))
    if resume is not None:
        print(f"{len(join(resume, work))} files put back from {resume}", flush=True)
    report: dict[str, Any] = {"modes": modes, "events": []}
    started, written = time.monotonic(), time.monotonic()

    def note(event: str) -> None:
        report["events"].append(f"{time.monotonic() - started:.0f} s: {event}")
        print(report["events"][-1], flush=True)

    running: list[Running] = []
    left = {job.name: list(modes) for job in jobs}
    with multi_process_service(note):
        try:
            while time.monotonic() < deadline - PAUSE_SECONDS:
                for place in [place for place in running if place.process.poll() is not None]:
                    running.remove(place)
                    if place.process.returncode == 0:
                        note(f"{place.job.name}: finished")
                    else:
                        left[place.job.name].pop(0)
                        note(f"{place.job.name}: failed with {place.mode}, exit status {place.process.returncode}")
                for job in waiting(jobs, work, running, left)[: side_by_side - len(running)]:
                    mode = left[job.name][0]
                    budget = deadline - PAUSE_SECONDS - time.monotonic()
                    running.append(Running(job, mode, start(job, mode, corpora, work, budget)))
                    note(f"{job.name}: started with {mode}")
                if not running:
                    break
                if time.monotonic() - written >= WRITE_SECONDS:
                    written = time.monotonic()
                    write_results(jobs, work, output, report)
                time.sleep(LOOK_SECONDS)
        finally:
            for place in running:
                note(f"{place.job.name}: {ended(place.process, deadline - EVALUATE_SECONDS)}")
            evaluate(jobs, corpora, work, deadline - EVALUATE_SECONDS / 4, note)
            write_results(jobs, work, output, report, states=True)


def ended(process: subprocess.Popen[bytes], deadline: float) -> str:
    """Wait until a training has paused by itself, as it was told to at its start; else end it."""
    try:
        process.wait(max(1.0, deadline - time.monotonic()))
        return "paused"
    except subprocess.TimeoutExpired:
        process.kill()
        return "killed, it did not pause in time"


def list_jobs(config: dict[str, Any], corpora: set[str]) -> list[Job]:
    """All trainings on these corpora: rows that start from nothing first, each kind by worth."""
    jobs = []
    for name in sorted(config["experiments"], key=ORDER.index):
        entry = config["experiments"][name]
        for row, about in rows(entry).items():
            if entry["corpus"] in corpora:
                settings = training_settings(config, name, row)
                jobs.append(Job(name, row, about.get("from"), entry["corpus"], settings))
    return sorted(jobs, key=lambda job: job.start is not None)


def complete(job: Job, work: Path) -> bool:
    folder = work / job.name
    return (folder / "config.json").exists() and bool(read_config(folder)["complete"])


def waiting(jobs: Sequence[Job], work: Path, running: Sequence[Running], left: dict[str, list[str]]) -> list[Job]:
    """Jobs that can begin: not done, not given up, what they start from there."""
    busy = {place.job.name for place in running}
    done = {job.name for job in jobs if complete(job, work)}
    return [
        job
        for job in jobs
        if job.name not in busy | done
        and left[job.name]
        and (job.start is None or f"{job.experiment}/{job.start}" in done)
    ]


def start(job: Job, mode: str, corpora: dict[str, Path], work: Path, budget: float) -> subprocess.Popen[bytes]:
    """Begin a training, or go on with it, for `budget` seconds: then it pauses, and its model is written."""
    folder = work / job.name
    folder.mkdir(parents=True, exist_ok=True)
    job.settings["training"]["backend"] = backend_of(mode)
    write_json(folder / "settings.json", job.settings)
    command = [sys.executable, "-m", "pipeline.train", "--settings", str(folder / "settings.json")]
    command += [
        "--corpus",
        str(corpora[job.corpus]),
        "--output",
        str(folder),
        "--checkpoint-seconds",
        str(WRITE_SECONDS),
    ]
    command += ["--time-budget", str(budget)]
    if job.start is not None:
        command += ["--initial", str(work / job.experiment / job.start)]
    with (folder / "train.txt").open("ab") as said:
        return subprocess.Popen(command, env=environment(mode), cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)


def evaluate(jobs: Sequence[Job], corpora: dict[str, Path], work: Path, deadline: float, note: Any) -> None:
    """Measures of what has been trained, finished or not, as many as there is time for; all at once."""
    processes = {}
    for job in jobs:
        folder = work / job.name
        if (folder / "config.json").exists() and time.monotonic() < deadline:
            command = [sys.executable, "-m", "pipeline.evaluate", "--model", folder, "--corpus", corpora[job.corpus]]
            command += ["--output", folder / "static.json"]
            processes[job.name] = subprocess.Popen(list(map(str, command)), cwd=ROOT, env=environment("fused"))
    for name, process in processes.items():
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            note(f"{name}: no time to evaluate it")


def write_results(jobs: Sequence[Job], work: Path, output: Path, report: dict[str, Any], states: bool = False) -> None:
    """Curves, measures and weights of all trainings as shards; at the end also states, as far as they fit."""
    results: list[Path] = []
    heavy: list[Path] = []
    for job in jobs:
        folder, state = work / job.name, work / job.name / "state"
        if states:
            for stale in folder.glob("*-so-far.*"):
                if (folder / "config.json").exists():
                    stale.unlink()
        if not states and has_training_state(state):
            best = load_training_state(state)[0]["best"]
            if best is not None:
                save_file(best["weights"], folder / "best-so-far.safetensors")
            if (state / "log.parquet").exists():
                shutil.copyfile(state / "log.parquet", folder / "log-so-far.parquet")
        results += sorted(path for path in folder.glob("*") if path.is_file() and path.name != "optimiser.safetensors")
        heavy += [path for path in (state, folder / "optimiser.safetensors") if states and path.exists()]
    light = sorted(results, key=lambda path: path.suffix == ".safetensors")  # stable: the small ones first
    report["left_out"] = [
        str(path.relative_to(work)) for path in split(work, [*light, *heavy], output, SHARD_BYTES, SHARDS)
    ]
    write_json(output / "report.json", report)


@contextmanager
def multi_process_service(note: Any) -> Iterator[None]:
    """CUDA's own, where it is installed: kernels of several processes run at once, not in turn."""
    control = shutil.which("nvidia-cuda-mps-control")
    if control is None or not torch.cuda.is_available():
        note("no multi-process service: the GPU serves the trainings in turn")
        yield
        return
    with tempfile.TemporaryDirectory() as pipe:
        for name in ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"):
            os.environ[name] = pipe
        started = subprocess.run([control, "-d"], capture_output=True, text=True)
        note(f"multi-process service: {'started' if started.returncode == 0 else started.stderr.strip()}")
        if started.returncode != 0:
            del os.environ["CUDA_MPS_PIPE_DIRECTORY"]
        try:
            yield
        finally:
            if started.returncode == 0:
                subprocess.run([control], input="quit\n", text=True, timeout=20)


if __name__ == "__main__":
    with one_line_exits():
        app()
