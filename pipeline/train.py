"""Train one network of one experiment: the input is a corpus, the output a model directory.

    python -m pipeline.train --experiment treebank-character --regularisation none \\
        --corpus results/corpora/treebank.parquet --output results/models/treebank-character/none

The model directory holds weights.safetensors (the best on the validation set), optimiser.safetensors (what the
optimiser remembered at that point, for a row that starts from these weights), log.parquet (one row per validation),
config.json (settings, network, alphabet or normaliser, headline numbers, checksums) and run.json (times, machine,
versions).

The training state goes to --state after every validation, every --checkpoint-seconds and on Ctrl-C, SIGTERM or a closed
terminal. The same command resumes from it, on a CPU to the same weights bit for bit. --time-budget pauses cleanly after
that many seconds. With --state, a finished state stays until pipeline.release_states removes it: if the model is lost,
the same command writes it again without another update.

Started by torchrun, the processes share the sequences of every minibatch; all must see the same files:

    torchrun --standalone --nproc-per-node 2 -m pipeline.train --experiment wikipedia \\
        --corpus results/corpora/wikipedia.parquet --output results/models/wikipedia/none
"""

import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import torch
import typer

from pipeline._command import command
from pipeline._progress import Bar, say
from pipeline._settings import (
    ROOT,
    Settings,
    differences,
    identity,
    load_config,
    read_settings,
    training_settings,
)
from pipeline._setup import Assembly
from rnngen.artifacts import provenance, sha256, write_result
from rnngen.errors import InputError
from rnngen.freed_memory import give_back_freed_memory
from rnngen.models.checkpoint import (
    has_training_state,
    load_optimiser,
    load_training_state,
    load_weights,
    memory_of,
    own_training_state,
    remove_training_state,
    save_network,
    save_optimiser,
    save_training_state,
    set_training_state_aside,
)
from rnngen.models.model_directory import CONFIG, LOG, OPTIMISER, WEIGHTS, check_file, read_config
from rnngen.training.data_parallel import Ranks, join_ranks
from rnngen.training.log import write_log
from rnngen.training.loop import Progress, Schedule

