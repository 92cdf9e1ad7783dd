"""Speed of the LSTM layers on a GPU, forward and backward, beside torch.nn.LSTM (cuDNN), with their errors.

    python -m benchmarks.lstm_cuda --output lstm_cuda.json

nn.LSTM has neither peepholes nor a clip; it stands at its true size and, since cuDNN's persistent kernels want float16
and multiples of 128, padded to those too. Its variants and ours are timed in turn, by events on the device around a few
calls that follow each other without a wait, as in training; a figure is the median. A ratio is to nn.LSTM of the same
type and size, and a second one to the fastest nn.LSTM of the comparison. `error` is ‖a − b‖ / ‖b‖ of outputs and
gradients, the worst of them, b being the same function in float64 over fewer steps. The share of the roof is the
largest of three floors over the time: the arithmetic at the measured rate of an 8192³ product in bfloat16, the bytes at
the measured rate of a copy, and the steps at the measured latency of the same loop with next to nothing to compute. The
floor named is the one that binds. `training` is a whole update of the text networks, chunks that carry on a state;
`recorded` replays its gradients (`rnngen.training.gradients`).

Without a GPU, `--toy` with TRITON_INTERPRET=1 runs every line at sizes whose times mean nothing.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor, nn

from pipeline._command import command
from rnngen.artifacts import machine, write_json
from rnngen.cells.cuda_graphs import LOOPS
from rnngen.cells.layer import PeepholeLSTM
from rnngen.corpora.sequences import TextBatch
from rnngen.errors import InputError
from rnngen.networks.prediction_network import PredictionNetwork
from rnngen.training.gradients import backpropagate, gradients_of
from rnngen.training.objectives import NextSymbol
from rnngen.training.sgd import GravesSGD

CLIP = 1.0
CALLS = 4
"""Calls timed together on a GPU."""
PRECISIONS = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
OURS = {"fp32": "float32", "tf32": "float32", "bf16": "bfloat16"}


class Bench:
    """The device, its measured ceilings, and the rows found so far."""

    def __init__(self, device: torch.device, toy: bool, repeats: int) -> None:
        self.device, self.toy, self.repeats = device, toy, repeats
        self.warm_up, self.checked_steps = (1, 4) if toy else (3, 20)
        self.rows: list[dict[str, Any]] = []
        side = 256 if toy else 8192
        a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in "ab")
        self.flops = 2 * side**3 / self.seconds({"": lambda: torch.mm(a, b)})[""]
        source = torch.randn(1 << (20 if toy else 30), device=device)
        target = torch.empty_like(source)
        self.bandwidth = 8 * source.numel() / self.seconds({"": lambda: target.copy_(source)})[""]
        # what a longer sequence takes more: without the launches around the loop
        short, long = (4, 8) if toy else (64, 512)
        tiny = PeepholeLSTM(16, [16], clip=CLIP, backend="triton").to(device)
        x = torch.randn(long, 1, 16, device=device)
        spent = self.seconds({n: lambda n=n: backward(tiny(None, [x[:n]])[0]) for n in (short, long)})
        self.latency = max(0.0, spent[long] - spent[short]) / (long - short)
        print(
            f"{self.flops / 1e12:.0f} TFLOP/s bfloat16, {self.bandwidth / 1e12:.2f} TB/s copied, "
            f"{self.latency * 1e6:.1f} µs a step forward and backward",
            flush=True,
        )

    def seconds(self, runs: dict[Any, Callable[[], Any]]) -> dict[Any, float]:
        """The median time of each, taken in turn after the warm-up rounds."""
        times: dict[Any, list[float]] = {name: [] for name in runs}
        for round_ in range(self.warm_up + self.repeats):
            for name, run in runs.items():
                spent = self.once(run)
                if round_ >= self.warm_up:
                    times[name].append(spent)
        return {name: statistics.median(values) for name, values in times.items()}

    def once(self, run: Callable[[], Any]) -> float:
        if self.device.type != "cuda":
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

    def floors(self, flop: float, moved: float, steps: int) -> dict[str, float]:
        return {"FLOP": flop / self.flops, "bytes": moved / self.bandwidth, "steps": steps * self.latency}

    def report(self, what: str, seconds: dict[str, float], errors: dict[str, float], floors: dict) -> None:
        """Print and keep a row for each variant, whose name has its type second, as in "ours bf16"."""
        binding = max(floors, key=floors.get)
        fastest = min(spent for name, spent in seconds.items() if name.startswith("nn.LSTM"))
        for name, spent in seconds.items():
            same = f"nn.LSTM {name.split()[1]}"
            row = {
                "what": what,
                "variant": name,
                "ms": 1e3 * spent,
                "times_same_type": seconds[same] / spent,
                "times_fastest": fastest / spent,
                "error": errors[name],
                "roof": floors[binding] / spent,
                "binds": binding,
            }
            self.rows.append(row)
            print(
                f"{what:28} {name:26} {row['ms']:9.3f} ms  {row['times_same_type']:6.2f} of {same}  "
                f"{row['times_fastest']:6.2f} of its fastest  error {row['error']:.1e}  "
                f"{100 * row['roof']:3.0f} % of the roof ({binding})",
                flush=True,
            )


def products(precision: str, run: Callable[..., Any]) -> Callable[..., Any]:
    """`run` with float32 products in float32, for "fp32", or else in TF32, in torch's own as in cuDNN's."""

    def with_setting(*arguments: Any) -> Any:
        setting = "ieee" if precision == "fp32" else "tf32"
        for kind in (torch.backends.cuda.matmul, torch.backends.cudnn.rnn, torch.backends.cudnn.conv):
            kind.fp32_precision = setting
        return run(*arguments)

    return with_setting


def backward(h_tbh: Tensor) -> None:
    h_tbh.backward(torch.ones_like(h_tbh))


def error(run: Callable[[bool], list[Tensor]]) -> float:
    """The worst relative error of `run(exact=False)` against `run(exact=True)`."""
    found, exact = run(False), run(True)
    worst = 0.0
    for a, b in zip(found, exact, strict=True):
        distance = ((a.double() - b).norm() / b.norm()).item()
        worst = max(worst, distance) if distance == distance else float("nan")
    return worst


def outputs_and_gradients(module: nn.Module, run: Callable[[], Tensor]) -> list[Tensor]:
    module.zero_grad()
    h = run()
    backward(h)
    return [h.detach(), *(p.grad.detach().clone() for p in module.parameters())]


def library_layer(inputs: int, cells: int, layers: int, dtype: torch.dtype, device: torch.device) -> nn.LSTM:
    torch.manual_seed(0)
    return nn.LSTM(inputs, cells, layers).to(device, dtype)


def library_error(
    bench: Bench, inputs: int, cells: int, layers: int, batch: int, dtype: torch.dtype, device: torch.device
) -> float:
    def run(exact: bool) -> list[Tensor]:
        module = library_layer(inputs, cells, layers, dtype, device)
        module = module.double() if exact else module
        x = torch.randn(bench.checked_steps, batch, inputs, generator=torch.Generator().manual_seed(1))
        x = x.to(device, dtype)
        return outputs_and_gradients(module, lambda: module(x.double() if exact else x)[0])

    return error(run)


def own_error(
    build: Callable[[str, str], nn.Module], run: Callable[[nn.Module, bool], Tensor], precision: str
) -> float:
    """`build(backend, precision)` gives equal weights at every call; `run(module, exact)` its output."""

    def both(exact: bool) -> list[Tensor]:
        module = build("reference", "float32").double() if exact else build("triton", precision)
        return outputs_and_gradients(module, lambda: run(module, exact))

    return error(both)


def one_layer(bench: Bench, cells: int, batch: int, steps: int) -> None:
    """One layer, as many inputs as cells; the gradient by the input is part of the work."""
    device = bench.device
    runs, errors = {}, {}
    padded = -(-cells // 128) * 128
    for name, dtype in PRECISIONS.items():
        for suffix, size in (("", cells), (f" padded to {padded}", padded)):
            if suffix and (padded == cells or dtype == torch.float32):
                continue
            module = library_layer(size, size, 1, dtype, device)
            x = torch.randn(steps, batch, size, device=device, dtype=dtype, requires_grad=True)
            label = f"nn.LSTM {name}{suffix}"
            runs[label] = products(name, lambda module=module, x=x: backward(module(x)[0]))
            errors[label] = products(name, library_error)(bench, size, size, 1, batch, dtype, device)
    x_short = torch.randn(bench.checked_steps, batch, cells, device=device)
    x = torch.randn(steps, batch, cells, device=device, requires_grad=True)

    def build(backend: str, precision: str) -> PeepholeLSTM:
        torch.manual_seed(0)
        layer = PeepholeLSTM(cells, [cells], clip=CLIP, backend=backend, precision=precision, init_range=cells**-0.5)
        return layer.to(device)

    def run(module: nn.Module, exact: bool) -> Tensor:
        return module(None, [x_short.double() if exact else x_short])[0]

    for name, precision in OURS.items():
        layer = build("triton", precision)
        runs[f"ours {name}"] = products(name, lambda layer=layer: backward(layer(None, [x])[0]))
        errors[f"ours {name}"] = products(name, own_error)(build, run, precision)
    seconds = bench.seconds(runs)
    flop = 3 * 2 * steps * batch * 2 * cells * 4 * cells
    moved = (
        2 * steps * batch * cells * (3 * 4 + 6)
    )  # gates written, read and written again, and c, h, x, their derivatives
    what = f"H {cells}, B {batch}, T {steps}"
    bench.report(what, seconds, errors, bench.floors(flop, moved, steps))


STACKS = {
    "7 × 700, 205 symbols": {"layers": 7, "cells": 700, "symbols": 205, "steps": 100},
    "1 × 1000, 49 symbols": {"layers": 1, "cells": 1000, "symbols": 49, "steps": 128},
    "3 × 400, pen": {"layers": 3, "cells": 400, "symbols": None, "steps": 640},
    "1 × 900, pen": {"layers": 1, "cells": 900, "symbols": None, "steps": 640},
}


def paper_stack(bench: Bench, name: str, batch: int, layers: int, cells: int, symbols: int | None, steps: int) -> None:
    """A network of the paper: layers and output layer; and, for text, a whole training step in characters a second."""
    device = bench.device
    inputs, outputs = symbols or 3, symbols or 121
    generator = torch.Generator().manual_seed(1)

    def data(steps: int) -> Tensor:
        if symbols:
            return torch.randint(symbols, (steps, batch), generator=generator).to(device)
        return torch.randn(steps, batch, 3, generator=generator).to(device)

    runs, errors = {}, {}
    padded = -(-cells // 128) * 128
    for label, dtype in PRECISIONS.items():
        for suffix, size in (("", cells), (f" padded to {padded}", padded)):
            if suffix and (padded == cells or dtype == torch.float32):
                continue
            read = -(-inputs // 128) * 128 if suffix else inputs
            module = library_layer(read, size, layers, dtype, device)
            x = torch.randn(steps, batch, read, device=device, dtype=dtype)
            runs[f"nn.LSTM {label}{suffix}"] = products(label, lambda module=module, x=x: backward(module(x)[0]))
            found = products(label, library_error)(bench, read, size, layers, batch, dtype, device)
            errors[f"nn.LSTM {label}{suffix}"] = found
    x, x_short = data(steps), data(bench.checked_steps)

    def build(backend: str, precision: str) -> PredictionNetwork:
        return PredictionNetwork(
            inputs, cells, layers, outputs, symbols=bool(symbols), clip=CLIP, init_range=cells**-0.5,
            generator=torch.Generator().manual_seed(0), backend=backend, precision=precision,
        ).to(device)  # fmt: skip

    def run(module: nn.Module, exact: bool) -> Tensor:
        return module(x_short.double() if exact and not symbols else x_short)[0]

    for name_, precision in OURS.items():
        network = build("triton", precision)
        runs[f"ours {name_}"] = products(name_, lambda network=network: backward(network(x)[0]))
        errors[f"ours {name_}"] = products(name_, own_error)(build, run, precision)
        if symbols:
            for suffix in ("", " recorded"):
                runs[f"training {name_}{suffix}"] = products(name_, training(network, x, recorded=bool(suffix)))
                errors[f"training {name_}{suffix}"] = errors[f"ours {name_}"]
    seconds = bench.seconds(runs)
    dense = 4 * cells * cells * (2 * layers - 1) + layers * cells * outputs
    dense += 0 if symbols else 4 * cells * 3 * layers
    moved = 2 * steps * batch * cells * layers * (3 * 4 + 6)
    floors = bench.floors(6 * steps * batch * dense, moved, steps + layers - 1)
    bench.report(f"{name}, B {batch}", seconds, errors, floors)
    if symbols:
        for suffix in ("", " recorded"):
            rate = steps * batch / seconds[f"training bf16{suffix}"]
            print(f"{name}, B {batch}: {rate / 1e6:.3f} million characters a second, training bf16{suffix}", flush=True)


def training(network: nn.Module, x: Tensor, recorded: bool) -> Callable[[], None]:
    """An update on a chunk: gradients and SGD with momentum."""
    losses = NextSymbol(network).losses
    gradients = gradients_of(network, losses) if recorded else partial(backpropagate, losses)
    optimiser = GravesSGD(network.parameters(), lr=1e-4, momentum=0.9)
    batch = TextBatch(x, x, None, reset=False, predictions=x.numel())
    state = [layer.zero_state(x.shape[1]) for layer in network.layers]

    def update() -> None:
        optimiser.zero_grad(set_to_none=True)
        gradients(batch, state)
        optimiser.step()

    return update


def main(
    output: Annotated[Path | None, typer.Option(help="JSON of all rows.")] = None,
    repeats: Annotated[int, typer.Option(help="Timed rounds.")] = 10,
    budget: Annotated[float, typer.Option(help="Seconds after which no new row is begun.")] = 420.0,
    toy: Annotated[bool, typer.Option("--toy", help="Sizes for a CPU; the times mean nothing.")] = False,
) -> None:
    """Time one layer and the paper's networks on a CUDA device."""
    if not torch.cuda.is_available() and not toy:
        raise InputError("no CUDA device: --toy with TRITON_INTERPRET=1 runs through all of this on a CPU")
    started = time.perf_counter()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False  # as in training
    name = torch.cuda.get_device_name() if device.type == "cuda" else machine()
    print(f"{name}, torch {torch.__version__}", flush=True)
    bench = Bench(device, toy, repeats)
    if toy:
        work = [lambda: one_layer(bench, 16, 2, 4)]
        sizes = {"layers": 2, "cells": 16, "symbols": 5, "steps": 4}
        work.append(lambda: paper_stack(bench, "toy", 2, **sizes))
    else:
        # the goals first, so that a budget cuts off what matters least
        work = [
            lambda name=name, batch=batch: paper_stack(bench, name, batch, **STACKS[name])
            for batch in (128, 64, 256, 16, 1)
            for name in STACKS
        ]
        work[4:4] = [lambda c=c: one_layer(bench, c, 64, 100) for c in (400, 700, 1000)]
        work += [lambda c=c, b=b: one_layer(bench, c, b, 100) for b in (128, 1, 16, 256) for c in (400, 700, 1000)]
    for number, run in enumerate(work):
        if time.perf_counter() - started > budget:
            print(f"budget spent: {len(work) - number} of {len(work)} comparisons left out", flush=True)
            break
        run()
        LOOPS.clear()
    if output is not None:
        about = {"device": name, "torch": torch.__version__, "flops": bench.flops, "bandwidth": bench.bandwidth}
        write_json(output, about | {"step_latency": bench.latency, "rows": bench.rows})


if __name__ == "__main__":
    command(main)
