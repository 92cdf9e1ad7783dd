"""The training loop: what it does does not depend on how often it looks at the loss."""

import math

import pytest
import torch
from torch import nn

from rnngen.cells.peephole_lstm import ClipDerivative
from rnngen.training.loop import NotFiniteError, Progress, Schedule, train


class Batch:
    def __init__(self, x_b):
        self.x_b, self.sequences, self.predictions = x_b, len(x_b), 3 * len(x_b)


class Batches:
    batches_per_epoch = 7

    def __init__(self, spoilt=()):
        self.spoilt = spoilt

    def epoch(self, epoch, start=0):
        for i in range(start, self.batches_per_epoch):
            value = math.nan if (epoch, i) in self.spoilt else float(i + epoch)
            yield Batch(torch.tensor([value, 1.0]))


class Objective:
    """Loss (w x − 1)² of each sequence."""

    def __init__(self):
        self.network = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.network.weight, 0.5)

    def losses(self, batch, state, weights=None):
        return (self.network(batch.x_b[:, None])[:, 0] - 1).square(), state


def started():
    objective = Objective()
    return objective, Progress(), torch.optim.SGD(objective.network.parameters(), lr=0.01)


def events(look_every=1, spoilt=(), validate_every=None, maximum_updates=None, carry_on=None):
    objective, progress, optimiser = carry_on or started()
    loop = train(
        objective,
        Batches(spoilt),
        lambda: {"loss": float(objective.network.weight.detach())},
        optimiser,
        Schedule(3, 50, maximum_updates=maximum_updates, validate_every=validate_every),
        progress,
        generator=torch.Generator(),
        look_every=look_every,
    )
    return objective, progress, loop


@pytest.mark.parametrize("validate_every", [None, 4])
@pytest.mark.parametrize("maximum_updates", [None, 10])
@pytest.mark.parametrize("look_every", [2, 5, 100])
def test_looking_seldom_changes_nothing(look_every, validate_every, maximum_updates):
    runs = []
    for every in (1, look_every):
        objective, progress, loop = events(every, (), validate_every, maximum_updates)
        seen = [(kind, value) for kind, value in loop if kind != "update"]
        for row in progress.history:
            row.pop("seconds")
        runs.append((seen, progress.updates, progress.epoch, progress.history, objective.network.weight.item()))
    often, seldom = runs
    assert seldom[1:3] == often[1:3] and seldom[4] == often[4]
    assert [kind for kind, _ in seldom[0]] == [kind for kind, _ in often[0]]
    for a, b in zip(seldom[3], often[3], strict=True):
        assert a == pytest.approx(b, rel=1e-12)


def test_updates_are_shown_when_the_loop_looks():
    _, progress, loop = events(look_every=3)
    shown = [progress.updates for kind, _ in loop if kind == "update"]
    assert shown == [3, 6, 7, 9, 12, 14, 15, 18, 21]  # every third, and the ends of epochs of 7
    _, progress, loop = events()
    assert [progress.updates for kind, _ in loop if kind == "update"] == list(range(1, 22))


def test_a_loss_that_is_not_finite_stops_before_the_weights_are_touched():
    objective, progress, loop = events(spoilt=[(1, 2)])
    with pytest.raises(NotFiniteError, match="epoch 1, update 10"):
        list(loop)
    assert progress.updates == 9 and objective.network.weight.isfinite().all()


def test_it_is_noticed_late_but_before_a_validation_with_seldom_looks():
    _, progress, loop = events(look_every=5, spoilt=[(1, 1)])
    with pytest.raises(NotFiniteError, match="training loss.*update 10"):
        list(loop)
    assert len(progress.history) == 1 and progress.updates == 9
    _, progress, loop = events(look_every=100, spoilt=[(0, 6)])
    with pytest.raises(NotFiniteError, match="training loss"):
        list(loop)
    assert progress.history == []


