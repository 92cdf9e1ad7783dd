"""Equations 12–14 against the formulas."""

import math

import numpy as np
import pytest
import torch

from rnngen.cells.packing import within
from rnngen.errors import InputError
from rnngen.losses.softmax import cross_entropy, errors, surprisal

T, B, K = 6, 3, 5


@pytest.fixture
def y_tbk() -> torch.Tensor:
    return torch.randn(T, B, K, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def target_tb() -> torch.Tensor:
    return torch.randint(K, (T, B), generator=torch.Generator().manual_seed(1))


def test_loss_and_derivative_equal_the_equations(y_tbk, target_tb):
    y_tbk.requires_grad_()
    loss_b = cross_entropy(y_tbk, target_tb)
    loss_b.sum().backward()
    y, x = y_tbk.detach().numpy(), target_tb.numpy()
    probability = np.exp(y) / np.exp(y).sum(-1, keepdims=True)  # 12
    delta = np.eye(K)[x]
    np.testing.assert_allclose(loss_b.detach().numpy(), -np.log((probability * delta).sum(-1)).sum(0), rtol=1e-13)  # 13
    np.testing.assert_allclose(y_tbk.grad.numpy(), probability - delta, rtol=1e-12, atol=1e-14)  # 14


def test_surprisal_is_the_loss_step_by_step(y_tbk, target_tb):
    assert torch.equal(surprisal(y_tbk, target_tb).sum(0), cross_entropy(y_tbk, target_tb))


def test_lengths_cut_each_sequence(y_tbk, target_tb):
    lengths = [6, 0, 4]
    y_tbk.requires_grad_()
    target_tb[4:, 2] = -1  # padding may hold anything
    loss_b = cross_entropy(y_tbk, target_tb, torch.tensor(lengths))
    loss_b.sum().backward()
    for b, n in enumerate(lengths):
        alone = cross_entropy(y_tbk[:n, b : b + 1], target_tb[:n, b : b + 1])
        assert loss_b[b].item() == pytest.approx(alone.item(), rel=1e-14)
        assert (y_tbk.grad[n:, b] == 0).all()


def test_errors_counts_wrong_predictions(y_tbk, target_tb):
    wrong = (y_tbk.numpy().argmax(-1) != target_tb.numpy()).astype(int)
    assert errors(y_tbk, target_tb).tolist() == wrong.sum(0).tolist()
    assert errors(y_tbk, target_tb, torch.tensor([6, 0, 4])).tolist() == [
        wrong[:, 0].sum(),
        0,
        wrong[:4, 2].sum(),
    ]


def test_outputs_far_apart_stay_exact():
    y_tbk = torch.tensor([[[0.0, 1000.0]], [[0.0, 1000.0]]])
    assert surprisal(y_tbk, torch.tensor([[0], [1]])).flatten().tolist() == [1000.0, 0.0]


def test_nan_in_nan_out(y_tbk, target_tb):
    y_tbk[2, 1, 3] = math.nan
    assert cross_entropy(y_tbk, target_tb).isnan().tolist() == [False, True, False]


def test_within():
    assert within(torch.tensor([2, 0, 3]), 3).int().tolist() == [[1, 0, 1], [1, 0, 1], [0, 0, 1]]


def test_shapes_that_do_not_fit_are_named(y_tbk):
    with pytest.raises(InputError, match=r"\(5, 3\).*\(6, 3, 5\)"):
        cross_entropy(y_tbk, torch.zeros(5, 3, dtype=torch.int64))
