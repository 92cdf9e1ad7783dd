"""Handwriting drawn from a network: unconditional, from text, biased, primed (sections 4.2, 5.3 to 5.5).

A prediction network gives unconditional samples, a synthesis network writes a text. Each line has its own text, bias
(eq 61–62), prime, seed and end, whatever else is in the batch: its random numbers are a function of its seed and the
step (`rnngen.sampling.philox`), and on the compiled back end it is the same bit for bit, whether drawn alone or with
others.

Priming (section 5.5): the text is the prime's followed by the new one, and for the prime's steps the inputs are the
prime's points. The end (section 5.3): at the first step after the prime at which φ(t, U+1) > φ(t, u) for all u ≤ U,
the input x_t is the last point. A line that has not ended after `maximum_steps` new points is cut there, and says so.
The rule is `rnngen.sampling.lines.stops`, coded in handwriting_torch.py (`_Texts.stops`) and handwriting.c (`advance`);
the bias is in `rnngen.losses.mixture_density.Mixture`.

The rule looks at the window, and the window is done with a word before the pen is: bars and dots that wait until its
letters are written are lost at the end of a line. The network was never shown what comes after the last letter of a
line, but it knows what comes before the next word. So a request may go on with a word that is not to be written
(`NextWord`): the line ends where the pen, lifted, comes down for it.

Shapes: t steps, b lines, u characters of the whole text, k window components, o = 6M + 1 outputs.
"""

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch

from rnngen.cells.soft_window import phi
from rnngen.errors import InputError
from rnngen.networks import Network
from rnngen.sampling.handwriting_c import compiled_sampler, sample_compiled
from rnngen.sampling.handwriting_torch import sample_with_torch
from rnngen.sampling.lines import LineRequest, SampledLine, check_requests, drop_next_word


def sample(
    network: Network,
    requests: Sequence[LineRequest],
    *,
    finish_stroke: int = 0,
    keep_outputs: bool = False,
    backend: str = "auto",
    precision: str = "float32",
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> list[SampledLine]:
    """Write the lines of `requests`, in their order.

    finish_stroke  0 is the paper's rule. The window runs a little ahead of the pen, so the rule may cut the last
                   stroke; with n > 0 an unfinished stroke is finished, if that takes at most n points.
                   A request with a next word ends as that says.
    backend        "compiled" (C, float32, CPU), "torch" (any dtype and device), or "auto": compiled where possible.
    precision      "bfloat16" rounds the weights of all products to it; sums stay float32. On the compiled back end the
                   weights are then half the size, and a single line of a large network is drawn twice as fast. Lines
                   are those of a network with the rounded weights. "float32" takes the weights as they are.
    threads        of the compiled back end; lines are shared out among them.
    progress       is called with the number of lines finished since the last call.

    Raises InputError for requests that do not fit the network and for a network whose outputs are not numbers.
    """
    check_requests(network, requests)
    if backend not in ("auto", "compiled", "torch"):
        raise InputError(f"unknown back end {backend!r}: expected auto, compiled or torch")
    if precision not in ("float32", "bfloat16"):
        raise InputError(f"unknown precision {precision!r}: expected float32 or bfloat16")
    if not requests:
        return []
    library = None if backend == "torch" else compiled_sampler(network, required=backend == "compiled")
    progress = progress or (lambda lines: None)
    lines = (
        sample_with_torch(_rounded(network, precision), requests, finish_stroke, keep_outputs, progress)
        if library is None
        else sample_compiled(library, network, requests, finish_stroke, keep_outputs, precision, threads, progress)
    )
    return [drop_next_word(line, request) for line, request in zip(lines, requests, strict=True)]


@torch.no_grad()
def _rounded(network: Network, precision: str) -> Network:
    """The network, or a copy whose weights of products are rounded to bfloat16, in the type that they had."""
    if precision == "float32":
        return network
    network = copy.deepcopy(network)
    for name, parameter in network.named_parameters():
        if "weight" in name:
            parameter.copy_(parameter.bfloat16())
    return network


@torch.no_grad()
def read_line(
    network: Network, offsets_t3: np.ndarray, symbols_u: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """What a network expected at every step of a line that it is given: ŷ (T, 6M + 1) and φ(t, 1 … U + 1) (T, U + 1).

    ŷ[t] predicts point t from the points before it. φ is None for a prediction network.
    """
    check_requests(network, [LineRequest(symbols_u, prime_t3=offsets_t3)])
    parameter = next(network.parameters())
    x_t13 = torch.zeros(len(offsets_t3), 1, 3, dtype=parameter.dtype, device=parameter.device)
    x_t13[1:, 0] = torch.from_numpy(np.asarray(offsets_t3[:-1])).to(x_t13)
    if symbols_u is None:
        y_tbo, _ = network(x_t13)
        return y_tbo[:, 0].cpu().numpy(), None
    text_1u = torch.from_numpy(np.asarray(symbols_u))[None].to(parameter.device)
    y_tbo, _, window = network(x_t13, text_1u, torch.tensor([len(symbols_u)], device=parameter.device))
    alpha_tk, beta_tk, kappa_tk = (values_tbk[:, 0] for values_tbk in window)
    phi_tu = phi(alpha_tk, beta_tk, kappa_tk, len(symbols_u) + 1)
    return y_tbo[:, 0].cpu().numpy(), phi_tu.cpu().numpy()
