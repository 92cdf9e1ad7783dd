"""Where a network expects the pen next: the heat maps of Figures 10 and 14.

Shapes: s steps, c coordinates, m mixture components, o = 6M + 1 outputs. y grows downwards.
"""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from rnngen.ink.figures import HEAT, QUIET, axes_at
from rnngen.ink.strokes import Stroke, bounds
from rnngen.losses.mixture_density import Mixture


def density_map(
    outputs_so: np.ndarray,
    base_sc: np.ndarray,
    mean_c: np.ndarray,
    deviation_c: np.ndarray,
    edges_x: np.ndarray,
    edges_y: np.ndarray,
) -> np.ndarray:
    """Probability that each step gives each cell of a grid, summed over the steps; (rows, columns).

    Step s predicts an offset, in the network's units, from the point base_sc[s]; mean and deviation turn it into the
    units of the ink. The cells of an unbounded grid would add up to the number of steps. Components that weigh less
    than a millionth are left out, and the others take over their weight.
    """
    total = np.zeros((len(edges_y) - 1, len(edges_x) - 1))
    for y_o, base_c in zip(torch.from_numpy(np.asarray(outputs_so, np.float64)), base_sc, strict=True):
        x = torch.from_numpy((edges_x - base_c[0] - mean_c[0]) / deviation_c[0])
        y = torch.from_numpy((edges_y - base_c[1] - mean_c[1]) / deviation_c[1])
        weights_m = Mixture(y_o).weights
        kept = torch.nonzero(weights_m > 1e-6).flatten()
        # each component on its own few cells: the wide ones are rare
        for j, weight in zip(kept, weights_m[kept] / weights_m[kept].sum(), strict=True):
            component = Mixture(torch.cat([y_o[:1], y_o[1:].view(6, -1)[:, j]]))
            (deviation1,), (deviation2,) = component.deviations
            columns, rows = _near(x, component.mean1, deviation1), _near(y, component.mean2, deviation2)
            if columns.stop - columns.start < 2 or rows.stop - rows.start < 2:
                continue  # all of it lies off the grid
            cells = component.heat_map(x[columns], y[rows]) * y[rows].diff()[:, None] * x[columns].diff()
            total[rows.start : rows.stop - 1, columns.start : columns.stop - 1] += (weight * cells).numpy()
    return total


def _near(edges: torch.Tensor, mean: torch.Tensor, deviation: torch.Tensor) -> slice:
    """The part of ascending `edges` within nine deviations of a mean; outside lies less than 1e-18."""
    start = max(int(torch.searchsorted(edges, mean - 9 * deviation)) - 1, 0)
    return slice(start, min(int(torch.searchsorted(edges, mean + 9 * deviation)) + 1, len(edges)))


def density_figure(
    strokes: Sequence[Stroke],
    outputs_so: np.ndarray,
    mean_c: np.ndarray,
    deviation_c: np.ndarray,
    *,
    caption: str = "",
    width: float = 7.0,
    columns: int = 560,
) -> Figure:
    """Figures 10 and 14: where the network expects each next point of `strokes`, summed; below, which components act.

    outputs_so[s] predicts point s + 1 of the strokes from those up to s.
    """
    base_sc = np.concatenate(list(strokes))[:-1]
    left, top, right, bottom = bounds(strokes)
    margin = 0.25 * max(bottom - top, 0.1 * (right - left))
    left, top, right, bottom = left - margin, top - margin, right + margin, bottom + margin
    cell = (right - left) / columns
    edges_x = left + cell * np.arange(columns + 1)
    edges_y = top + cell * np.arange(int(np.ceil((bottom - top) / cell)) + 1)
    heat = density_map(outputs_so, base_sc, mean_c, deviation_c, edges_x, edges_y)
    weights_sm = Mixture(torch.from_numpy(np.asarray(outputs_so, np.float64))).weights.numpy()

    edge, label, gap, weights_height = 0.08, 0.36, 0.22, 1.15
    above = edge + (0.17 if caption else 0.0)
    inner = width - label - edge
    map_height = inner * len(heat) / columns
    height = above + map_height + gap + weights_height + 0.42
    figure = Figure(figsize=(width, height))
    axes = axes_at(figure, label, above, inner, map_height)
    # a few sharp points would leave everything else in the dark
    brightest = np.quantile(heat, 0.9995) or None
    axes.imshow(
        heat,
        extent=(left, edges_x[-1], edges_y[-1], top),
        cmap=HEAT,
        norm=PowerNorm(0.45, 0, brightest),
        interpolation="bilinear",
    )
    axes.set(xticks=[], yticks=[])
    axes.set_title(caption, fontsize=7.5, color=QUIET, style="italic", pad=3)
    below = axes_at(figure, label, above + map_height + gap, inner, weights_height)
    below.imshow(
        weights_sm.T,
        aspect="auto",
        cmap=HEAT,
        vmin=0,
        interpolation="nearest",
        extent=(0, len(weights_sm), weights_sm.shape[1] + 0.5, 0.5),
    )
    ends = np.cumsum([len(stroke) for stroke in strokes])[:-1] - 1
    below.set_xlabel("step of the pen; ▾ first point of a stroke", fontsize=7, color=QUIET, labelpad=2)
    below.plot(ends + 0.5, np.full(len(ends), 0.3), marker="v", color=QUIET, linestyle="", markersize=3, clip_on=False)
    below.set_ylim(weights_sm.shape[1] + 0.5, 0.5)
    below.set_ylabel("component", fontsize=7, color=QUIET, labelpad=2)
    below.tick_params(labelsize=6, color=QUIET, labelcolor=QUIET, length=2)
    return figure
