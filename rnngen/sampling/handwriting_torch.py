"""Handwriting drawn step by step with torch, in any floating-point type and on any device; the readable back end.

Shapes: t steps, b lines, u characters of the whole text, k window components, o outputs.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from rnngen.cells.cuda_graphs import recorded
from rnngen.cells.soft_window import phi
from rnngen.losses.mixture_density import Mixture
from rnngen.networks.synthesis_network import SynthesisNetwork, SynthesisState
from rnngen.sampling.lines import LineRequest, Network, SampledLine, require_finite
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
    text = isinstance(network, SynthesisNetwork)
    text_bu = lengths_b = None
    bias_b = torch.tensor([request.bias for request in requests], dtype=dtype, device=device)
    noise_tb4 = torch.from_numpy(np.stack([uniforms(request.seed, steps) for request in requests], 1)).to(device, dtype)
    if text:
        lengths_b = torch.tensor([len(request.symbols_u) for request in requests])
        text_bu = torch.zeros(lines, int(lengths_b.max()), dtype=torch.int64)
        for b, request in enumerate(requests):
            text_bu[b, : len(request.symbols_u)] = torch.from_numpy(np.asarray(request.symbols_u))
        text_bu, lengths_b = text_bu.to(device), lengths_b.to(device)

    x_b3 = torch.zeros(lines, 3, dtype=dtype, device=device)
    state = network.zero_state(x_b3)
    parts = _parts(state)
    limits = np.array([request.limit for request in requests])
    primes = np.array([request.prime_steps for request in requests])
    prime_tb3 = torch.zeros(int(primes.max(initial=0)), lines, 3, dtype=dtype, device=device)
    for b, request in enumerate(requests):
        if request.prime_t3 is not None:
            prime_tb3[: request.prime_steps, b] = torch.from_numpy(np.asarray(request.prime_t3)).to(prime_tb3)
    primed_b = torch.from_numpy(primes)[:, None].to(device)
    if text:
        positions = torch.arange(text_bu.shape[1] + 1, device=device)
        own_b1 = (lengths_b - torch.tensor([request.following for request in requests], device=device))[:, None]
        past_bu = (positions >= own_b1) & (positions <= lengths_b[:, None])
    following = np.array([request.following > 0 for request in requests])
    finish = np.array([request.next_word.points if request.next_word else finish_stroke for request in requests])
    trail: list[tuple[Tensor, ...]] = []  # of every step: ŷ if kept, φ, κ
    points: list[Tensor] = []
    fired, ended = np.full(lines, -1), np.full(lines, -1)  # step; −1: not yet
    pen_up = np.zeros(lines, bool)

    def advance(x_b3: Tensor, uniforms_b4: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        """The next point, ŷ, the parts of the state, and with a text φ and whether the rule stops a row."""
        state = _joined(parts, len(network.layers))
        if not isinstance(network, SynthesisNetwork):
            y_bo, state = network.step(x_b3, state)
            return Mixture(y_bo, bias_b).place(uniforms_b4), y_bo, *_parts(state)
        y_bo, state, window = network.step(x_b3, text_bu, lengths_b, state)
        after = (Mixture(y_bo, bias_b).place(uniforms_b4), y_bo, *_parts(state))
        phi_bu = phi(*window, text_bu.shape[1] + 1)
        past_b = phi_bu.masked_fill(~past_bu, 0).amax(1)  # φ(t, U + 1), and of the places of a next word
        most_b = phi_bu.masked_fill(positions >= own_b1, 0).amax(1)
        return (*after, phi_bu, past_b > most_b)

    advance = recorded(advance, x_b3, x_b3.new_zeros(lines, 4), *parts)
    for t in range(steps):
        x_b3, y_bo, *after = advance(x_b3, noise_tb4[t], *parts)
        parts = after[: len(parts)]
        phi_bu, running = None, (ended < 0) & (t < limits)
        if text:
            phi_bu = after[-2]
            rule = after[-1].cpu().numpy()  # `stops` of every row
            fired = np.where(running & rule & (t >= primes) & (fired < 0), t, fired)
            ends = running & (fired >= 0) & ((pen_up & ~following) | (t - fired >= finish))
            ended = np.where(ends, t, ended)
            progress(int(ends.sum()))
        trail.append((y_bo if keep_outputs else None, phi_bu, parts[-1] if text else None))
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
    outputs_sbo, phi_sbu, kappa_sbk = (_stacked(values) for values in zip(*trail, strict=True)) if trail else [None] * 3
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
                phi_sbu[:evaluated, b, : len(request.symbols_u) + 1].copy() if text else None,
                kappa_sbk[:evaluated, b].copy() if text else None,
                outputs_sbo[:evaluated, b].copy() if keep_outputs else None,
            )
        )
    return result


def _stacked(values: Sequence[Tensor | None]) -> np.ndarray | None:
    return None if values[0] is None else torch.stack(list(values)).cpu().numpy()


def _parts(state: list[tuple[Tensor, Tensor]] | SynthesisState) -> list[Tensor]:
    """The tensors of a state one after the other, as a recorded step takes them."""
    if isinstance(state, SynthesisState):
        return [*_parts(state.layers), state.window_bv, state.kappa_bk]
    return [part for pair in state for part in pair]


def _joined(parts: Sequence[Tensor], layers: int) -> list[tuple[Tensor, Tensor]] | SynthesisState:
    """The inverse of `_parts`."""
    pairs = list(zip(parts[: 2 * layers : 2], parts[1 : 2 * layers : 2], strict=True))
    return SynthesisState(pairs, *parts[2 * layers :]) if len(parts) > 2 * layers else pairs
