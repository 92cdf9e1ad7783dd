"""What the paper's two optimisers share: one update of all parameters that have a gradient."""

import inspect
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Optimiser(torch.optim.Optimizer):
    """An optimiser whose rule is `update`, applied to a whole group at once by torch's `_foreach` operations."""

    # torch wraps these so that its compiler passes them by; the wrapper imports the compiler, which takes 150 MB
    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)

    @torch.no_grad()
    def step(  # type: ignore[override]  # torch writes it as two overloads
        self, closure: Callable[[], Tensor] | None = None
    ) -> Tensor | None:
        """One update of every parameter that has a gradient; `closure`, if given, computes the loss first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [w for w in group["params"] if w.grad is not None]
            if weights:
                self.update(group, weights, [w.grad for w in weights])
        return loss

    @abstractmethod
    def update(self, group: dict[str, Any], weights: list[Tensor], gradients: list[Tensor]) -> None:
        """Change `weights`, in place."""

    def memory(self, weights: list[Tensor], *names: str) -> list[list[Tensor]]:
        """For each name a list of tensors like the weights, kept from update to update; 0 at first."""
        for w in weights:
            if not self.state[w]:
                self.state[w] = {name: torch.zeros_like(w) for name in names}
        return [[self.state[w][name] for w in weights] for name in names]