@pytest.mark.parametrize("validate_every", [None, 4])
@pytest.mark.parametrize("maximum_updates", [None, 10])
def test_stopping_after_any_event_changes_nothing(validate_every, maximum_updates):
    """A validation that a stop prevented is made up for, the last one included, which is what ends the training."""
    objective, whole, loop = events(1, (), validate_every, maximum_updates)
    expected = [kind for kind, _ in loop]
    weight = objective.network.weight.item()

    carry_on, kinds = started(), []
    while not carry_on[1].finished and len(kinds) < 100:
        _, _, loop = events(1, (), validate_every, maximum_updates, carry_on)
        for kind, _ in loop:
            kinds.append(kind)
            if kind != "best":  # the validation follows at once
                break
        resumed = Progress.from_json(carry_on[1].as_json())
        carry_on = carry_on[0], resumed, carry_on[2]
    assert kinds == expected
    assert carry_on[0].network.weight.item() == weight
    for row, other in zip(carry_on[1].history, whole.history, strict=True):
        assert {**row, "seconds": 0} == {**other, "seconds": 0}


def test_an_update_takes_the_mean_over_sequences():
    """From w = ½ on sequences x = 0 and 1: derivatives 0 and −1, so w moves by −lr · (−½)."""
    objective, _, loop = events()
    next(loop)
    assert objective.network.weight.item() == pytest.approx(0.5 + 0.01 * 0.5)


def test_clips_inside_the_network_meet_the_derivative_of_a_whole_sequence():
    """With ∂L/∂(w x) of the second sequence clipped from −1 to −0.3; scaled by ½ first, it would pass at −½."""
    objective, progress, optimiser = started()
    network = objective.network
    clipped = nn.Module()
    clipped.weight = network.weight
    clipped.forward = lambda x_b1: ClipDerivative.apply(network(x_b1), 0.3)
    objective.network = clipped
    _, _, loop = events(carry_on=(objective, progress, optimiser))
    next(loop)
    assert network.weight.item() == pytest.approx(0.5 + 0.01 * 0.3 / 2)


def test_noise_is_drawn_for_every_update_and_learns_from_the_mean_gradient_before_the_weights_move():
    objective, progress, optimiser = started()
    network, seen = objective.network, []

    class Noise:
        def sample(self, generator):
            assert generator is drawn_with
            return {"weight": network.weight + 0.25}

        def step(self, factor, *, batch_size):
            seen.append((factor, batch_size, network.weight.item(), network.weight.grad.item()))

        def log(self, nats_per_sequence):
            return {"told": nats_per_sequence}

    def losses(batch, state, weights=None):
        return (weights["weight"][0, 0] * batch.x_b - 1).square(), state

    objective.losses, drawn_with = losses, torch.Generator()
    schedule = Schedule(3, 50, maximum_updates=2, decay="linear")
    loop = train(
        objective, Batches(), lambda: {"loss": 1.0}, optimiser, schedule, progress, noise=Noise(), generator=drawn_with
    )
    rows = [value for kind, value in loop if kind == "validation"]
    # x = 0 and 1 at w = ½ + ¼, then x = 1 twice; the second step of both has half the rate
    first = (0 + 2 * (0.75 - 1)) / 2
    second = 2 * (0.75 - 0.01 * first - 1)
    assert seen[0] == pytest.approx((1.0, 2, 0.5, first))
    assert seen[1] == pytest.approx((0.5, 2, 0.5 - 0.01 * first, second))
    assert network.weight.item() == pytest.approx(0.5 - 0.01 * first - 0.5 * 0.01 * second)
    assert rows[0]["told"] == pytest.approx((1 + 0.25**2 + 2 * (0.75 - 0.01 * first - 1) ** 2) / 4)


def test_the_logged_training_loss_is_the_mean_since_the_last_validation():
    objective, progress, _ = started()
    still = torch.optim.SGD(objective.network.parameters(), lr=0.0)
    _, _, loop = events(carry_on=(objective, progress, still))
    rows = [row for kind, row in loop if kind == "validation"]
    assert len(rows) == 3
    for epoch, row in enumerate(rows):
        nats = sum((0.5 * (i + epoch) - 1) ** 2 + 0.25 for i in range(7))
        assert row["train_nats_per_sequence"] == pytest.approx(nats / 14)
        assert row["train_nats_per_prediction"] == pytest.approx(nats / 42)


@pytest.mark.parametrize("decay", ["constant", "linear"])
def test_the_rate_rises_over_the_warm_up_and_then_follows_its_schedule(decay):
    cold, warm = Schedule(2, 9, decay=decay), Schedule(2, 9, decay=decay, warm_up=4)
    ratios = [warm.factor(update, 5) / cold.factor(update, 5) for update in range(10)]
    assert ratios == pytest.approx([0.25, 0.5, 0.75] + [1.0] * 7)
