"""Adaptive weight noise: the standard deviation of every weight is learned with it (§3.1; Graves, "Practical
Variational Inference for Neural Networks", NIPS 2011).

The weights have independent posteriors N(μ_i, σ_i²) and one shared prior N(m, s²), which is set to its optimum before
every update:

    m = mean of μ_i,        s² = mean of σ_i² + (μ_i − m)²

What is minimised per training sequence, S being their number, is E[L(w)] + (1/S) Σ_i KL_i with

    KL_i = ½ [ln(s²/σ_i²) − 1 + ((μ_i − m)² + σ_i²)/s²]

and S times it is the description length of weights and training data. With one draw w = μ + σε and g = ∂L/∂w there,

    ∂/∂μ_i = g_i + (μ_i − m)/(S s²)
    ∂/∂σ_i = σ_i g_i² + (σ_i/s² − 1/σ_i)/S

where g² stands in for the diagonal of the Hessian; after each update σ ← |σ|.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from rnngen.errors import InputError
from rnngen.training.learning_rate import set_learning_rate
from rnngen.training.rmsprop import GravesRMSProp
from rnngen.training.weight_noise import standard_normal


class AdaptiveWeightNoise:
    """Learns a standard deviation for every parameter, starting from `sigma` (§4.2, §5.2: 0.075).

        noise = AdaptiveWeightNoise(dict(network.named_parameters()), sequences=len(training_set))
        ...
        for group in batch:                                   # one draw for each group of sequences
            loss_b = ... functional_call(network, noise.sample(generator), ...)
            loss_b.sum().backward()
        for p in network.parameters():
            p.grad /= batch_size                              # the mean over sequences
        noise.step(batch_size=batch_size)                     # prior, ∂KL/∂μ into p.grad, update of σ
        optimiser.step()                                      # update of μ

    The network's own parameters are the means μ: a draw never changes them, and evaluation uses them as they are.
    `sequences` is S. `optimiser` makes the optimiser of the standard deviations from a list of tensors; by the author's
    practice it is of the kind the means have, with the same constants and a state of its own.

    **Minibatches.** The mean gradient is unbiased however B sequences share draws. The squared-gradient rule is exact
    where every sequence has a draw of its own. With several sequences in a group, only the sum of their gradients is
    known, and Σ_groups (Σ_rows g)² / B is used for the mean of g². For groups of n sequences its expectation is
    Var g + n (E g)²: it counts the variance between sequences in full and exceeds the true Var g + (E g)² by
    (n − 1)(E g)², a term that vanishes where the mean gradient does. (The square of the batch's mean gradient would
    instead be too small by a factor of about n.)
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        sigma: float = 0.075,
        *,
        sequences: int,
        optimiser: Callable[[list[Tensor]], torch.optim.Optimizer] = GravesRMSProp,
    ) -> None:
        if not sigma > 0:
            raise InputError(f"sigma = {sigma}: expected an initial standard deviation above 0")
        if sequences < 1:
            raise InputError(f"sequences = {sequences}: expected the number of training sequences, at least 1")
        self.means = dict(parameters)
        self.sigmas = {name: torch.full_like(mu, sigma, requires_grad=True) for name, mu in self.means.items()}
        self.sequences = sequences
        self.optimiser = optimiser(list(self.sigmas.values()))
        self._squares = {name: torch.zeros_like(mu, requires_grad=False) for name, mu in self.means.items()}

    def sample(self, generator: torch.Generator) -> dict[str, Tensor]:
        """One draw, name → weight, for `torch.func.functional_call`.

        Backpropagating a loss through it adds the gradient to `.grad` of the means and its square to what `step` uses,
        so each draw is for one `backward`.
        """
        weights = {}
        for name, mu in self.means.items():
            weights[name] = standard_normal(mu, generator).mul_(self.sigmas[name].detach()).add_(mu)
            if weights[name].requires_grad:
                weights[name].register_hook(partial(_add_square, self._squares[name]))
        return weights

    @torch.no_grad()
    def square_gradients(self) -> None:
        """Take the square of `.grad` of the means as it is now for that of the draw.

        Where several processes share the sequences of one draw, `.grad` must be the sum over all of them first: the sum
        of each one's square would be too small.
        """
        for name, mu in self.means.items():
            if mu.grad is not None:
                torch.mul(mu.grad, mu.grad, out=self._squares[name])

    @torch.no_grad()
    def step(self, factor: float = 1.0, *, batch_size: int) -> None:
        """Set the prior, add ∂KL/∂μ / S to the gradients of the means, and update the standard deviations.

        To be called once per minibatch of `batch_size` sequences, when `.grad` of the means holds the mean of the
        sequences' gradients and before their own optimiser steps. `factor` scales the learning rate of the σs.
        """
        means, sigmas = list(self.means.values()), list(self.sigmas.values())
        prior_mean, prior_variance = self.prior()
        scale = 1 / (self.sequences * prior_variance)

        means_gradients = []
        for mu in means:
            if mu.grad is None:
                mu.grad = torch.zeros_like(mu)
            means_gradients.append(mu.grad)
        pull = torch._foreach_add(means, prior_mean, alpha=-1)
        torch._foreach_mul_(pull, scale)
        torch._foreach_add_(means_gradients, pull)

        gradients = list(self._squares.values())
        torch._foreach_div_(gradients, batch_size)
        torch._foreach_add_(gradients, scale, alpha=1)  # without alpha, torch takes the tensor for a number, and waits
        torch._foreach_mul_(gradients, sigmas)
        torch._foreach_add_(gradients, torch._foreach_reciprocal(sigmas), alpha=-1 / self.sequences)
        for sigma, gradient in zip(sigmas, gradients, strict=True):
            sigma.grad = gradient
        set_learning_rate(self.optimiser, factor, batch_size)
        self.optimiser.step()
        torch._foreach_abs_(sigmas)
        for sigma in sigmas:
            sigma.grad = None
        torch._foreach_zero_(gradients)

    @torch.no_grad()
    def prior(self) -> tuple[Tensor, Tensor]:
        """m and s² of the prior that fits the posteriors best, as tensors without dimensions."""
        means, sigmas = list(self.means.values()), list(self.sigmas.values())
        count = sum(mu.numel() for mu in means)
        m = torch.stack([mu.sum() for mu in means]).sum() / count
        deviations = torch._foreach_norm(torch._foreach_add(means, m, alpha=-1)) + torch._foreach_norm(sigmas)
        return m, torch.stack(deviations).square().sum() / count

    @torch.no_grad()
    def weight_nats(self) -> float:
        """Σ_i KL_i under the best prior: the cost of transmitting the weights, in nats.

        At that prior the terms −1 + ((μ − m)² + σ²)/s² add up to 0, which leaves Σ_i ln(s/σ_i).
        """
        variance = self.prior()[1].double().item()
        logs = sum(sigma.double().log().sum().item() for sigma in self.sigmas.values())
        count = sum(sigma.numel() for sigma in self.sigmas.values())
        return count * 0.5 * math.log(variance) - logs

    def log(self, nats_per_sequence: float | None = None) -> dict[str, float]:
        """What to write into a training log.

        Cost of the weights in nats and bits, the prior and the mean σ; and, given the mean training loss in nats per
        sequence, the description length of weights and training data together.
        """
        m, variance = self.prior()
        nats = self.weight_nats()
        count = sum(sigma.numel() for sigma in self.sigmas.values())
        row = {
            "weight_nats": nats,
            "weight_bits": nats / math.log(2),
            "prior_mean": m.item(),
            "prior_deviation": math.sqrt(variance.item()),
            "mean_sigma": sum(sigma.detach().sum().item() for sigma in self.sigmas.values()) / count,
        }
        if nats_per_sequence is not None:
            total = nats + self.sequences * nats_per_sequence
            row |= {"description_length_nats": total, "description_length_bits": total / math.log(2)}
        return row

    def state_dict(self) -> dict[str, Any]:
        """What is needed, with the means, to go on between two minibatches: the σs and their optimiser's state."""
        return {
            "sigmas": {name: sigma.detach() for name, sigma in self.sigmas.items()},
            "optimiser": self.optimiser.state_dict(),
        }

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`; KeyError or InputError if it is of another network."""
        if state["sigmas"].keys() != self.sigmas.keys():
            raise InputError(
                f"standard deviations of {', '.join(state['sigmas'])}: expected those of {', '.join(self.sigmas)}"
            )
        for name, sigma in self.sigmas.items():
            sigma.copy_(state["sigmas"][name])
        self.optimiser.load_state_dict(state["optimiser"])


def _add_square(squares: Tensor, gradient: Tensor) -> None:
    squares.addcmul_(gradient, gradient)
