"""The mixture density output layer of handwriting networks (eq 15–37) and its biased form (eq 61–62).

An output vector ŷ of size 6M + 1 holds ê, π̂[M], μ̂₁[M], μ̂₂[M], σ̂₁[M], σ̂₂[M], ρ̂[M]. A target is (Δx, Δy, end of stroke).
Losses and log densities are natural logarithms of densities over the offsets in the units of the network's input.

Everything is computed in log space, with nothing added to keep it finite. Writing a = (x₁ − μ₁)/σ₁, b = (x₂ − μ₂)/σ₂
and r = ρ̂, the quadratic form of eq 24–25 is free of cancellation as

    Z / (1 − ρ²) = ½ (a² + b²) + ¼ (D² + S²),   D = (a − b) eʳ,   S = (a + b) e⁻ʳ,

since 1/(1 − ρ) = ½ (1 + e²ʳ) and 1/(1 + ρ) = ½ (1 + e⁻²ʳ); and −½ log(1 − ρ²) = log cosh r. A value beyond the range of
the floating-point type becomes infinite, and NaN in gives NaN out: neither is masked.

Shapes: t time, b sequence, o = 6M + 1 outputs, m component, n = t·b.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from rnngen.cells.packing import within
from rnngen.errors import InputError


class MixtureDensity:
    """Bivariate Gaussian mixture over the next pen offset times a Bernoulli over the end of the stroke (eq 15–26).

    `clip` bounds every ∂L/∂ŷ to ±clip (§4.2: 100); None leaves the derivatives as they are.
    """

    def __init__(self, clip: float | None = 100.0) -> None:
        self.clip = clip

    def loss(self, y_tbo: Tensor, target_tb3: Tensor, lengths_b: Tensor | None = None) -> Tensor:
        """−log Pr of each sequence in nats, summed over time, (B,) (eq 26).

        Steps at or past a sequence's length do not count: neither their outputs nor their targets are read.

        The clip acts on ∂L/∂ŷ of each sequence's own loss L, and what arrives from above is multiplied in afterwards.
        So ``loss.sum().backward()`` clips as the paper does for every sequence, and ``loss.mean().backward()`` gives
        exactly its B-th part. The LSTM layers have no such freedom: they clip whatever arrives, so a network with a
        clip is trained by backpropagating the plain sum and dividing the gradients of the weights by B.
        """
        if y_tbo.ndim != 3 or target_tb3.shape != (*y_tbo.shape[:2], 3):
            raise InputError(
                f"outputs of shape {tuple(y_tbo.shape)} and targets of shape {tuple(target_tb3.shape)} do not fit: "
                "expected (T, B, 6M + 1) and (T, B, 3)"
            )
        components(y_tbo.shape[-1])
        padding_tb = None if lengths_b is None else ~within(lengths_b, y_tbo.shape[0])
        return _Loss.apply(y_tbo, target_tb3, padding_tb, self.clip)

    def mixture(self, y: Tensor, bias: float | Tensor = 0.0) -> "Mixture":
        """The distribution that outputs ŷ (…, 6M + 1) stand for, biased by `bias` ≥ 0 (a number, or a tensor (…))."""
        return Mixture(y, bias)

    @torch.no_grad()
    def squared_errors(self, y_tbo: Tensor, target_tb3: Tensor, lengths_b: Tensor | None = None) -> dict[str, float]:
        """Squared errors of the point predictions, summed over all steps of all sequences.

        `mean` and `top` are |offset − prediction|² for the two point predictions of `Mixture`; `end_of_stroke` is the
        squared error of its probability. The paper's SSE is one of their sums divided by the number of points.
        """
        mixture = Mixture(y_tbo)
        end_tb = (target_tb3[..., 2] - mixture.end_of_stroke).square()
        errors_tb = {
            "mean": (target_tb3[..., :2] - mixture.mean()).square().sum(-1),
            "top": (target_tb3[..., :2] - mixture.top_component()).square().sum(-1),
            "end_of_stroke": end_tb,
        }
        if lengths_b is not None:
            real_tb = within(lengths_b, y_tbo.shape[0])
            errors_tb = {name: error_tb.where(real_tb, 0) for name, error_tb in errors_tb.items()}
        return {name: error_tb.double().sum().item() for name, error_tb in errors_tb.items()}


class Mixture:
    """The distribution of the next pen point given outputs ŷ (…, 6M + 1), biased by b ≥ 0 (eq 16–22, 61–62).

    With b = 0 the parameters are those of eq 18–22 bit for bit. `bias` broadcasts over the leading dimensions, so a
    batch may have one per row.
    """

    def __init__(self, y: Tensor, bias: float | Tensor = 0.0) -> None:
        m = components(y.shape[-1])
        bias = torch.as_tensor(bias, dtype=y.dtype, device=y.device).unsqueeze(-1)
        end_hat, weight_hat, *means, deviation1_hat, deviation2_hat, correlation_hat = y.split([1] + [m] * 6, -1)
        self.end_hat = end_hat.squeeze(-1)  # ê (…)
        self.weight_hat = weight_hat * (1 + bias)  # π̂(1 + b) (…, M)
        self.mean1, self.mean2 = means  # μ (…, M)
        self.log_deviation1 = deviation1_hat - bias  # σ̂ − b (…, M)
        self.log_deviation2 = deviation2_hat - bias
        self.correlation_hat = correlation_hat  # ρ̂ (…, M)

    @property
    def end_of_stroke(self) -> Tensor:
        """e (…), the probability that the next point ends its stroke; e = 1/(1 + exp ê), the sign is eq 18's."""
        return torch.sigmoid(-self.end_hat)

    @property
    def weights(self) -> Tensor:
        """π (…, M) (eq 19, 62)."""
        return torch.softmax(self.weight_hat, -1)

    @property
    def deviations(self) -> tuple[Tensor, Tensor]:
        """σ₁ and σ₂, each (…, M) (eq 21, 61)."""
        return self.log_deviation1.exp(), self.log_deviation2.exp()

    @property
    def correlations(self) -> Tensor:
        """ρ (…, M) (eq 22)."""
        return torch.tanh(self.correlation_hat)

    def log_density(self, offsets: Tensor) -> Tensor:
        """log Σ_j π_j N(x | μ_j, σ_j, ρ_j) of offsets (…, 2), without the end of stroke; (…) (eq 23–25)."""
        limit = _largest_exponent(self.mean1.dtype)
        a = (offsets[..., :1] - self.mean1) * (-self.log_deviation1).clamp(max=limit).exp()
        b = (offsets[..., 1:2] - self.mean2) * (-self.log_deviation2).clamp(max=limit).exp()
        r = self.correlation_hat
        d, s = (a - b) * r.clamp(max=limit).exp(), (a + b) * (-r).clamp(max=limit).exp()
        quadratic = (a * a + b * b) / 2 + (d * d + s * s) / 4
        log_cosh = r.abs() + torch.log1p((-2 * r.abs()).exp()) - math.log(2)
        log_normal = log_cosh - self.log_deviation1 - self.log_deviation2 - quadratic / 2 - math.log(2 * math.pi)
        return torch.logsumexp(torch.log_softmax(self.weight_hat, -1) + log_normal, -1)

    def log_likelihood(self, points: Tensor) -> Tensor:
        """log Pr of points (…, 3), offsets and end of stroke (eq 23); (…)."""
        return self.log_density(points[..., :2]) + F.logsigmoid((1 - 2 * points[..., 2]) * self.end_hat)

    def mean(self) -> Tensor:
        """A point prediction: the mean of the mixture, Σ_j π_j μ_j; (…, 2)."""
        return torch.stack([(self.weights * self.mean1).sum(-1), (self.weights * self.mean2).sum(-1)], -1)

    def top_component(self) -> Tensor:
        """A point prediction: the mean of the component of the largest weight; (…, 2)."""
        top = self.weight_hat.argmax(-1, keepdim=True)
        return torch.cat([self.mean1.gather(-1, top), self.mean2.gather(-1, top)], -1)

    def draw(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw points (…, 3): offsets from the mixture, end of stroke 1 with probability e, else 0."""
        shape = (*self.end_hat.shape, 4)
        return self.place(torch.rand(shape, generator=generator, dtype=self.mean1.dtype, device=self.mean1.device))

    def place(self, uniforms: Tensor) -> Tensor:
        """The points (…, 3) that four numbers (…, 4), uniform in [0, 1), stand for.

        The first picks the component by its cumulative weight, the next two give a pair of independent normal numbers
        by the Box–Muller transform, the last decides the end of the stroke. Rows with random numbers of their own can
        so be drawn together, and another implementation can draw the same points.
        """
        choice, radius, angle, end = uniforms.unbind(-1)
        cumulative = self.weights.cumsum(-1)
        total = cumulative[..., -1]
        j = (cumulative <= (choice * total).unsqueeze(-1)).sum(-1, keepdim=True)
        chosen = [self.mean1, self.mean2, self.log_deviation1, self.log_deviation2, self.correlation_hat]
        mean1, mean2, log1, log2, r = (parameter.gather(-1, j).squeeze(-1) for parameter in chosen)
        radius, angle = (-2 * torch.log1p(-radius)).sqrt(), 2 * math.pi * angle
        normal1, normal2 = radius * angle.cos(), radius * angle.sin()
        x1 = mean1 + log1.exp() * normal1
        x2 = mean2 + log2.exp() * (torch.tanh(r) * normal1 + normal2 / torch.cosh(r))  # 1/cosh r = √(1 − ρ²)
        probability = self.end_of_stroke
        stroke_end = (end < probability).to(x1.dtype)
        # comparisons turn NaN into an ordinary answer; the points must not
        unknown = total.isnan() | probability.isnan()
        return torch.stack([x1, x2, stroke_end], -1).masked_fill(unknown.unsqueeze(-1), math.nan)

    def heat_map(self, edges1: Tensor, edges2: Tensor) -> Tensor:
        """Mean density of the next offset in every cell of a grid, (…, rows, columns) (Figure 10).

        `edges1` (columns + 1) and `edges2` (rows + 1) are the ascending borders of the cells along x₁ and x₂. Cell
        means times cell areas add up to the probability of the whole grid however fine or coarse the cells are: the
        mass of a column is exact, and within a column x₂ is normal with the moments that x₁'s truncation to the column
        leaves it. A correlated component is therefore drawn with its tilt. Needs M doubles per cell and leading
        element.
        """
        sigma1, sigma2 = (deviation.double().unsqueeze(-1) for deviation in self.deviations)
        mean1, mean2 = self.mean1.double().unsqueeze(-1), self.mean2.double().unsqueeze(-1)
        rho = self.correlations.double().unsqueeze(-1)
        edges1, edges2 = edges1.double(), edges2.double()
        z = (edges1 - mean1) / sigma1  # (…, M, columns + 1)
        low, high = z[..., :-1], z[..., 1:]
        mass1 = _normal_mass(low, high)  # (…, M, columns)
        bell = torch.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        slope = z * bell
        # mean and variance of a standard normal number truncated to [low, high]; far out, where its mass underflows,
        # neither matters and any number within the cell does
        real = mass1 > 1e-200
        safe = torch.where(real, mass1, 1)
        centre = torch.where(real, (bell[..., :-1] - bell[..., 1:]) / safe, 0)
        spread = torch.where(real, 1 + (slope[..., :-1] - slope[..., 1:]) / safe - centre**2, 0)
        mean2_given1 = mean2 + rho * sigma2 * centre.clamp(min=low, max=high)
        sigma2_given1 = sigma2 * (1 - rho**2 * (1 - spread.clamp(0, 1))).clamp(min=0).sqrt()
        z2 = (edges2.unsqueeze(-1) - mean2_given1.unsqueeze(-2)) / sigma2_given1.unsqueeze(-2)
        mass2 = _normal_mass(z2[..., :-1, :], z2[..., 1:, :])  # (…, M, rows, columns)
        weighted = self.weights.double().unsqueeze(-1) * mass1
        mass = torch.einsum("...mc,...mrc->...rc", weighted, mass2)
        return mass / (edges2.diff().unsqueeze(-1) * edges1.diff())


def components(outputs: int) -> int:
    """M, the number of mixture components that 6M + 1 outputs stand for; InputError where there is none."""
    m, rest = divmod(outputs - 1, 6)
    if rest or m < 1:
        raise InputError(f"{outputs} outputs are not a mixture: expected 6M + 1, for example 121 for M = 20 (eq 16)")
    return m


def _normal_mass(low: Tensor, high: Tensor) -> Tensor:
    """Probability of [low, high] under the standard normal distribution, taken on the side where it is accurate."""
    flip = low > 0
    lower, upper = torch.where(flip, -high, low), torch.where(flip, -low, high)
    return torch.special.ndtr(upper) - torch.special.ndtr(lower)


def _largest_exponent(dtype: torch.dtype) -> float:
    """The largest x whose eˣ is finite; e to it times an exact 0 is 0, where e to more would be ∞ · 0 = NaN."""
    return math.floor(math.log(torch.finfo(dtype).max))


class _Loss(torch.autograd.Function):
    """eq 26 with the derivatives of eq 27–37, clipped; both at once, on component-major copies (o, n) of ŷ."""

    @staticmethod
    def forward(ctx: Any, y_tbo: Tensor, target_tb3: Tensor, padding_tb: Tensor | None, clip: float | None) -> Tensor:
        steps, batch, outputs = y_tbo.shape
        m = (outputs - 1) // 6
        limit = _largest_exponent(y_tbo.dtype)
        y_on = y_tbo.reshape(-1, outputs).t().contiguous()
        e_hat, pi_hat, mu1, mu2, sigma1_hat, sigma2_hat, r = y_on.split([1] + [m] * 6)
        x1, x2, end = target_tb3.to(y_tbo.dtype).reshape(-1, 3).t().contiguous().split(1)

        log_pi = torch.log_softmax(pi_hat, 0)
        inverse1 = sigma1_hat.neg().clamp_(max=limit).exp_()
        inverse2 = sigma2_hat.neg().clamp_(max=limit).exp_()
        a, b = (x1 - mu1).mul_(inverse1), (x2 - mu2).mul_(inverse2)
        grow, shrink = r.clamp(max=limit).exp_(), r.neg().clamp_(max=limit).exp_()
        d, s = (a - b).mul_(grow), (a + b).mul_(shrink)
        quadratic = (a * a).addcmul_(b, b).mul_(2).addcmul_(d, d).addcmul_(s, s).div_(4)
        log_cosh = r.abs().mul_(-2).exp_().log1p_().add_(r.abs()).sub_(math.log(2))
        log_joint = log_cosh.sub_(sigma1_hat).sub_(sigma2_hat).sub_(quadratic, alpha=0.5).add_(log_pi)
        log_sum = torch.logsumexp(log_joint, 0)
        log_end = F.logsigmoid((1 - 2 * end) * e_hat)
        nats_tb = (math.log(2 * math.pi) - log_sum - log_end[0]).view(steps, batch)

        if ctx.needs_input_grad[0]:
            gamma = (log_joint - log_sum).exp_()  # γ, eq 28–29
            slope1 = (d * grow).addcmul_(s, shrink).div_(4).add_(a, alpha=0.5)  # C (a − ρ b)
            slope2 = (s * shrink).addcmul_(d, grow, value=-1).div_(4).add_(b, alpha=0.5)  # C (b − ρ a)
            g_on = torch.empty_like(y_on)
            g_e, g_pi, g_mu1, g_mu2, g_sigma1, g_sigma2, g_r = g_on.split([1] + [m] * 6)
            torch.sub(end, torch.sigmoid(-e_hat), out=g_e)  # 27
            torch.sub(log_pi.exp_(), gamma, out=g_pi)  # 30
            torch.mul(slope1, inverse1, out=g_mu1)  # 32
            torch.mul(slope2, inverse2, out=g_mu2)  # 33
            torch.mul(a, slope1, out=g_sigma1).sub_(1)  # 34
            torch.mul(b, slope2, out=g_sigma2).sub_(1)  # 35
            torch.mul(s, s, out=g_r).addcmul_(d, d, value=-1).div_(4).add_(torch.tanh(r))  # 36
            gaussian = g_on[1 + m :].view(5, m, -1)
            # a component too far away to matter: γ vanishes faster than its derivative can grow, but 0 · ∞ is NaN
            gaussian.mul_(gamma.neg()).masked_fill_(gamma == 0, 0)  # 31
            if padding_tb is not None:
                g_on.masked_fill_(padding_tb.flatten(), 0)
            if clip is not None:
                g_on.clamp_(-clip, clip)
            ctx.save_for_backward(g_on)
            ctx.shape = (steps, batch)
        if padding_tb is not None:
            nats_tb.masked_fill_(padding_tb, 0)
        return nats_tb.sum(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream_b: Tensor) -> tuple[Tensor | None, ...]:
        (g_on,) = ctx.saved_tensors
        g_otb = g_on.view(-1, *ctx.shape) * upstream_b
        return g_otb.permute(1, 2, 0), None, None, None
