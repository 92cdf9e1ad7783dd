"""Speed and memory of the LSTM layer and the synthesis network on the CPU, forward and backward, beside torch.nn.LSTM.

    python -m benchmarks.lstm --quick

All variants of a row run in turn in one process, and a ratio is the median over the rounds of nn.LSTM's time divided by
the variant's in the same round: above 1 is faster than nn.LSTM, which has neither peepholes nor a clip. With one thread
a time is CPU time, so other load on the machine matters less. `error` is ‖a − b‖ / ‖b‖ of outputs and gradients, the
worst of them, b being the same function in float64 over the first steps. Peak memory is what one pass, forward and
backward, adds to a fresh process that holds weights, inputs and the derivative of the output.
"""

import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor, nn

from pipeline._command import command
from rnngen.artifacts import machine
from rnngen.cells.c_kernels import load_fitting_gates
from rnngen.cells.layer import PeepholeLSTM
from rnngen.cells.matmul import onednn_float32_is_exact
from rnngen.networks.synthesis_network import SynthesisNetwork

CLIP = 10.0
CHECKED_STEPS = 8
LAYERS = {  # name → back end, precision
    "naive loop": ("reference", "float32"),
    "fused": ("fused", "float32"),
    "compiled": ("compiled", "float32"),
    "fused bf16": ("fused", "bfloat16"),
    "compiled bf16": ("compiled", "bfloat16"),
}
PEERS = {"nn.LSTM": False, "nn.LSTM bf16": True}  # under autocast to bfloat16 or not
NAMES = [*PEERS, *LAYERS]


def layer_pass(name: str, cells: int, x_tbi: Tensor, head_tbh: Tensor, dtype=torch.float32) -> Callable[[], list]:
    """A function that runs one layer forward and backward and returns the output and all gradients."""
    torch.manual_seed(0)
    size = x_tbi.shape[2]
    if name in PEERS:
        layer = nn.LSTM(size, cells).to(dtype)
    else:
        backend, precision = LAYERS[name]
        layer = PeepholeLSTM(cells, [size], clip=CLIP, backend=backend, precision=precision).to(dtype)
    x_tbi, head_tbh = x_tbi.detach().to(dtype).requires_grad_(), head_tbh.to(dtype)

    def run() -> list[Tensor]:
        layer.zero_grad()
        x_tbi.grad = None
        if name in PEERS:
            with torch.autocast("cpu", torch.bfloat16, enabled=PEERS[name]):
                out, _ = layer(x_tbi)
        else:
            out, _ = layer(None, [x_tbi])
        out.backward(head_tbh.to(out.dtype))
        return [out.detach(), x_tbi.grad, *(parameter.grad for parameter in layer.parameters())]

    return run


class ThreeLSTMs(nn.Module):
    """The synthesis network's layers with nn.LSTM and without the window, whose output is given."""

    def __init__(self, cells: int, alphabet: int, outputs: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.LSTM(3 + alphabet + below, cells) for below in (0, cells, cells))
        self.output = nn.Linear(3 * cells, outputs)

    def forward(self, x_tbi: Tensor, window_tbv: Tensor) -> Tensor:
        hidden: list[Tensor] = []
        for layer in self.layers:
            hidden.append(layer(torch.cat([x_tbi, window_tbv, *hidden[-1:]], 2))[0])
        return self.output(torch.cat(hidden, 2))


def synthesis_pass(name: str, steps: int, batch: int, dtype=torch.float32) -> Callable[[], list]:
    """The same for the synthesis network of the paper and for three nn.LSTM of its size."""
    torch.manual_seed(0)
    x_tbi, head_tbo = torch.randn(steps, batch, 3).to(dtype), torch.randn(steps, batch, 121).to(dtype)
    text_bu, text_lengths_b = torch.randint(0, 57, (batch, 30)), torch.randint(15, 31, (batch,))
    if name in PEERS:
        network: nn.Module = ThreeLSTMs(400, 57, 121).to(dtype)
        inputs: tuple[Tensor, ...] = (x_tbi, torch.rand(steps, batch, 57).to(dtype))
    else:
        backend, precision = LAYERS[name]
        network = SynthesisNetwork(clip=CLIP, window_bias=-3.0, backend=backend, precision=precision).to(dtype)
        inputs = (x_tbi, text_bu, text_lengths_b)

    def run() -> list[Tensor]:
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=PEERS.get(name, False)):
            result = network(*inputs)
        out = result if isinstance(result, Tensor) else result[0]
        out.backward(head_tbo.to(out.dtype))
        return [out.detach(), *(parameter.grad for parameter in network.parameters())]

    return run


def error(found: list[Tensor], expected: list[Tensor]) -> float:
    return max(((a.double() - b).norm() / b.norm()).item() for a, b in zip(found, expected, strict=True))


def checked(make: Callable[[str, torch.dtype], Callable[[], list[Tensor]]]) -> dict[str, float]:
    """The error of every variant."""
    exact = {name: make(name, torch.float64)() for name in ("nn.LSTM", "naive loop")}
    return {
        name: error(make(name, torch.float32)(), exact["nn.LSTM" if name in PEERS else "naive loop"]) for name in NAMES
    }


