"""How well a network tells two kinds of handwriting apart by their ink alone: 0.5 where it can only guess.

It sees what the reader of `rnngen.ink.legibility` sees, in pieces of PIECE columns, some eight characters: no movement,
no text, no length of line, no size, no slope.

Shapes: f columns (frames), b pieces of a batch, k features.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from rnngen.errors import InputError
from rnngen.ink.legibility import FEATURES, TranscribedInk, columns_of, thin

PIECE = 96


class Discriminator(nn.Module):
    """Pieces of ink to the logit that they are of the second kind."""

    def __init__(self, hidden: int = 64) -> None:
        super().__init__()
        self.strokes = nn.Conv1d(FEATURES, hidden, 5, padding=2)
        self.letters = nn.Conv1d(hidden, hidden, 5, padding=2, stride=2)
        self.words = nn.Conv1d(hidden, hidden, 5, padding=2, stride=2)
        self.output = nn.Linear(2 * hidden, 1)

    def forward(self, x_bfk: torch.Tensor) -> torch.Tensor:
        """Logits (b,)."""
        h = x_bfk.transpose(1, 2)
        for layer in (self.strokes, self.letters, self.words):
            h = torch.relu(layer(h))
        return self.output(torch.cat([h.mean(2), h.amax(2)], dim=1))[:, 0]


def pieces_of(lines: Sequence[TranscribedInk], every: int = 1) -> list[np.ndarray]:
    """Columns (f, k) of the lines that have a whole piece in them, drawn from every `every`-th point."""
    columns = (columns_of(ink.points, ink.stroke_len) for ink in (thin(line, every) for line in lines))
    return [of_line for of_line in columns if len(of_line) >= PIECE]


def train_discriminator(
    first: Sequence[np.ndarray], second: Sequence[np.ndarray], updates: int, seed: int, batch: int = 64
) -> Discriminator:
    """Train on the columns of lines of two kinds, as many pieces of one as of the other.

    Raises InputError where a kind has no line of a whole piece.
    """
    _require_lines(first, second)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = Discriminator()
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=updates)
    target_b = torch.arange(batch) % 2
    for _ in range(updates):
        drawn = [_draw_piece(kind, rng) for kind in [first, second] * (batch // 2)]
        loss = nn.functional.binary_cross_entropy_with_logits(network(_stack(drawn)), target_b.float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def accuracy(
    network: Discriminator, first: Sequence[np.ndarray], second: Sequence[np.ndarray], seed: int, pieces: int = 2000
) -> float:
    """Share of `pieces` of each kind, drawn at random, that the network takes for what they are."""
    _require_lines(first, second)
    rng = np.random.default_rng(seed)
    right = 0
    for kind, is_second in ((first, False), (second, True)):
        for _ in range(0, pieces, 100):
            logits = network(_stack([_draw_piece(kind, rng) for _ in range(100)]))
            right += int(((logits > 0) == is_second).sum())
    return right / (2 * -(-pieces // 100) * 100)


def _require_lines(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> None:
    if not first or not second:
        raise InputError(f"{len(first)} and {len(second)} lines are long enough to be told apart: give longer ones")


def _draw_piece(kind: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    columns = kind[int(rng.integers(len(kind)))]
    begin = rng.integers(len(columns) - PIECE + 1)
    return columns[begin : begin + PIECE]


def _stack(pieces: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(pieces))
