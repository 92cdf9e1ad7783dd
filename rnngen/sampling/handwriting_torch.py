"""Handwriting drawn step by step with torch, in any floating-point type and on any device; the readable back end.

Shapes: t steps, b lines, u characters of the whole text, k window components, o outputs.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from rnngen.cells.cuda_graphs import record
from rnngen.cells.soft_window import phi
from rnngen.losses.mixture_density import Mixture
from rnngen.networks import Network, PredictionNetwork, SynthesisNetwork
from rnngen.networks.synthesis_network import SynthesisState
from rnngen.sampling.lines import LineRequest, SampledLine, require_finite
from rnngen.sampling.philox import uniforms


@torch.no_grad()
def sample_with_torch(
    network: Network,
    requests: Sequence[LineRequest],
    finish_stroke: int,
    keep_outputs: bool,
    progress: Callable[[int], None],
) -> list[SampledLine]:
    """All lines side by side, step by step; rows that have ended run along until the last has."""
    parameter = next(network.parameters())
    dtype, device = parameter.dtype, parameter.device
    lines, steps = len(requests), max((request.limit for request in requests), default=0)
    texts = _Texts(requests, device)
    bias_b = torch.tensor([request.bias for request in requests], dtype=dtype, device=device)
    noise_tb4 = torch.from_numpy(np.stack([uniforms(request.seed, steps) for request in requests], 1)).to(device, dtype)
    x_b3 = torch.zeros(lines, 3, dtype=dtype, device=device)
    parts = _parts(network.zero_state(x_b3))
    limits = np.array([request.limit for request in requests])
    primes = np.array([request.prime_steps for request in requests])
    prime_tb3 = torch.zeros(int(primes.max(initial=0)), lines, 3, dtype=dtype, device=device)
    for b, request in enumerate(requests):
        if request.prime_t3 is not None:
            prime_tb3[: request.prime_steps, b] = torch.from_numpy(np.asarray(request.prime_t3)).to(prime_tb3)
    primed_b = torch.from_numpy(primes)[:, None].to(device)
    following = np.array([request.following > 0 for request in requests])
    finish = np.array([request.next_word.points if request.next_word else finish_stroke for request in requests])
    outputs: list[Tensor] = []  # ŷ, φ and κ of every step, as far as there are any and they are kept
    phis: list[Tensor] = []
    kappas: list[Tensor] = []
    points: list[Tensor] = []
    fired, ended = np.full(lines, -1), np.full(lines, -1)  # step; −1: not yet
    pen_up = np.zeros(lines, bool)

    def advance(x_b3: Tensor, uniforms_b4: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        """The next point, ŷ, the parts of the state, and with a text φ and whether the rule stops a row."""
        if isinstance(network, PredictionNetwork):
            y_bo, pairs = network.step(x_b3, _pairs(parts))
            return Mixture(y_bo, bias_b).place(uniforms_b4), y_bo, *_parts(pairs)
        before = SynthesisState(_pairs(parts[:-2]), *parts[-2:])
        y_bo, state, window = network.step(x_b3, texts.text_bu, texts.lengths_b, before)
        return (Mixture(y_bo, bias_b).place(uniforms_b4), y_bo, *_parts(state), *texts.stops(window))

    replayed = record(advance, x_b3, x_b3.new_zeros(lines, 4), *parts)
    for t in range(steps):
        x_b3, y_bo, *after = replayed(x_b3, noise_tb4[t], *parts)
        parts = after[: len(parts)]
        running = (ended < 0) & (t < limits)
        if keep_outputs:
            outputs.append(y_bo)
        if isinstance(network, SynthesisNetwork):
            phis.append(after[-2])
            kappas.append(parts[-1])
            rule = after[-1].cpu().numpy()  # `stops` of every row
            fired = np.where(running & rule & (t >= primes) & (fired < 0), t, fired)
            ends = running & (fired >= 0) & ((pen_up & ~following) | (t - fired >= finish))
            ended = np.where(ends, t, ended)
            progress(int(ends.sum()))
        if t < len(prime_tb3):
            x_b3 = torch.where(t < primed_b, prime_tb3[t], x_b3)
        points.append(x_b3)
        pen_up = (x_b3[:, 2] > 0.5).cpu().numpy()
        running &= ended < 0
        progress(int((running & (t + 1 == limits)).sum()))
        if not (running & (t + 1 < limits)).any():
            break
    result = []
    offsets_tb3 = torch.stack(points).cpu().numpy().astype(np.float32) if points else np.zeros((0, lines, 3))
    outputs_sbo, phi_sbu, kappa_sbk = (_stack(values) for values in (outputs, phis, kappas))
    for b, request in enumerate(requests):
        length = int(ended[b]) if ended[b] >= 0 else request.limit
        evaluated = length + int(ended[b] >= 0)
        require_finite(b, offsets_tb3[:length, b])
        result.append(
            SampledLine(
                offsets_tb3[:length, b].copy(),
                request.prime_steps,
                "rule" if ended[b] >= 0 else "cap",
                int(fired[b]) if fired[b] >= 0 else None,
                None if phi_sbu is None else phi_sbu[:evaluated, b, : request.characters + 1].copy(),
                None if kappa_sbk is None else kappa_sbk[:evaluated, b].copy(),
                None if outputs_sbo is None else outputs_sbo[:evaluated, b].copy(),
            )
        )
    return result


class _Texts:
    """The texts of the lines side by side, padded, and where each ends; empty for a prediction network."""

    def __init__(self, requests: Sequence[LineRequest], device: torch.device) -> None:
        self.lengths_b = torch.tensor([request.characters for request in requests])
        self.text_bu = torch.zeros(len(requests), int(self.lengths_b.max()), dtype=torch.int64)
        for text_u, request in zip(self.text_bu, requests, strict=True):
            if request.symbols_u is not None:
                text_u[: request.characters] = torch.from_numpy(np.asarray(request.symbols_u))
        self.text_bu, self.lengths_b = self.text_bu.to(device), self.lengths_b.to(device)
        self.positions = torch.arange(self.text_bu.shape[1] + 1, device=device)
        following_b = torch.tensor([request.following for request in requests], device=device)
        self.own_b1 = (self.lengths_b - following_b)[:, None]
        self.past_bu = (self.positions >= self.own_b1) & (self.positions <= self.lengths_b[:, None])

    def stops(self, window: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """φ(t, 1 … U + 1) of every line, and whether the rule stops it."""
        phi_bu = phi(*window, self.text_bu.shape[1] + 1)
        past_b = phi_bu.masked_fill(~self.past_bu, 0).amax(1)  # φ(t, U + 1), and of the places of a next word
        most_b = phi_bu.masked_fill(self.positions >= self.own_b1, 0).amax(1)
        return phi_bu, past_b > most_b


def _stack(values: list[Tensor]) -> np.ndarray | None:
    return torch.stack(values).cpu().numpy() if values else None


def _parts(state: list[tuple[Tensor, Tensor]] | SynthesisState) -> list[Tensor]:
    """The tensors of a state one after the other, as a recorded step takes them."""
    if isinstance(state, SynthesisState):
        return [*_parts(state.layers), state.window_bv, state.kappa_bk]
    return [part for pair in state for part in pair]


def _pairs(parts: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """(h, c) of every layer from the tensors that `_parts` gave."""
    return list(zip(parts[::2], parts[1::2], strict=True))