def times(passes: dict[str, Callable[[], list]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each pass in each round, the passes in turn, after two rounds to warm up."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in passes}
    for number in range(rounds + 2):
        for name, run in passes.items():
            start = clock()
            run()
            if number >= 2:
                seconds[name].append(clock() - start)
    return seconds


def report(heading: str, seconds: dict[str, list[float]], errors: dict[str, float], gigaflop: float | None) -> None:
    print(f"\n{heading}\n{'':16s}{'ms':>8s}{'nn.LSTM ÷':>11s}{'naive ÷':>9s}{'GFLOP/s':>9s}{'error':>10s}")
    for name, own in seconds.items():
        ratio, naive = (
            statistics.median(a / b for a, b in zip(seconds[other], own, strict=True))
            for other in ("nn.LSTM", "naive loop")
        )
        middle = statistics.median(own)
        rate = "" if gigaflop is None else f"{gigaflop / middle:.0f}"
        print(f"{name:16s}{middle * 1e3:8.0f}{ratio:11.2f}{naive:9.2f}{rate:>9s}{errors[name]:10.1e}", flush=True)


def peak_mebibytes(name: str, cells: int, steps: int, batch: int, threads: int) -> float:
    """In a fresh process: the highest resident memory of one pass above that before it."""
    torch.set_num_threads(threads)
    layer_pass(name, 16, torch.randn(2, 2, 16), torch.randn(2, 2, 16))()  # code and constants
    run = layer_pass(name, cells, torch.randn(steps, batch, cells), torch.randn(steps, batch, cells))
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    held = run()
    return (_status("VmHWM") - before) / 1024 if held else 0.0


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def measure_layer(cells: int, batch: int, steps: int, rounds: int) -> None:
    x_tbi, head_tbh = torch.randn(steps, batch, cells), torch.randn(steps, batch, cells)
    few = x_tbi[:CHECKED_STEPS], head_tbh[:CHECKED_STEPS]
    errors = checked(lambda name, dtype: layer_pass(name, cells, *few, dtype=dtype))
    passes = {name: layer_pass(name, cells, x_tbi, head_tbh) for name in NAMES}
    # forward product and both of backward, of inputs and recurrence, 2 FLOP a weight
    gigaflop = 3 * 2 * steps * batch * 2 * cells * 4 * cells / 1e9
    report(f"one layer, H = I = {cells}, B = {batch}, T = {steps}", times(passes, rounds), errors, gigaflop)


def measure_synthesis(batch: int, steps: int, rounds: int) -> None:
    errors = checked(lambda name, dtype: synthesis_pass(name, CHECKED_STEPS, batch, dtype=dtype))
    passes = {name: synthesis_pass(name, steps, batch) for name in NAMES}
    heading = f"synthesis network, 3 × 400, window, B = {batch}, T = {steps}; nn.LSTM: three layers, no window"
    report(heading, times(passes, rounds), errors, None)


def measure_memory(cells: int, batch: int, steps: int, threads: int) -> None:
    print(
        f"\npeak memory of one layer, H = I = {cells}, B = {batch}, T = {steps}\n{'':16s}{'MiB':>8s}{'÷ nn.LSTM':>11s}"
    )
    found: dict[str, float] = {}
    for name in NAMES:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found[name] = pool.apply(peak_mebibytes, (name, cells, steps, batch, threads))
        print(f"{name:16s}{found[name]:8.0f}{found[name] / found['nn.LSTM']:11.2f}", flush=True)


def main(
    quick: Annotated[bool, typer.Option(help="One small size, few rounds: to see that it runs.")] = False,
    threads: Annotated[int, typer.Option(help="Threads of torch; more than one is measured by the wall clock.")] = 1,
    part: Annotated[str, typer.Option(help="layer, synthesis, memory or all.")] = "all",
    cells: Annotated[list[int], typer.Option(help="Sizes of the layer.")] = [400, 700, 1000],  # noqa: B006
    batch: Annotated[list[int], typer.Option(help="Sequences at once.")] = [32, 64, 128],  # noqa: B006
    rounds: Annotated[int, typer.Option(help="Rounds of which a figure is the median.")] = 7,
) -> None:
    """Time one layer at several sizes and the synthesis network, and measure the layer's peak memory."""
    torch.set_num_threads(threads)
    tuned = [f"{name}={value}" for name, value in os.environ.items() if name.startswith(("MALLOC_", "THP_MEM"))]
    compiler = "yes" if load_fitting_gates(torch.zeros(1)) is not None else "no: compiled is fused here"
    print(
        f"{machine()}, torch {torch.__version__}, Python {platform.python_version()}, {threads} thread(s); "
        f"allocator {' '.join(tuned) or 'default'}, on both sides; load {os.getloadavg()[0]:.1f}\n"
        f"compiler: {compiler}; float32 products by {'oneDNN' if onednn_float32_is_exact() else 'MKL'}; "
        f"AMX: {'yes' if torch.cpu._is_amx_tile_supported() else 'no'}"
    )
    if quick:
        cells, batch, rounds = [64], [4], min(rounds, 3)
    if part in ("layer", "all"):
        for size in cells:
            for sequences in batch:
                measure_layer(size, sequences, 12 if quick else max(25, 128_000 // (size * sequences) * 10), rounds)
    if part in ("synthesis", "all"):
        for sequences in batch:
            measure_synthesis(sequences, 6 if quick else max(25, 3_200 // sequences), rounds)
    if part in ("memory", "all"):
        measure_memory(*(64, 8, 12) if quick else (400, 64, 100), threads)


if __name__ == "__main__":
    command(main)
