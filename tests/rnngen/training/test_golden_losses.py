"""Losses of the first updates do not change unless somebody means it."""

import json

import pytest
import torch

from tests.rnngen.training.golden_losses import GOLDEN, KINDS, UPDATES, losses

EXPECTED = json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", KINDS)
def test_in_float64_by_the_readable_back_end(kind):
    """To the twelve digits that are kept: other machines add up in another order."""
    assert len(EXPECTED[kind]) == UPDATES
    assert losses(kind, "reference") == pytest.approx(EXPECTED[kind], rel=1e-11)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("backend", "dtype", "bound"), [("fused", torch.float64, 1e-9), ("compiled", torch.float32, 1e-4)]
)
def test_by_the_fast_back_ends(kind, backend, dtype, bound):
    assert losses(kind, backend, dtype) == pytest.approx(EXPECTED[kind], rel=bound)
