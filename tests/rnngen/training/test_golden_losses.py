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
def test_in_float64_by_hand_written_derivatives(kind):
    assert losses(kind, "fused") == pytest.approx(EXPECTED[kind], rel=1e-9)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "noise" not in kind])  # float32 noise is another draw
def test_in_float32_by_the_kernels_in_c(kind):
    assert losses(kind, "compiled", torch.float32) == pytest.approx(EXPECTED[kind], rel=1e-4)
