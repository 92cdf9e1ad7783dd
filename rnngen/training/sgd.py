"""Stochastic gradient descent with momentum, as the paper's text experiments use it (§3.1, §3.2)."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from rnngen.errors import InputError
from rnngen.training.optimiser import Optimiser


class GravesSGD(Optimiser):
    """Steepest descent whose momentum is that of the *steps*, not of the gradients.

    With ε the gradient of a parameter w, at every step (Δ starts at 0):

        Δ ← m Δ − lr ε
        w ← w + Δ

    `torch.optim.SGD` keeps b ← m b + ε and moves by −lr b. While the rate is constant the two agree. When it changes,
    because it falls or because a minibatch holds fewer sequences, torch applies the present rate to all past gradients
    too. Here each keeps the rate of its own update, as in eq 40–41 for RMSProp.
    """

    def __init__(self, params: Iterable, lr: float, momentum: float = 0.0) -> None:
        if not lr >= 0 or not 0 <= momentum < 1:
            raise InputError(f"GravesSGD needs lr ≥ 0 and 0 ≤ momentum < 1, got lr={lr}, momentum={momentum}")
        super().__init__(params, {"lr": lr, "momentum": momentum})

    def update(self, group: dict[str, Any], weights: list[Tensor], gradients: list[Tensor]) -> None:
        """The rule above; without momentum nothing is kept."""
        if group["momentum"] == 0:
            torch._foreach_add_(weights, gradients, alpha=-group["lr"])
            return
        (delta,) = self.memory(weights, "delta")
        torch._foreach_mul_(delta, group["momentum"])
        torch._foreach_add_(delta, gradients, alpha=-group["lr"])
        torch._foreach_add_(weights, delta)
