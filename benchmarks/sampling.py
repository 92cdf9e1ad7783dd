"""Speed of handwriting sampling at the paper's size (3 × 400 cells, window K = 10, M = 20), one line and many.

    python -m benchmarks.sampling --quick

The eager loop is the synthesis network as one writes it in PyTorch without second thoughts: a cell a layer, the window,
three draws from torch.distributions, step by step. All variants run in turn in one process; a ratio is the median over
the rounds of the eager loop's time divided by the variant's in the same round. With one thread a time is CPU time, so
other load on the machine matters less.
"""

import statistics
import time
from collections.abc import Callable
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import typer
from torch import Tensor

from pipeline._command import command
from rnngen.artifacts import machine
from rnngen.cells.soft_window import phi
from rnngen.losses.mixture_density import Mixture
from rnngen.models.shipped import load_handwriting
from rnngen.networks.synthesis_network import SynthesisNetwork
from rnngen.sampling.handwriting import sample
from rnngen.sampling.lines import LineRequest

CHARACTERS = 50
TEXT = "the quick brown fox jumps over the lazy dog"
BIAS = 0.5


@torch.no_grad()
def eager_loop(network: SynthesisNetwork, text_bu: Tensor, steps: int) -> Tensor:
    """Offsets (T, B, 3), drawn with nothing but torch's own modules and distributions."""
    lines, sizes = len(text_bu), network.arguments
    one_hot_buv = F.one_hot(text_bu, sizes["alphabet_size"]).float()
    h = [torch.zeros(lines, sizes["cells"]) for _ in network.layers]
    c = [torch.zeros(lines, sizes["cells"]) for _ in network.layers]
    w, kappa, x = torch.zeros(lines, sizes["alphabet_size"]), torch.zeros(lines, sizes["window_components"]), None
    x = torch.zeros(lines, 3)
    points = []
    for _ in range(steps):
        for n, layer in enumerate(network.layers):
            inputs = [x, w] if n == 0 else [x, w, h[n - 1]]
            gates = F.linear(h[n], layer.weight_recurrent, layer.bias)
            for value, weight in zip(inputs, layer.weight_dense, strict=True):
                gates = gates + F.linear(value, weight)
            i, f, g, o = gates.chunk(4, 1)
            peep_i, peep_f, peep_o = layer.peepholes
            i, f = torch.sigmoid(i + peep_i * c[n]), torch.sigmoid(f + peep_f * c[n])
            c[n] = f * c[n] + i * torch.tanh(g)
            h[n] = torch.sigmoid(o + peep_o * c[n]) * torch.tanh(c[n])
            if n == 0:
                alpha, beta, step = F.linear(h[0], network.weight_window, network.bias_window).exp().chunk(3, 1)
                kappa = kappa + step
                w = (phi(alpha, beta, kappa, CHARACTERS)[:, None] @ one_hot_buv)[:, 0]
        y = network.bias_output + sum(F.linear(a, b) for a, b in zip(h, network.weight_output, strict=True))
        mixture = Mixture(y, BIAS)
        j = torch.distributions.Categorical(logits=mixture.weight_hat).sample()[:, None]
        mean = torch.cat([mixture.mean1.gather(1, j), mixture.mean2.gather(1, j)], 1)
        s1, s2 = (deviation.gather(1, j)[:, 0] for deviation in mixture.deviations)
        r = mixture.correlations.gather(1, j)[:, 0]
        covariance = torch.stack([s1 * s1, r * s1 * s2, r * s1 * s2, s2 * s2], 1).view(-1, 2, 2)
        offset = torch.distributions.MultivariateNormal(mean, covariance).sample()
        end = torch.distributions.Bernoulli(mixture.end_of_stroke).sample()
        x = torch.cat([offset, end[:, None]], 1)
        points.append(x)
    return torch.stack(points)