LOOK_EVERY = 32
"""Updates between two looks at the training loss on a GPU, because a look waits for the GPU; on a CPU, it does not."""
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(
    corpus: Annotated[Path, typer.Option(help="Parquet of the corpus.")],
    output: Annotated[Path, typer.Option(help="Model directory to write.")],
    settings: Annotated[
        str | None, typer.Option(help="Settings as JSON, or a file of them; default: from --config.")
    ] = None,
    config: Annotated[
        list[Path] | None, typer.Option(help="Configuration file; repeat for several, later ones override.")
    ] = None,
    experiment: Annotated[str | None, typer.Option(help="Experiment of the configuration.")] = None,
    regularisation: Annotated[str, typer.Option(help="Row of the experiment.")] = "none",
    initial: Annotated[Path | None, typer.Option(help="Model directory to start from.")] = None,
    state: Annotated[Path | None, typer.Option(help="Folder of the resumable state; default OUTPUT/state.")] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Number of threads, of all processes here together; overrides the settings."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="Device; overrides the settings.")] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="If another process trains with this state, wait until it has ended.")
    ] = False,
    time_budget: Annotated[float | None, typer.Option(help="Pause after this many seconds of this call.")] = None,
    checkpoint_seconds: Annotated[
        float, typer.Option(help="Longest time between two saved states, in seconds.")
    ] = 120.0,
) -> None:
    """See docs/training.md."""
    if threads is not None:
        threads = max(1, threads // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))  # torchrun's
    given = {key: value for key, value in (("threads", threads), ("device", device)) if value is not None}
    if settings is not None:
        chosen = read_settings(settings, given=given)
    elif experiment is not None:
        configuration = load_config([ROOT / "config.yaml", *(config or [])])
        chosen = training_settings(configuration | given, experiment, regularisation)
    else:
        raise InputError(
            "neither --settings nor --experiment given: name what to train, for example --experiment wikipedia"
        )
    state_folder = state or output / "state"
    with join_ranks() as ranks, ExitStack() as stack:
        if ranks is not None and ranks.rank > 0:  # one of them speaks
            stack.enter_context(redirect_stdout(stack.enter_context(Path(os.devnull).open("w"))))
        stack.enter_context(owned_by_all(state_folder, Waiting(state_folder) if wait else None, ranks))
        finished = train_one(chosen, corpus, output, initial, state_folder, time_budget, checkpoint_seconds, ranks)
        if finished and state is None and (ranks is None or ranks.rank == 0):
            remove_training_state(state_folder, LOG)


@contextmanager
def owned_by_all(folder: Path, wait: Callable[[], None] | None, ranks: Ranks | None) -> Iterator[None]:
    """Hold the lock of a state folder: of several processes the first holds it for all."""

    def keep_waiting() -> None:
        if wait is not None:
            wait()
        if ranks is not None:
            ranks.any(True)

    with ExitStack() as stack:
        with of_all(ranks):
            if ranks is not None and ranks.rank > 0:
                while ranks.any(False)[0]:  # the first is waiting
                    continue
            else:
                try:
                    stack.enter_context(own_training_state(folder, keep_waiting if wait else None))
                finally:
                    if ranks is not None:
                        ranks.any(False)
        yield


class Waiting:
    """Waits a second for another process, and says so the first time."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.said = folder, False

    def __call__(self) -> None:
        if not self.said:
            say(f"another process is training with {self.folder}: waiting for its end")
            self.said = True
        time.sleep(1)


def train_one(
    chosen: Settings,
    corpus: Path,
    output: Path,
    initial: Path | None,
    state_folder: Path,
    time_budget: float | None,
    checkpoint_seconds: float,
    ranks: Ranks | None = None,
) -> bool:
    """Train, or go on, until the end, the budget or a signal; writes the model. Returns whether it is finished."""
    first = ranks is None or ranks.rank == 0
    with of_all(ranks):
        assembly, inputs = begin(chosen, corpus, initial)
    processes = 1 if ranks is None else ranks.size
    found = None
    for turn in (True, False):  # the first may have to repair the state, or to move it aside
        with of_all(ranks):
            if first is turn:
                found = resume(assembly, state_folder, chosen, inputs, processes)
    progress, carried, best = found or (Progress(), None, None)
    if ranks is not None:
        carried = ranks.own_part(carried)
        require_same_files(ranks, inputs["corpus"], progress, state_folder)
    if progress.finished:
        say(f"finished at update {progress.updates}, in {state_folder}: only the model is written")
    elif progress.updates:
        say(f"resuming at epoch {progress.epoch}, update {progress.updates}")

    def save() -> None:
        assembly.require_finite(progress)
        values = {
            "settings": chosen,
            "inputs": inputs,
            "device": assembly.device.type,
            "backend": assembly.backend,
            "processes": processes,
            "progress": progress.as_json(),
        }
        whole = carried if ranks is None else ranks.gather(carried, next(assembly.network.parameters()))
        if first:
            save_training_state(state_folder, assembly.tensors(whole) | {"best": best}, values)
        give_back_freed_memory()  # minibatches of all sizes leave gaps, and a validation leaves more

    started = last_saved = time.perf_counter()
    look_every = 1 if assembly.device.type == "cpu" else LOOK_EVERY
    events = assembly.training(progress, carried, look_every, ranks)
    stopped = paused = False
    with stop_requests() as stop, Bar(assembly, progress) as bar:
        for kind, value in events:
            if kind == "best":
                best = {
                    "weights": copy_to_cpu(assembly.network.state_dict()),
                    "optimiser": copy_to_cpu(memory_of(assembly.network, assembly.optimiser)),
                }
                continue
            if kind == "update":
                carried = value
            now = time.perf_counter()
            paused = time_budget is not None and now - started >= time_budget
            stopped, due = bool(stop), now - last_saved >= checkpoint_seconds
            if ranks is not None:  # clocks differ, and a signal may reach one process alone
                stopped, paused, due = ranks.any(stopped, paused, due)
            # before anything is printed: the reader of the output may be gone
            if kind == "validation" or stopped or paused or due:
                save()
                last_saved = now
            if kind == "update":
                bar.update()
            else:
                if first:
                    write_log(progress.history, state_folder / LOG)
                bar.validation(value)
            if stopped or paused:
                break
    if stopped:
        say(f"state saved in {state_folder}; the same command goes on from it")
        raise KeyboardInterrupt
    if best is None:
        say(f"paused before the first validation at update {progress.updates}; run again to go on")
        return False
    if first:
        write_model(output, assembly, chosen, progress, best, initial, processes)
    if not progress.finished:
        say(f"paused at epoch {progress.epoch}, update {progress.updates}; run again to go on")
    return progress.finished


Best = dict[str, dict[str, torch.Tensor]]
"""Weights of the best validation so far, and what the optimiser remembered then."""


def copy_to_cpu(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies on the CPU, which further updates do not touch."""
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}


