"""Speed of the paper's networks on a GPU, forward and backward, beside torch.nn.LSTM (cuDNN) of the same sizes.

    python -m benchmarks.lstm_cuda --output lstm_cuda.json

nn.LSTM has neither peepholes nor a clip, nor an output layer; beside the synthesis network it has no window. All are
timed in turn, by events on the device around a few calls that follow each other without a wait, as in training; a
figure is the median. "recorded" is one CUDA graph of forward pass, loss and backward pass, as trainings use it
(`rnngen.training.gradients`), so those rows hold the loss too. A ratio is nn.LSTM's time over ours in the same type:
above 1, ours is faster.

Without a GPU, `--toy` runs every line at sizes whose times mean nothing; the back end `triton` then needs
TRITON_INTERPRET=1.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import typer
from torch import Tensor, nn

from pipeline._command import command
from rnngen.artifacts import machine, write_json
from rnngen.cells.cuda_graphs import record
from rnngen.corpora.handwriting.lines import HandwritingBatch
from rnngen.corpora.sequences import TextBatch
from rnngen.errors import InputError
from rnngen.networks.prediction_network import PredictionNetwork
from rnngen.networks.synthesis_network import SynthesisNetwork
from rnngen.training import gradients
from rnngen.training.gradients import RecordedGradients, backpropagate
from rnngen.training.objectives import NextPoint, NextPointGivenText, NextSymbol

CALLS = 4
"""Calls timed together on a GPU."""
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Case(NamedTuple):
    """A network of the paper and its minibatch."""

    name: str
    kind: str
    layers: int
    cells: int
    batch: int
    steps: int
    symbols: int = 0


CASES = (
    Case("7 × 700, 205 symbols", "text", 7, 700, 128, 100, 205),
    Case("3 × 400 and window", "synthesis", 3, 400, 32, 640),
    Case("3 × 400, pen", "prediction", 3, 400, 32, 640),
    Case("1 × 900, pen", "prediction", 1, 900, 32, 640),
    Case("1 × 1000, 49 symbols", "text", 1, 1000, 16, 128, 49),
)
TOY = (Case("text", "text", 2, 16, 4, 12, 5), Case("synthesis", "synthesis", 3, 16, 4, 12))


def ours(case: Case, backend: str, precision: str, device: torch.device) -> Any:
    """The objective of a network as it is trained."""
    options = dict(backend=backend, precision=precision, generator=torch.Generator().manual_seed(0))
    if case.kind == "text":
        network = PredictionNetwork(
            case.symbols, case.cells, case.layers, case.symbols, symbols=True, clip=1.0, **options
        )
        return NextSymbol(network.to(device))
    if case.kind == "prediction":
        return NextPoint(PredictionNetwork(3, case.cells, case.layers, 121, clip=10.0, **options).to(device))
    return NextPointGivenText(
        SynthesisNetwork(case.cells, case.layers, clip=10.0, window_bias=-3.2, **options).to(device)
    )


def minibatch(case: Case, device: torch.device) -> Any:
    """Chunks that carry on a state, or lines of which all but the longest are a little shorter."""
    random = np.random.default_rng(0)
    if case.kind == "text":
        symbols_tb = torch.from_numpy(random.integers(0, case.symbols, (case.steps, case.batch))).to(device)
        return TextBatch(symbols_tb, symbols_tb, None, reset=False, predictions=symbols_tb.numel())
    lengths = random.integers(case.steps * 9 // 10, case.steps + 1, case.batch)
    lengths[0], lengths[1] = case.steps, case.steps * 9 // 10
    points_tb3 = torch.from_numpy(random.normal(size=(case.steps, case.batch, 3)).astype(np.float32))
    points_tb3[..., 2] = (points_tb3[..., 2] > 2).float()
    texts = torch.from_numpy(random.integers(0, 57, (case.batch, 28)))
    text_lengths = torch.full((case.batch,), 28)
    tensors = (x.to(device) for x in (points_tb3, points_tb3, torch.from_numpy(lengths), texts, text_lengths))
    return HandwritingBatch(*tensors, predictions=int(lengths.sum()), lines=np.arange(case.batch))


def runs_of(case: Case, backends: list[str], device: torch.device) -> dict[tuple[str, str], Callable[[], object]]:
    """(variant, precision) → a forward and backward pass."""
    runs: dict[tuple[str, str], Callable[[], object]] = {}
    batch = minibatch(case, device)
    for precision, dtype in PRECISIONS.items():
        torch.manual_seed(0)
        library = nn.LSTM(case.symbols or 3, case.cells, case.layers).to(device, dtype)
        x = torch.randn(case.steps, case.batch, case.symbols or 3, device=device, dtype=dtype)
        runs["nn.LSTM", precision] = partial(library_pass, library, x)
        for backend in backends:
            objective = ours(case, backend, precision, device)
            state = [layer.zero_state(case.batch) for layer in objective.network.layers]
            state = state if case.kind == "text" else None
            replay = RecordedGradients(objective.network, objective.losses, record)
            runs[f"{backend}, launched", precision] = partial(
                own_pass, objective, partial(backpropagate, objective.losses), batch, state
            )
            runs[f"{backend}, recorded", precision] = partial(own_pass, objective, replay, batch, state)
    return runs


def library_pass(module: nn.LSTM, x_tbi: Tensor) -> None:
    module.zero_grad()
    h_tbh = module(x_tbi)[0]
    h_tbh.backward(torch.ones_like(h_tbh))


def own_pass(objective: Any, run: Callable[..., object], batch: Any, state: Any) -> None:
    objective.network.zero_grad()
    run(batch, state)


def once(run: Callable[[], object], device: torch.device) -> float:
    """Seconds a call."""
    if device.type != "cuda":
        started = time.perf_counter()
        run()
        return time.perf_counter() - started
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in "be")
    begin.record()
    for _ in range(CALLS):
        run()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3 / CALLS


def main(
    output: Annotated[Path | None, typer.Option(help="JSON of all rows, written after each network.")] = None,
    backend: Annotated[list[str] | None, typer.Option(help="Back end to time; repeat for several.")] = None,
    repeats: Annotated[int, typer.Option(help="Timed rounds.")] = 7,
    budget: Annotated[float, typer.Option(help="Seconds after which no network is begun.")] = 420.0,
    toy: Annotated[bool, typer.Option("--toy", help="Sizes for a CPU; the times mean nothing.")] = False,
) -> None:
    """Time the paper's networks on a CUDA device."""
    if not torch.cuda.is_available() and not toy:
        raise InputError("no CUDA device: --toy runs through all of this on a CPU")
    started = time.perf_counter()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":  # as in training with bfloat16
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        torch.backends.cudnn.rnn.fp32_precision = "tf32"
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    name = torch.cuda.get_device_name() if device.type == "cuda" else machine()
    print(f"{name}, torch {torch.__version__}; float32 products in TF32\n", flush=True)
    print("| network | precision | variant | ms | nn.LSTM ÷ |\n|---|---|---|---|---|", flush=True)
    rows: list[dict[str, Any]] = []
    for case in TOY if toy else CASES:
        if time.perf_counter() - started > budget:
            print(f"\nbudget spent before {case.name}", flush=True)
            break
        runs = runs_of(case, backend or ["fused"], device)
        times: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
        for round_ in range(gradients.MADE_DIRECTLY + 1 + repeats):
            for key, run in runs.items():
                spent = once(run, device)
                if round_ > gradients.MADE_DIRECTLY:
                    times[key].append(spent)
        for (variant, precision), spent in times.items():
            library = statistics.median(times["nn.LSTM", precision])
            ratio = statistics.median(a / b for a, b in zip(times["nn.LSTM", precision], spent, strict=True))
            row = {"network": case.name, "precision": precision, "variant": variant, "ratio": ratio}
            rows.append(row | {"ms": 1e3 * statistics.median(spent), "library_ms": 1e3 * library})
            print(f"| {case.name} | {precision} | {variant} | {rows[-1]['ms']:.2f} | {ratio:.2f} |", flush=True)
        if output is not None:
            write_json(output, {"device": name, "torch": torch.__version__, "rows": rows})


if __name__ == "__main__":
    command(main)
