"""Sampling: what is clamped, what is drawn, when it ends; both back ends; every line for itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rnngen.cells.soft_window import phi
from rnngen.errors import InputError
from rnngen.losses.mixture_density import Mixture
from rnngen.networks.prediction_network import PredictionNetwork
from rnngen.networks.synthesis_network import SynthesisNetwork
from rnngen.sampling.handwriting import sample
from rnngen.sampling.lines import LineRequest, NextWord, SampledLine, stops
from rnngen.sampling.philox import uniforms

BACKENDS = ["torch", "compiled"]


@pytest.fixture(scope="module")
def synthesis():
    generator = torch.Generator().manual_seed(1)
    network = SynthesisNetwork(20, 3, 9, 4, 5, window_bias=-1.5, init_range=0.3, generator=generator)
    with torch.no_grad():
        network.bias_output[0] = 1.5  # strokes of some points
    return network


@pytest.fixture(scope="module")
def prediction():
    return PredictionNetwork(3, 18, 2, 19, init_range=0.4, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def requests():
    random = np.random.default_rng(3)
    chosen = [(5, 0.0, 0), (9, 0.5, 7), (3, 1.0, 0), (12, 0.0, 3), (6, 2.0, 0), (20, 0.0, 0), (1, 0.0, 0)]
    chosen += [(7, 0.0, 0), (8, 0.0, 5), (11, 0.1, 0), (4, 0.0, 0)]  # more lines than advance together
    return [
        LineRequest(random.integers(0, 9, characters), bias, seed, prime(random, steps), maximum_steps=45)
        for seed, (characters, bias, steps) in enumerate(chosen)
    ]


def prime(random, steps):
    if steps == 0:
        return None
    return np.concatenate([random.normal(size=(steps, 2)), random.random((steps, 1)) < 0.2], 1).astype(np.float32)


def equal(one: SampledLine, two: SampledLine) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(two, name))
        for name in ("offsets_t3", "stopped", "fired", "phi_su", "kappa_sk", "outputs_so")
    )


def teacher_forced(network, line: SampledLine, symbols):
    """ŷ, φ and κ of a pass over the line's own points; one step more than points, as where the rule ended it."""
    x = torch.cat([torch.zeros(1, 3), torch.from_numpy(line.offsets_t3)])[:, None]
    text = torch.from_numpy(symbols)[None]
    y, _, trace = network(x, text, torch.tensor([len(symbols)]))
    phi_su = phi(trace.alpha_tbk[:, 0], trace.beta_tbk[:, 0], trace.kappa_tbk[:, 0], len(symbols) + 1)
    return y[:, 0].detach().numpy(), phi_su.numpy(), trace.kappa_tbk[:, 0].numpy()


@pytest.mark.parametrize("phi_u", [[0.1, 0.5, 0.6], [0.0, 0.0, 1e-20], [0.2]])
def test_the_rule_fires_when_the_place_past_the_text_outweighs_every_character(phi_u):
    assert stops(np.array(phi_u))


@pytest.mark.parametrize("phi_u", [[0.1, 0.7, 0.6], [0.6, 0.6], [0.0, 0.0], [0.9, 0.1, 0.8]])
def test_the_rule_does_not_fire(phi_u):
    assert not stops(np.array(phi_u))


def with_window(alpha, beta, step):
    """A network whose window does the same whatever is written: α, β and the step of κ of its components."""
    network = SynthesisNetwork(6, 2, 5, len(alpha), 2, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        network.weight_window.zero_()
        network.bias_window.copy_(torch.tensor([*alpha, *beta, *step], dtype=torch.float64).log())
    return network


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("alpha", "beta", "step", "prime_steps", "fired"),
    [
        # κ = 1, 2, 3, 4: at the fourth step past the text of three characters
        ([1], [1], [1], 0, 3),
        ([0.2, 1], [0.5, 1], [1e-9, 1], 0, 3),
        # as before, but a component that stays behind outweighs it on the first character, not on the last
        ([5, 1], [0.5, 1], [1e-9, 1], 0, None),
        # too far away for any φ to differ from 0
        ([1], [100], [1000], 0, None),
        # φ(4) is the greatest from the fourth step on, which is within the prime: the line ends right after it
        ([1], [1], [1], 6, 6),
        ([1], [1], [1], 3, 3),
    ],
)
def test_the_end_for_phi_by_hand(backend, alpha, beta, step, prime_steps, fired):
    points = prime(np.random.default_rng(6), prime_steps)
    request = LineRequest(np.array([1, 2, 3]), 0.0, 0, points, maximum_steps=12)
    (line,) = sample(with_window(alpha, beta, step), [request], backend=backend)
    assert line.fired == fired
    assert (line.stopped, len(line.offsets_t3)) == (("cap", 12) if fired is None else ("rule", fired))


