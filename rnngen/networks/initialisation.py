"""Initial weights. The paper does not state them; these come from the author's own program, RNNLIB."""

import torch
from torch import nn


@torch.no_grad()
def initialise(network: nn.Module, init_range: float = 0.1, generator: torch.Generator | None = None) -> None:
    """Draw every parameter, biases and peepholes included, uniformly from ±init_range.

    Parameters are drawn in the order of `network.named_parameters()`, so equal generators give equal networks.
    """
    for parameter in network.parameters():
        parameter.uniform_(-init_range, init_range, generator=generator)
