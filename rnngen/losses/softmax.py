"""The softmax output layer of text networks (eq 12–14).

Shapes: t time, b sequence, k symbol.
"""

import torch.nn.functional as F
from torch import Tensor

from rnngen.cells.packing import within
from rnngen.errors import InputError


def surprisal(y_tbk: Tensor, target_tb: Tensor) -> Tensor:
    """−log Pr(x_{t+1} | y_t) of every symbol, in nats, (T, B); the network's outputs ŷ are logits (eq 12)."""
    if target_tb.shape != y_tbk.shape[:-1]:
        raise InputError(
            f"targets of shape {tuple(target_tb.shape)} do not fit outputs of shape {tuple(y_tbk.shape)}: "
            f"expected {tuple(y_tbk.shape[:-1])}"
        )
    return F.cross_entropy(y_tbk.flatten(0, -2), target_tb.flatten(), reduction="none").view(target_tb.shape)


def cross_entropy(y_tbk: Tensor, target_tb: Tensor, lengths_b: Tensor | None = None) -> Tensor:
    """The loss of each sequence, −Σ_t log y_t^{x_{t+1}} in nats, (B,): a sum over time, not a mean (eq 13).

    Its derivative with respect to ŷ is y − δ (eq 14). Steps at or past a sequence's length do not count, whatever the
    target there.
    """
    if lengths_b is None:
        return surprisal(y_tbk, target_tb).sum(0)
    real_tb = within(lengths_b, y_tbk.shape[0])
    return surprisal(y_tbk, target_tb.where(real_tb, 0)).where(real_tb, 0).sum(0)


def errors(y_tbk: Tensor, target_tb: Tensor, lengths_b: Tensor | None = None) -> Tensor:
    """How many symbols of each sequence the most probable prediction gets wrong, (B,) int64."""
    wrong_tb = y_tbk.argmax(-1) != target_tb
    if lengths_b is not None:
        wrong_tb &= within(lengths_b, y_tbk.shape[0])
    return wrong_tb.sum(0)