def begin(chosen: Settings, corpus: Path, initial: Path | None) -> tuple[Assembly, dict[str, Any]]:
    """All that a training needs, with the weights it starts from, and the checksums of the files these come from."""
    start = []
    if initial is not None:
        about = read_config(initial)
        start = [check_file(initial, about, name) for name in (WEIGHTS, OPTIMISER)]
    assembly = Assembly(chosen, corpus)
    say(assembly.data.summary)
    if start:
        weights, memory = start
        load_weights(assembly.network, weights)
        if not load_optimiser(assembly.network, assembly.optimiser, memory):
            say(f"{memory}: of another kind of optimiser than this training's, whose averages start at 0")
    return assembly, {"corpus": sha256(corpus), "initial": [sha256(path) for path in start]}


@contextmanager
def of_all(ranks: Ranks | None) -> Iterator[None]:
    """What fails in one of several processes fails in all, so that none waits for something that never comes."""
    error: Exception | None = None
    try:
        yield
    except (InputError, OSError) as found:
        if ranks is None:
            raise
        error = found
    if ranks is not None:
        ranks.agree(error)


def require_same_files(ranks: Ranks, corpus: str, progress: Progress, folder: Path) -> None:
    """InputError unless all processes read one corpus and one state."""
    mine = {"corpus": float(int(corpus[:12], 16)), "update": float(progress.updates)}
    with of_all(ranks):
        theirs = ranks.first(mine)
        if mine["corpus"] != theirs["corpus"]:
            raise InputError(f"process {ranks.rank} reads another corpus than process 0; give both the same file")
        if mine["update"] != theirs["update"]:
            raise InputError(
                f"{folder}: process {ranks.rank} finds update {mine['update']:.0f} there and process 0 update "
                f"{theirs['update']:.0f}; it must be on a file system that both see"
            )


def resume(
    assembly: Assembly, folder: Path, chosen: Settings, inputs: dict[str, Any], processes: int
) -> tuple[Progress, Any, Best | None] | None:
    """Progress, carried state and the best so far of an interrupted or finished run of this very training, else None.

    A state of another training is moved aside.
    """
    if not has_training_state(folder):
        return None
    tensors, values = load_training_state(folder)
    progress = Progress.from_json(values["progress"])
    other = differences(identity(values["settings"]), identity(chosen))
    other += differences(values["inputs"], inputs) + differences(values["device"], assembly.device.type, "device")
    if not other and not on_the_way(progress, assembly.schedule, assembly.training_batches.batches_per_epoch):
        other = ["when it validated, or where it ended"]
    if other:
        aside = set_training_state_aside(folder)
        say(f"the state in {folder} is of another training ({', '.join(other[:3])}): moved to {aside}, starting afresh")
        return None
    for name, before, now in (
        ("back end", values["backend"], assembly.backend),
        ("number of threads", values["settings"]["threads"], chosen["threads"]),
        ("number of processes", values.get("processes", 1), processes),
    ):
        if before != now:
            say(f"going on with another {name} ({now}, so far {before}): equal up to rounding, not bit for bit")
    carried = assembly.restore_or_refuse(tensors, folder)
    progress.finished = has_ended(progress, assembly.schedule)
    return progress, carried, tensors["best"]


