import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnngen.errors import InputError
from rnngen.networks.prediction_network import PredictionNetwork
from rnngen.sampling.text import sample_symbols, utf8


@pytest.fixture(scope="module")
def network():
    return PredictionNetwork(5, 6, 2, 5, symbols=True, init_range=1.5, generator=torch.Generator().manual_seed(1))


def draw(network, count, seeds, **options):
    return torch.stack(list(sample_symbols(network, count, seeds=seeds, **options)), 1)


def test_a_row_depends_on_its_own_seed_only(network):
    together = draw(network, 30, [7, 8, 9])
    for row, seed in enumerate([7, 8, 9]):
        assert torch.equal(draw(network, 30, [seed])[0], together[row])
    assert not torch.equal(together[0], together[1])


def test_symbols_occur_as_often_as_the_softmax_says(network):
    """The first draw after a prime: 4,000 seeds against Pr(· | prime), within five standard deviations."""
    prime = [3, 1, 4]
    y_tbk, _ = network(torch.tensor([[-1], [3], [1], [4]]))
    expected = torch.softmax(y_tbk[-1, 0] / 1.7, 0)
    seeds = range(4000)
    drawn = draw(network, 1, seeds, prime=prime, temperature=1.7)[:, 0]
    counts = torch.bincount(drawn, minlength=5)
    deviations = (4000 * expected * (1 - expected)).sqrt()
    assert ((counts - 4000 * expected).abs() < 5 * deviations).all()


def test_a_cold_sample_takes_the_likeliest_symbol_every_time(network):
    drawn = draw(network, 20, [1], temperature=1e-4)[0].tolist()
    inputs = [-1]
    for symbol in drawn:
        y_tbk, _ = network(torch.tensor(inputs).unsqueeze(1))
        assert symbol == y_tbk[-1, 0].argmax()
        inputs.append(symbol)


def test_sampling_step_by_step_is_one_pass_over_what_was_drawn(network):
    """The state is carried: the same draws follow when the first of them are given as a prime."""
    whole = draw(network, 12, [5])[0].tolist()
    generator = torch.Generator().manual_seed(5)
    y_tbk, _ = network(torch.tensor([-1, *whole[:-1]]).unsqueeze(1))
    again = [torch.multinomial(torch.softmax(y[0].double(), 0), 1, generator=generator).item() for y in y_tbk.detach()]
    assert again == whole


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_none_is_refused(network, temperature):
    with pytest.raises(InputError, match="temperature"):
        sample_symbols(network, 1, seeds=[1], temperature=temperature)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_that_is_none_is_refused(network, seed):
    with pytest.raises(InputError, match=f"seed {seed}: expected"):
        sample_symbols(network, 1, seeds=[1, seed])


def test_outputs_that_are_no_numbers_are_an_error(network):
    with pytest.raises(InputError, match="symbol 1: the network's output is not a number.*temperature 1e-310"):
        next(sample_symbols(network, 1, seeds=[1], temperature=1e-310))


@given(st.text(), st.integers(1, 7))
def test_text_cut_anywhere_comes_out_whole(text, size):
    data = text.encode("utf-8", errors="ignore")
    assert "".join(utf8(data[i : i + size] for i in range(0, len(data), size))) == data.decode("utf-8")


@given(st.binary(max_size=40))
def test_bytes_that_are_no_text_never_fail_and_nothing_is_dropped_silently(data):
    assert "".join(utf8(bytes([b]) for b in data)) == data.decode("utf-8", errors="replace")
