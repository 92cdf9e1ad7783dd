"""Weight noise: Gaussian noise of a fixed standard deviation added to the weights while training (§3.1)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rnngen.errors import InputError


class WeightNoise:
    """Draws of all weights, biases and peepholes included, from N(w, sigma²) (§3.1: sigma = 0.075).

        noise = WeightNoise(dict(network.named_parameters()))
        loss_b = ... functional_call(network, noise.sample(generator), ...)
        loss_b.sum().backward()

    The gradient is taken at the drawn weights and arrives at the clean ones, which a draw never changes; evaluation
    uses the clean ones. The paper draws once per training sequence. Here a draw serves all sequences of the call it is
    used in: call `sample` once per minibatch for one draw shared by its rows, or once per row, or per group of rows,
    and backpropagate each group's loss, for as many independent draws. The mean gradient is unbiased in each case; its
    variance falls with the number of draws.

    `square_gradients`, `step`, `log`, `state_dict` and `load_state_dict` do nothing here: a training loop treats both
    kinds of noise alike.
    """

    def __init__(self, parameters: Mapping[str, Tensor], sigma: float = 0.075) -> None:
        if not sigma >= 0:
            raise InputError(f"sigma = {sigma}: expected a standard deviation of at least 0")
        self.parameters = dict(parameters)
        self.sigma = sigma

    def sample(self, generator: torch.Generator) -> dict[str, Tensor]:
        """One draw, name → weight, for `torch.func.functional_call`; with sigma = 0 the clean weights themselves."""
        if self.sigma == 0:
            return dict(self.parameters)
        return {name: standard_normal(w, generator).mul_(self.sigma).add_(w) for name, w in self.parameters.items()}

    def square_gradients(self) -> None:
        """No square is needed."""

    def step(self, factor: float = 1.0, *, batch_size: int) -> None:
        """Nothing is learned."""

    def log(self, nats_per_sequence: float | None = None) -> dict[str, float]:
        """Nothing to report."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Nothing to resume: the random numbers are the generator's."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""


def standard_normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers in the shape of `like`, drawn on the generator's device."""
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=generator.device).to(like.device)