@pytest.mark.parametrize("backend", BACKENDS)
def test_outputs_window_and_end_are_those_of_a_teacher_forced_pass(synthesis, requests, backend):
    for request, line in zip(requests, sample(synthesis, requests, backend=backend, keep_outputs=True), strict=True):
        y, phi_su, kappa = teacher_forced(synthesis, line, request.symbols_u)
        steps = len(line.phi_su)
        assert steps == len(line.offsets_t3) + (line.stopped == "rule")
        np.testing.assert_allclose(line.outputs_so, y[:steps], atol=2e-6)
        np.testing.assert_allclose(line.phi_su, phi_su[:steps], atol=2e-6)
        np.testing.assert_allclose(line.kappa_sk, kappa[:steps], atol=2e-5)
        fires = [t for t in range(request.prime_steps, steps) if stops(line.phi_su[t])]
        assert line.fired == (fires[0] if fires else None)
        if line.stopped == "rule":
            assert line.fired == len(line.offsets_t3)  # the point read when the rule fires is the last one
        else:
            assert len(line.offsets_t3) == request.limit and not fires
    assert {line.stopped for line in sample(synthesis, requests, backend=backend)} == {"rule", "cap"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_prime_is_clamped_and_leaves_the_window_where_a_teacher_forced_pass_does(synthesis, backend):
    random = np.random.default_rng(5)
    symbols, points = random.integers(0, 9, 10), prime(random, 12)
    (line,) = sample(synthesis, [LineRequest(symbols, 0.7, 3, points, 20)], backend=backend)
    assert np.array_equal(line.offsets_t3[:12], points) and line.prime_steps == 12
    _, state, _ = synthesis(
        torch.cat([torch.zeros(1, 3), torch.from_numpy(points)])[:, None],
        torch.from_numpy(symbols)[None],
        torch.tensor([10]),
    )
    np.testing.assert_allclose(line.kappa_sk[12], state.kappa_bk[0].detach(), atol=1e-5)
    window = np.zeros(9)
    np.add.at(window, symbols, line.phi_su[12, :10])
    np.testing.assert_allclose(window, state.window_bv[0].detach(), atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_points_are_what_the_mixture_makes_of_the_seed(synthesis, requests, backend):
    for request, line in zip(requests, sample(synthesis, requests, backend=backend, keep_outputs=True), strict=True):
        steps = slice(request.prime_steps, len(line.offsets_t3))
        mixture = Mixture(torch.from_numpy(line.outputs_so[steps].astype(float)), request.bias)
        noise = torch.from_numpy(uniforms(request.seed, len(line.offsets_t3))[steps].astype(float))
        np.testing.assert_allclose(line.new_t3, mixture.place(noise), atol=2e-5)


@pytest.mark.parametrize("finish_stroke", [0, 6])
def test_back_ends_agree(synthesis, requests, finish_stroke):
    lines = [
        sample(synthesis, requests, finish_stroke=finish_stroke, backend=backend, keep_outputs=True)
        for backend in BACKENDS
    ]
    for one, two in zip(*lines, strict=True):
        assert (one.stopped, one.fired, len(one.offsets_t3)) == (two.stopped, two.fired, len(two.offsets_t3))
        np.testing.assert_allclose(one.offsets_t3, two.offsets_t3, atol=1e-4)
        np.testing.assert_allclose(one.outputs_so, two.outputs_so, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_compiled_lines_are_bit_for_bit_the_same_alone_in_company_and_on_threads(synthesis, requests, precision):
    options = dict(backend="compiled", precision=precision, keep_outputs=True)
    together = sample(synthesis, requests, **options)
    for request, line in zip(requests, together, strict=True):
        (alone,) = sample(synthesis, [request], **options)
        assert equal(alone, line)
    reordered = sample(synthesis, requests[::-1], **options, threads=2)[::-1]
    assert all(equal(one, two) for one, two in zip(reordered, together, strict=True))


def rounded(network):
    """A copy with every matrix but the peepholes rounded to 8 significant bits."""
    copy = type(network)(**network.arguments)
    copy.load_state_dict(
        {
            name: values if "peepholes" in name or values.dim() < 2 else values.to(torch.bfloat16).float()
            for name, values in network.state_dict().items()
        }
    )
    return copy


@pytest.mark.parametrize("cells", [20, 32, 45])
def test_weights_in_bfloat16_draw_what_a_network_with_rounded_weights_draws(requests, cells):
    network = SynthesisNetwork(
        cells, 3, 9, 4, 5, window_bias=-1.5, init_range=0.3, generator=torch.Generator().manual_seed(4)
    )
    expected = sample(rounded(network), requests, backend="compiled", keep_outputs=True)
    found = sample(network, requests, backend="compiled", precision="bfloat16", keep_outputs=True)
    assert all(equal(one, two) for one, two in zip(found, expected, strict=True))
    plain = sample(network, requests, backend="torch", precision="bfloat16", keep_outputs=True)
    for one, two in zip(plain, expected, strict=True):
        assert len(one.offsets_t3) == len(two.offsets_t3)
        np.testing.assert_allclose(one.outputs_so, two.outputs_so, atol=1e-4)
    as_it_was = sample(network, requests, backend="compiled", keep_outputs=True)
    assert not any(equal(one, two) for one, two in zip(found, as_it_was, strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_prediction_network_with_weights_in_bfloat16_draws_too(prediction, backend):
    requests = [LineRequest(seed=s, maximum_steps=30) for s in range(3)]
    expected = sample(rounded(prediction), requests, backend=backend, keep_outputs=True)
    found = sample(prediction, requests, backend=backend, precision="bfloat16", keep_outputs=True)
    assert all(equal(one, two) for one, two in zip(found, expected, strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_bfloat16_changes_the_outputs_along_the_same_points_by_less_than_a_hundredth(synthesis, requests, backend):
    (line,) = sample(synthesis, requests[5:6], backend=backend, keep_outputs=True)
    again = replace(requests[5], prime_t3=line.offsets_t3, maximum_steps=1)
    (found,) = sample(synthesis, [again], backend=backend, precision="bfloat16", keep_outputs=True)
    steps = len(line.offsets_t3)
    error = np.abs(found.outputs_so[:steps] - line.outputs_so[:steps]).max() / np.abs(line.outputs_so).max()
    assert 1e-6 < error < 1e-2


def test_torch_lines_do_not_depend_on_their_company(synthesis, requests):
    together = sample(synthesis, requests, backend="torch")
    for request, line in zip(requests, together, strict=True):
        (alone,) = sample(synthesis, [request], backend="torch")
        assert len(alone.offsets_t3) == len(line.offsets_t3)
        np.testing.assert_allclose(alone.offsets_t3, line.offsets_t3, atol=1e-4)


def test_the_same_seed_writes_the_same_line_another_seed_another(synthesis):
    text = np.arange(6)
    one, two, other = sample(
        synthesis, [LineRequest(text, seed=4), LineRequest(text, seed=4), LineRequest(text, seed=5)]
    )
    assert equal(one, two)
    assert not np.array_equal(one.offsets_t3[:5], other.offsets_t3[:5])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_great_bias_writes_the_mean_of_the_heaviest_component(prediction, backend):
    (line,) = sample(prediction, [LineRequest(bias=5000.0, maximum_steps=25)], backend=backend, keep_outputs=True)
    expected = Mixture(torch.from_numpy(line.outputs_so)).top_component()
    np.testing.assert_allclose(line.offsets_t3[:, :2], expected, atol=1e-6)
    assert 0 < line.offsets_t3[:, 2].sum() < 25  # the end of a stroke is drawn, whatever the bias


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_end_of_a_stroke_is_drawn_with_its_probability(prediction, backend):
    lines = sample(
        prediction, [LineRequest(seed=s, maximum_steps=150) for s in range(12)], backend=backend, keep_outputs=True
    )
    ends = np.concatenate([line.offsets_t3[:, 2] for line in lines])
    assert set(np.unique(ends)) == {0, 1}
    probability = np.concatenate([Mixture(torch.from_numpy(line.outputs_so)).end_of_stroke for line in lines])
    error = np.sqrt((probability * (1 - probability)).sum())
    assert abs(ends.sum() - probability.sum()) < 4 * error
    # a threshold at one half would never, or always, end a stroke here
    assert probability.max() < 0.5 or probability.min() > 0.5 or ends[probability < 0.5].any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_unconditional_lines_have_the_length_asked_for(prediction, backend):
    lines = sample(prediction, [LineRequest(seed=1, maximum_steps=700)], backend=backend)
    assert [(len(line.offsets_t3), line.stopped, line.phi_su) for line in lines] == [(700, "cap", None)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_unconditional_line_may_be_primed(prediction, backend):
    points = prime(np.random.default_rng(0), 9)
    (line,) = sample(prediction, [LineRequest(prime_t3=points, maximum_steps=5)], backend=backend)
    assert np.array_equal(line.offsets_t3[:9], points) and len(line.new_t3) == 5


@pytest.mark.parametrize("backend", BACKENDS)
def test_finishing_the_stroke_in_hand(synthesis, requests, backend):
    paper = sample(synthesis, requests, backend=backend)
    finished = sample(synthesis, requests, backend=backend, finish_stroke=6)
    longer = 0
    for one, two in zip(paper, finished, strict=True):
        assert one.fired == two.fired and one.stopped == two.stopped
        np.testing.assert_allclose(two.offsets_t3[: len(one.offsets_t3)], one.offsets_t3, atol=1e-6)
        if one.stopped == "rule":
            extra = two.offsets_t3[len(one.offsets_t3) :]
            assert len(extra) <= 6
            pen_up_before = len(one.offsets_t3) > 0 and one.offsets_t3[-1, 2] == 1
            assert (len(extra) == 0) == pen_up_before
            assert not extra[:-1, 2].any()  # it ends with the stroke,
            assert len(extra) in (0, 6) or extra[-1, 2] == 1  # or when the patience does
            longer += len(extra) > 0
    assert longer


def offsets(*points):
    """Offsets of mean 0.5 taken from: (x, pen up after it) of every point, from x = 0."""
    x = np.diff([0.0, *(x for x, _ in points)])
    return np.stack([x - 0.5, np.zeros(len(x)), [up for _, up in points]], 1).astype(np.float32)


@pytest.mark.parametrize(
    ("points", "fired", "end"),
    [
        # a bar behind the pen, a dot between, then a word 3 to the right
        ([(4, 0), (6, 1), (1, 0), (3, 1), (5, 1), (9, 0), (10, 1)], 2, 5),
        # the same, fired while the last letter is still written
        ([(4, 0), (6, 1), (1, 0), (3, 1), (5, 1), (9, 0), (10, 1)], 1, 5),
        # a letter of several strokes begins right of the ink, but not so far
        ([(4, 1), (5.5, 0), (6, 1), (9, 0)], 0, 3),
        # nothing leads so far: the lift that led furthest
        ([(4, 1), (4.5, 0), (5, 1), (6, 1), (5, 0)], 1, 3),
        # nothing leads beyond the ink, or the pen is never lifted: where the rule fired
        ([(4, 0), (6, 1), (1, 0), (3, 1), (5, 1)], 2, 2),
        ([(4, 0), (6, 0), (9, 0)], 1, 1),
        ([(4, 0), (6, 0), (9, 0)], 0, 0),
    ],
)
def test_a_line_ends_where_the_pen_begins_the_next_word(points, fired, end):
    assert NextWord(symbols=2, points=9, gap=2.0, mean_dx=0.5).end(offsets(*points), fired) == end


@pytest.fixture(scope="module")
def with_next_word(requests):
    return [
        replace(request, symbols_u=np.append(request.symbols_u, [8, 1]), next_word=NextWord(2, 12, 1.0, 0.2))
        for request in requests
    ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_lines_with_a_next_word(synthesis, with_next_word, backend):
    whole = sample(synthesis, with_next_word, backend=backend, keep_outputs=True)
    for request, line in zip(with_next_word, whole, strict=True):
        own = len(request.symbols_u) - 2
        assert line.phi_su.shape[1] == own + 1
        y, phi_su, _ = teacher_forced(synthesis, line, request.symbols_u)
        steps = len(line.phi_su)
        assert steps == len(line.kappa_sk) == len(line.outputs_so) == len(line.offsets_t3) + (line.stopped == "rule")
        np.testing.assert_allclose(line.outputs_so, y[:steps], atol=2e-6)
        past, most = phi_su[:, own:].max(1), phi_su[:, :own].max(1)
        fires = [t for t in range(request.prime_steps, steps) if past[t] > most[t]]
        if fires:
            assert line.fired == fires[0]
        assert line.stopped == "cap" or line.fired <= len(line.offsets_t3) <= line.fired + 12
    assert {line.stopped for line in whole} == {"rule", "cap"}
    assert any(line.stopped == "rule" and len(line.offsets_t3) > line.fired for line in whole)


def test_back_ends_agree_on_a_next_word(synthesis, with_next_word):
    compiled, plain = (sample(synthesis, with_next_word, backend=backend) for backend in BACKENDS)
    for one, two in zip(compiled, plain, strict=True):
        assert (one.stopped, one.fired, len(one.offsets_t3)) == (two.stopped, two.fired, len(two.offsets_t3))
        np.testing.assert_allclose(one.offsets_t3, two.offsets_t3, atol=1e-4)


def test_a_line_with_a_next_word_is_bit_for_bit_the_same_alone_and_among_others(synthesis, requests, with_next_word):
    mixed = [*with_next_word, *requests]
    together = sample(synthesis, mixed, backend="compiled")
    assert all(equal(sample(synthesis, [request])[0], line) for request, line in zip(mixed, together, strict=True))


def test_other_types_run_on_torch(synthesis, requests):
    double = SynthesisNetwork(**synthesis.arguments)
    double.load_state_dict(synthesis.state_dict())
    double = double.double()
    for one, two in zip(sample(double, requests), sample(synthesis, requests), strict=True):
        np.testing.assert_allclose(one.offsets_t3, two.offsets_t3, atol=1e-4)
    with pytest.raises(InputError, match="float32 weights on the CPU"):
        sample(double, requests, backend="compiled")


def test_without_a_compiler_torch_takes_over(synthesis, requests, monkeypatch):
    monkeypatch.setattr("rnngen.sampling.handwriting_c.compiled_library", lambda source: None)
    lines = sample(synthesis, requests)
    assert all(equal(*pair) for pair in zip(lines, sample(synthesis, requests, backend="torch"), strict=True))
    with pytest.raises(InputError, match="no C compiler"):
        sample(synthesis, requests, backend="compiled")


def test_progress_counts_every_line(synthesis, requests):
    for backend in BACKENDS:
        done = []
        sample(synthesis, requests, backend=backend, progress=done.append)
        assert sum(done) == len(requests)


def test_no_lines_at_all(synthesis):
    assert sample(synthesis, [], backend="compiled") == sample(synthesis, [], backend="torch") == []


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (LineRequest(), "line 1: a synthesis network needs a text"),
        (LineRequest(np.array([], int)), "at least one symbol between 0 and 8"),
        (LineRequest(np.array([9])), "between 0 and 8"),
        (LineRequest(np.array([-1])), "between 0 and 8"),
        (LineRequest(np.array([1]), bias=-0.1), "bias -0.1, expected"),
        (LineRequest(np.array([1]), bias=float("nan")), "bias nan, expected"),
        (LineRequest(np.array([1]), bias=1e39), r"bias 1e\+39, expected a number from 0 to 1,000,000"),
        (LineRequest(np.array([1]), maximum_steps=0), "maximum_steps 0, expected"),
        (LineRequest(np.array([1]), seed=-1), "seed -1, expected"),
        (LineRequest(np.array([1, 2]), next_word=NextWord(2, 9, 1, 0)), "a next word of 2 symbols, of 2 in all"),
        (LineRequest(np.array([1]), prime_t3=np.zeros((4, 2))), r"the prime must be offsets \(T, 3\)"),
        (LineRequest(np.array([1]), prime_t3=np.full((4, 3), np.nan)), "that are numbers"),
    ],
)
def test_requests_that_do_not_fit(synthesis, request_, message):
    with pytest.raises(InputError, match=message):
        sample(synthesis, [request_])


def test_networks_that_do_not_fit(prediction):
    with pytest.raises(InputError, match="takes no text"):
        sample(prediction, [LineRequest(np.array([1]))])
    with pytest.raises(InputError, match="reads symbols, not pen offsets"):
        sample(PredictionNetwork(7, 4, 1, 7, symbols=True), [LineRequest()])
    with pytest.raises(InputError, match="unknown back end 'fast'"):
        sample(prediction, [LineRequest()], backend="fast")
    with pytest.raises(InputError, match="unknown precision 'float16'"):
        sample(prediction, [LineRequest()], precision="float16")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_network_of_nan_is_an_error_not_a_drawing(prediction, backend):
    broken = PredictionNetwork(**prediction.arguments)
    broken.load_state_dict(prediction.state_dict())
    with torch.no_grad():
        broken.layers[1].bias[3] = float("nan")
    with pytest.raises(InputError, match="line 1: the network's output is not a number at step 1"):
        sample(broken, [LineRequest(maximum_steps=5)], backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("output", [0, 1])
def test_nan_in_a_single_output_is_an_error_too(backend, output):
    """Of the end of a stroke, of a weight: a comparison with it has an answer, which must not become a point."""
    network = PredictionNetwork(3, 8, 1, 25, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        network.bias_output[output] = float("nan")
    with pytest.raises(InputError, match="the network's output is not a number at step 1"):
        sample(network, [LineRequest(maximum_steps=3)], backend=backend)
