"""A recording computes what the step does."""

import pytest
import torch

from rnngen.cells.cuda_graphs import record


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_recorded_step_computes_what_the_step_does():
    weight = torch.randn(5, 5, device="cuda")

    def step(h, x):
        h = torch.tanh(h @ weight + x)
        return h, h.sum(0)

    h, x = torch.randn(3, 5, device="cuda"), torch.randn(3, 5, device="cuda")
    replay = record(step, h, x)
    results = []
    for run in (step, replay):
        state, kept = h, []
        for t in range(4):
            state, total = run(state, t * x)
            kept += [state, total]
        results.append(kept)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_without_a_device_a_step_is_left_as_it_is():
    assert record(max, torch.zeros(1)) is max