def variants(network: SynthesisNetwork, lines: int, steps: int) -> dict[str, Callable[[], object]]:
    """Name → a run of `lines` lines of `steps` points."""
    random = np.random.default_rng(0)
    text_bu = random.integers(0, network.arguments["alphabet_size"], (lines, CHARACTERS))
    requests = [LineRequest(text_bu[k], BIAS, seed=k, maximum_steps=steps) for k in range(lines)]
    return {
        "eager loop": lambda: eager_loop(network, torch.from_numpy(text_bu), steps),
        "`torch`": lambda: sample(network, requests, backend="torch"),
        "`compiled`": lambda: sample(network, requests, backend="compiled"),
        "`compiled`, bfloat16 weights": lambda: sample(network, requests, backend="compiled", precision="bfloat16"),
    }


def errors_of_bfloat16(network: SynthesisNetwork, symbols_u: np.ndarray, steps: int) -> str:
    """What rounding the weights does to the outputs ŷ along the points that the float32 network drew."""
    request = LineRequest(symbols_u, BIAS, maximum_steps=steps)
    (line,) = sample(network, [request], keep_outputs=True)
    given = LineRequest(symbols_u, BIAS, prime_t3=line.offsets_t3, maximum_steps=1)
    steps = len(line.offsets_t3)
    y_so = {
        precision: torch.from_numpy(
            sample(network, [given], precision=precision, keep_outputs=True)[0].outputs_so[:steps]
        )
        for precision in ("float32", "bfloat16")
    }
    points_s3 = torch.from_numpy(line.offsets_t3)
    nats = {precision: -Mixture(y).log_likelihood(points_s3).mean().item() for precision, y in y_so.items()}
    error_so = y_so["bfloat16"] - y_so["float32"]
    return (
        f"{steps} points: root mean square of the error of ŷ {error_so.square().mean().sqrt():.1e}, of ŷ "
        f"{y_so['float32'].square().mean().sqrt():.2g}; largest error {error_so.abs().max():.1e}; nats per point "
        f"{nats['float32']:.4f} and {nats['bfloat16']:.4f}"
    )


def main(
    cells: Annotated[int, typer.Option(help="Cells of each of the three layers.")] = 400,
    rounds: Annotated[int, typer.Option(help="Rounds of all variants.")] = 7,
    quick: Annotated[bool, typer.Option("--quick", help="Short runs, for a look.")] = False,
) -> None:
    """Print a table in Markdown: steps a second (of all lines together), ratio to the eager loop."""
    torch.set_num_threads(1)
    network = SynthesisNetwork(cells, window_bias=-3.2, generator=torch.Generator().manual_seed(0))
    print(
        f"{machine()}, torch {torch.__version__}, one thread; 3 × {cells}, median of {2 if quick else rounds} rounds\n"
    )
    print("| lines at once | " + " | ".join(variants(network, 1, 1)) + " |\n|---|" + "---|" * 4)
    for lines, steps in ((1, 2000), (128, 40)):
        runs = variants(network, lines, steps // 4 if quick else steps)
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for run in runs.values():
            run()
        for _ in range(2 if quick else rounds):
            for name, run in runs.items():
                start = time.process_time()
                run()
                seconds[name].append(time.process_time() - start)
        points = lines * (steps // 4 if quick else steps)
        cells_ = []
        for name, taken in seconds.items():
            ratios = [slow / fast for slow, fast in zip(seconds["eager loop"], taken, strict=True)]
            rate = f"{points / statistics.median(taken):,.0f} steps/s"
            cells_.append(rate if name == "eager loop" else f"{rate}, {statistics.median(ratios):.1f}×")
        print(f"| {lines} | " + " | ".join(cells_) + " |")
    writer = load_handwriting()
    symbols_u = np.random.default_rng(0).integers(0, network.arguments["alphabet_size"], CHARACTERS)
    print("\nWeights in bfloat16 against float32, along the same points:\n")
    print(f"- {cells} cells, weights as drawn at the start; {errors_of_bfloat16(network, symbols_u, 700)}")
    written = writer.request(TEXT).symbols_u
    print(
        f"- the network of the package, {writer.network.arguments['cells']} cells; "
        f"{errors_of_bfloat16(writer.network, written, 2000)}"
    )


if __name__ == "__main__":
    command(main)
