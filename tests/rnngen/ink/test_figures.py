"""Figures: heat maps that integrate to one a step and lean with the correlation; drawn headless, twice alike."""

import numpy as np
import pytest
from lxml import etree

from rnngen.errors import InputError
from rnngen.ink.density_figure import density_figure, density_map
from rnngen.ink.figures import Block, FigureLine, lines_figure, save, window_figure

M = 3


def outputs(random, steps, narrow=0.0):
    y = random.normal(size=(steps, 1 + 6 * M))
    y[:, 1 + 3 * M : 1 + 5 * M] -= narrow
    return y


def mixture_output(weights, means, deviations, correlations):
    """ŷ of a mixture given by its parameters."""
    columns = [*np.log(weights), *np.transpose(means).ravel(), *np.log(np.transpose(deviations)).ravel()]
    return np.array([0.0, *columns, *np.arctanh(correlations)])


def test_the_map_integrates_to_one_a_step():
    random = np.random.default_rng(0)
    base = random.normal(size=(5, 2)) * 30
    # blobs from a hundredth of a cell to many cells wide
    y = np.concatenate([outputs(random, 2, narrow=6), outputs(random, 3)])
    edges = np.linspace(-600, 600, 301)
    for s in range(5):
        cells = density_map(y[s : s + 1], base[s : s + 1], np.array([3.0, -1]), np.array([9.0, 7]), edges, edges)
        assert cells.min() >= 0
        np.testing.assert_allclose(cells.sum(), 1, atol=1e-3)


def test_steps_add_up():
    random = np.random.default_rng(1)
    y, base = outputs(random, 3), random.normal(size=(3, 2)) * 10
    arguments = (np.zeros(2), np.array([5.0, 5]), np.linspace(-99, 99, 80), np.linspace(-50, 50, 40))
    together = density_map(y, base, *arguments)
    apart = sum(density_map(y[s : s + 1], base[s : s + 1], *arguments) for s in range(3))
    np.testing.assert_allclose(together, apart, atol=1e-15)


@pytest.mark.parametrize("correlation", [-0.9, 0.0, 0.9])
def test_a_blob_lies_where_and_as_the_mixture_says(correlation):
    y = mixture_output([1.0], [(2.0, -1.0)], [(0.5, 0.8)], [correlation])
    base, mean, deviation = np.array([[100.0, 50]]), np.array([4.0, 1.0]), np.array([10.0, 20.0])
    edges_x, edges_y = np.linspace(0, 250, 401), np.linspace(-150, 200, 501)
    cells = density_map(y[None], base, mean, deviation, edges_x, edges_y)
    x, y_ = (edges_x[1:] + edges_x[:-1]) / 2, (edges_y[1:] + edges_y[:-1]) / 2
    mx, my = cells.sum(0) @ x, cells.sum(1) @ y_
    np.testing.assert_allclose((mx, my), (100 + 4 + 2 * 10, 50 + 1 - 1 * 20), atol=1e-6)
    np.testing.assert_allclose(cells.sum(0) @ (x - mx) ** 2, (0.5 * 10) ** 2, rtol=2e-3)
    np.testing.assert_allclose(cells.sum(1) @ (y_ - my) ** 2, (0.8 * 20) ** 2, rtol=2e-3)
    covariance = (y_ - my) @ cells @ (x - mx)
    np.testing.assert_allclose(covariance, correlation * 5 * 16, atol=0.3)


def test_a_density_off_the_grid_adds_nothing():
    y = mixture_output([1.0], [(0.0, 0.0)], [(1e-3, 1e-3)], [0.0])
    edges = np.linspace(0, 10, 11)
    assert density_map(y[None], np.array([[500.0, 5]]), np.zeros(2), np.ones(2), edges, edges).sum() == 0


def scribble(random, strokes=3):
    return [np.cumsum(random.normal((1.5, 0), size=(n, 2)), axis=0) for n in random.integers(1, 20, strokes)]


def written_twice(figure_of, tmp_path):
    files = []
    for k in "ab":
        svg, png = tmp_path / f"{k}.svg", tmp_path / f"{k}.png"
        save(figure_of(), svg, png)
        files.append((svg.read_bytes(), png.read_bytes()))
    assert files[0] == files[1]
    assert files[0][1].startswith(b"\x89PNG")
    assert b"<dc:date>" not in files[0][0]
    return etree.fromstring(files[0][0])


def test_lines_figure(tmp_path):
    random = np.random.default_rng(2)
    real, *samples = (scribble(random) for _ in range(4))
    blocks = [
        Block(
            [
                FigureLine(real, real=True),
                *(FigureLine(s, label=f"{b:g}") for b, s in zip((0, 0.1, 10), samples, strict=True)),
            ]
        ),
        Block([FigureLine(samples[0])], caption="the same again"),
    ]
    root = written_twice(lambda: lines_figure(blocks), tmp_path)
    texts = [e.text for e in root.iter("{*}text")]
    assert texts == ["0", "0.1", "10", "the same again"]
    paths = [e for e in root.iter("{*}path") if "stroke-linecap: round" in (e.get("style") or "")]
    assert len(paths) == sum(map(len, [real, *samples, samples[0]]))


def test_a_line_that_is_one_dot(tmp_path):
    save(lines_figure([Block([FigureLine([np.zeros((1, 2))])])]), tmp_path / "dot.svg")


def test_density_figure(tmp_path):
    random = np.random.default_rng(3)
    strokes = scribble(random)
    y = outputs(random, sum(map(len, strokes)) - 1, narrow=2)
    written_twice(lambda: density_figure(strokes, y, np.zeros(2), np.ones(2), caption="a", columns=80), tmp_path)


def test_window_figure(tmp_path):
    random = np.random.default_rng(4)
    strokes, phi_su = scribble(random), random.random((40, 5))
    root = written_twice(lambda: window_figure(phi_su, "a bc", strokes), tmp_path)
    assert [e.text for e in root.iter("{*}text")][-4:] == ["a", "␣", "b", "c"]


def test_a_figure_wants_a_place():
    with pytest.raises(InputError, match="give `svg`, `png` or both"):
        save(lines_figure([Block([FigureLine([np.zeros((2, 2))])])]))