def has_ended(progress: Progress, schedule: Schedule) -> bool:
    """Whether the last validation was the last one, as the loop of `rnngen.training.loop` decides it."""
    last = progress.updates == schedule.maximum_updates or progress.epoch == schedule.maximum_epochs
    return (
        bool(progress.history)
        and not progress.validation_due
        and (
            (last and progress.history[-1]["updates"] == progress.updates)
            or progress.validations_since_best >= schedule.patience
        )
    )


def on_the_way(progress: Progress, schedule: Schedule, per_epoch: int) -> bool:
    """Whether a training with this schedule would come to exactly this progress.

    It has validated at the same updates and did not end before: so patience, limits and the time of validations may be
    changed where that changes nothing of what has been done.
    """
    end = min(schedule.maximum_epochs * per_epoch, schedule.maximum_updates or math.inf)
    every = schedule.validate_every or per_epoch
    validated = [row["updates"] for row in progress.history]
    due = [update for update in range(1, progress.updates + 1) if update % every == 0 or update == end]
    if progress.updates > end or [*validated, *[progress.updates] * progress.validation_due] != due:
        return False
    best, since = math.inf, 0
    for row in progress.history:
        if since >= schedule.patience:
            return False
        best, since = (row["validation_loss"], 0) if row["validation_loss"] < best else (best, since + 1)
    return since < schedule.patience or validated[-1] == progress.updates


def write_model(
    output: Path,
    assembly: Assembly,
    chosen: Settings,
    progress: Progress,
    best: Best,
    initial: Path | None,
    processes: int,
) -> None:
    """The artifacts of a finished or paused training; the description last, with the checksums of the others."""
    history = [{key: value for key, value in row.items() if key != "seconds"} for row in progress.history]
    save_network(assembly.network, output / WEIGHTS, best["weights"])
    save_optimiser(best["optimiser"], assembly.optimiser, output / OPTIMISER)
    write_log(history, output / LOG)
    run = provenance(chosen, chosen["seed"], str(assembly.device), round(progress.seconds, 1))
    run |= {
        "backend": assembly.backend,
        "processes": processes,
        "validation_seconds": [row["seconds"] for row in progress.history],
    }
    write_result(
        output / CONFIG,
        {
            "experiment": chosen["experiment"],
            "regularisation": chosen["regularisation"],
            "kind": chosen["kind"],
            "weights": sum(p.numel() for p in assembly.network.parameters()),
            "complete": progress.finished,
            "epochs": progress.history[-1]["epoch"],
            "best_epoch": progress.best_epoch,
            "updates": progress.updates,
            "best": min(history, key=lambda row: row["validation_loss"]),
            "initial": None if initial is None else initial.name,
            **assembly.description(),
            "sha256": {name: sha256(output / name) for name in (WEIGHTS, OPTIMISER, LOG)},
        },
        run,
    )


def release_finished_state(state: Path, model: Path) -> bool:
    """Remove the state of a finished training whose model is there and whole; returns whether it was removed."""
    if not has_training_state(state):
        return False
    try:
        with own_training_state(state):
            _, values = load_training_state(state)
            about = read_config(model)
            for name in (WEIGHTS, OPTIMISER, LOG):
                check_file(model, about, name)
            done = values["progress"]["finished"] and about["complete"]
            if done:
                remove_training_state(state, LOG)
    except InputError as error:
        say(f"{state} stays: {error}")
        return False
    return done


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """A list that stays empty until Ctrl-C, SIGTERM or SIGHUP arrives, so that an update is never cut in half.

    A second Ctrl-C stops at once.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    # signals that nohup and the like make it ignore stay ignored
    heard = [number for number in STOPS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in heard}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    torch.set_num_threads(1)
    command(main)
