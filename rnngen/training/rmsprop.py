"""The paper's RMSProp (eq 38–45)."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from rnngen.errors import InputError
from rnngen.training.optimiser import Optimiser


class GravesRMSProp(Optimiser):
    """RMSProp as §4.2 states it: centred second moment, the constant inside the root, momentum on the step.

    With ε the gradient of a parameter w, at every step (n, g and Δ start at 0):

        n ← ℵ n + (1 − ℵ) ε²                   (38)
        g ← ℵ g + (1 − ℵ) ε                    (39)
        Δ ← ℶ Δ − ℷ ε / √(n − g² + ℸ)          (40)
        w ← w + Δ                              (41)

    `lr` is ℷ = 1e-4, `decay` ℵ = 0.95, `momentum` ℶ = 0.9 and `damping` ℸ = 1e-4 (eq 42–45).

    This is not `torch.optim.RMSprop(centered=True)`, which adds its constant outside the root and multiplies the
    learning rate in after the momentum. Because ℸ stands beside a variance, the size of a step depends on the scale of
    the gradient: the constants suit losses summed over time and averaged over sequences, not means over time.

    The variance n − g² cannot be negative, but its floating-point difference can; it is held at 0 before ℸ is added.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-4,
        decay: float = 0.95,
        momentum: float = 0.9,
        damping: float = 1e-4,
    ) -> None:
        if lr < 0 or damping < 0 or not 0 <= decay < 1 or not 0 <= momentum < 1:
            raise InputError(
                "GravesRMSProp needs lr ≥ 0, damping ≥ 0, 0 ≤ decay < 1 and 0 ≤ momentum < 1, got "
                f"lr={lr}, damping={damping}, decay={decay}, momentum={momentum}"
            )
        super().__init__(params, {"lr": lr, "decay": decay, "momentum": momentum, "damping": damping})

    def update(self, group: dict[str, Any], weights: list[Tensor], gradients: list[Tensor]) -> None:
        """Eq 38–41."""
        n, g, delta = self.memory(weights, "n", "g", "delta")
        decay = group["decay"]

        torch._foreach_mul_(n, decay)
        torch._foreach_addcmul_(n, gradients, gradients, 1 - decay)
        torch._foreach_mul_(g, decay)
        torch._foreach_add_(g, gradients, alpha=1 - decay)

        root = torch._foreach_addcmul(n, g, g, -1.0)
        torch._foreach_clamp_min_(root, 0.0)
        torch._foreach_add_(root, group["damping"])
        torch._foreach_sqrt_(root)
        torch._foreach_mul_(delta, group["momentum"])
        torch._foreach_addcdiv_(delta, gradients, root, -group["lr"])
        torch._foreach_add_(weights, delta)
