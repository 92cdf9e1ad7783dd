"""The training loop: losses summed over time, averaged over sequences; early stopping; resumable to the bit.

One loop serves every experiment. What differs is passed in (contracts.py): an objective, batches, a noise or None, and
an optimiser.

The loop backpropagates the plain sum of the losses of a batch's sequences and divides the gradients of the weights by
their number afterwards. So the clip of the LSTM's derivatives (§2.1) and of ∂L/∂ŷ (§4.2) act on every sequence as they
do in the paper, which updates after every single sequence.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from rnngen.errors import InputError
from rnngen.training.contracts import B, Batches, Carried, Noise, Objective
from rnngen.training.data_parallel import Ranks
from rnngen.training.gradients import gradients_of
from rnngen.training.learning_rate import set_learning_rate


@dataclass(frozen=True)
class Schedule:
    """When to stop, when to look at the validation set, and how the learning rate falls."""

    maximum_epochs: int
    patience: int
    """Validations without a new best loss before training stops."""
    maximum_updates: int | None = None
    validate_every: int | None = None
    """Updates between validations; None: once an epoch."""
    decay: str = "constant"
    """`constant`, or `linear`: from the learning rate to 2 % of it over the whole length of the training."""
    warm_up: int = 0
    """Updates over which the learning rate rises from near 0. RMSProp's averages start at 0, which makes its first
    steps 1 / √(0.05 − 0.05²) = 4.6 times as long as those of settled averages."""

    def factor(self, updates: int, updates_per_epoch: int) -> float:
        """What the learning rate is multiplied by at an update."""
        rise = min(1.0, (updates + 1) / self.warm_up) if self.warm_up else 1.0
        if self.decay == "constant":
            return rise
        total = self.maximum_epochs * updates_per_epoch
        if self.maximum_updates is not None:
            total = min(total, self.maximum_updates)
        return rise * max(0.02, 1.0 - updates / total)


@dataclass
class Progress:
    """Where a training stands; with the tensors of network, optimiser and noise this is all there is to resume."""

    epoch: int = 0
    batch: int = 0
    """Batches of this epoch already learned from."""
    updates: int = 0
    seconds: float = 0.0
    nats: float = 0.0
    """Training loss summed since the last validation."""
    predictions: int = 0
    sequences: int = 0
    best_loss: float = math.inf
    best_epoch: float = 0.0
    validations_since_best: int = 0
    validation_due: bool = False
    """The weights have learned what was to be learned before the next validation, which has not been made yet."""
    finished: bool = False
    history: list[dict[str, float]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        values = asdict(self)
        return values | {"best_loss": None if math.isinf(self.best_loss) else self.best_loss}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Progress":
        """The inverse of `as_json`."""
        return cls(**(values | {"best_loss": math.inf if values["best_loss"] is None else values["best_loss"]}))


class NotFiniteError(InputError):
    """A loss or a weight became NaN or infinite."""


def train(
    objective: Objective[B],
    batches: Batches[B],
    validate: Callable[[], dict[str, float]],
    optimiser: torch.optim.Optimizer,
    schedule: Schedule,
    progress: Progress,
    *,
    noise: Noise | None = None,
    generator: torch.Generator,
    state: Carried = None,
    look_every: int = 1,
    ranks: Ranks | None = None,
) -> Iterator[tuple[str, Any]]:
    """Train until the schedule says stop, yielding what happens so that the caller can show, save and interrupt.

    Yields ``("update", state)`` after every update, with the recurrent state that a resumed call needs,
    ``("validation", row)`` after every validation and ``("best", row)`` when it was the best so far. The caller may
    stop iterating after any of them; `progress`, the network, optimiser, noise and `generator` are then consistent.

    `validate` returns a dict whose `loss` decides early stopping. Raises NotFiniteError, before the weights are
    touched, when a loss is NaN or infinite.

    Looking at a loss means waiting for the device that computes it. With `look_every` N > 1 the losses add up there,
    and the loop looks, and yields "update", only after every N updates, at the end of an epoch and before a validation;
    the updates are the same. A loss that is not finite is then noticed up to N − 1 updates late, when the weights are
    already spoilt, so a caller that saves them must look at them first.

    With `ranks` this is one of several processes: it learns from its share of every minibatch, and yields the state of
    that share. `batches` are the same in all of them.
    """
    parameters: dict[str, Tensor] = dict(objective.network.named_parameters())
    rates = [group["lr"] for group in optimiser.param_groups] if progress.updates == 0 else None
    if rates is None:
        rates = [group["initial_lr"] for group in optimiser.param_groups]
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        group["initial_lr"] = rate
    gradients = gradients_of(objective.network, objective.losses)
    started = time.perf_counter() - progress.seconds
    per_epoch = batches.batches_per_epoch
    unseen: Any = 0.0

    def validation() -> Iterator[tuple[str, Any]]:
        rate = schedule.factor(progress.updates - 1, per_epoch) * rates[0]
        measured = validate()
        if ranks is not None:  # two machines may differ in the last bits, and then in what they decide
            measured = ranks.first(measured)
        row, best = _log_validation(measured, progress, per_epoch, rate, noise, parameters)
        last = progress.updates == schedule.maximum_updates or progress.epoch == schedule.maximum_epochs
        progress.seconds = time.perf_counter() - started
        progress.finished = last or progress.validations_since_best >= schedule.patience
        progress.validation_due = False
        if best:
            yield "best", row
        yield "validation", row

    if progress.validation_due:  # the caller stopped between an update and its validation
        yield from validation()
    while not progress.finished:
        for batch in batches.epoch(progress.epoch, start=progress.batch):
            factor = schedule.factor(progress.updates, per_epoch)
            set_learning_rate(optimiser, factor, batch.sequences)
            optimiser.zero_grad(set_to_none=True)
            weights = None if noise is None else noise.sample(generator)
            mine = batch if ranks is None else ranks.share_of(batch)
            if mine is None:
                loss_b, state = torch.zeros(0), None
            else:
                loss_b, state = gradients(mine, state, weights)
            loss = loss_b.sum().double()
            if ranks is not None:
                loss = ranks.add_up(loss, parameters.values())
                if noise is not None:
                    noise.square_gradients()
            unseen = unseen + loss
            epoch_ends = progress.batch + 1 == per_epoch
            last = progress.updates + 1 == schedule.maximum_updates or (
                epoch_ends and progress.epoch + 1 == schedule.maximum_epochs
            )
            every = schedule.validate_every
            due = epoch_ends if every is None else (progress.updates + 1) % every == 0
            looking = due or last or epoch_ends or (progress.updates + 1) % look_every == 0
            if looking:
                nats, unseen = unseen.item(), 0.0
                if not math.isfinite(nats):
                    raise not_finite("the training loss", progress, parameters)
                progress.nats += nats
            rows = batch.sequences
            if rows > 1:
                torch._foreach_div_([p.grad for p in parameters.values() if p.grad is not None], rows)
            if noise is not None:
                noise.step(factor, batch_size=rows)
            optimiser.step()
            progress.batch += 1
            progress.updates += 1
            progress.predictions += batch.predictions
            progress.sequences += rows
            progress.seconds = time.perf_counter() - started
            if epoch_ends:
                progress.epoch, progress.batch = progress.epoch + 1, 0
                state = None
            progress.validation_due = due or last
            if looking:
                yield "update", state
            if progress.validation_due:
                yield from validation()
                if progress.finished:
                    return


def _log_validation(
    metrics: dict[str, float],
    progress: Progress,
    per_epoch: int,
    rate: float,
    noise: Noise | None,
    parameters: dict[str, Tensor],
) -> tuple[dict[str, float], bool]:
    """Record a validation; returns its row of the log and whether it is the best so far."""
    if not math.isfinite(metrics["loss"]):
        raise not_finite("the validation loss", progress, parameters)
    epoch = progress.epoch + progress.batch / per_epoch
    best = metrics["loss"] < progress.best_loss
    if best:
        progress.best_loss, progress.best_epoch, progress.validations_since_best = metrics["loss"], epoch, 0
    else:
        progress.validations_since_best += 1
    row = {
        "epoch": epoch,
        "updates": progress.updates,
        "seconds": round(progress.seconds, 3),
        "learning_rate": rate,
        "train_nats_per_sequence": progress.nats / progress.sequences,
        "train_nats_per_prediction": progress.nats / progress.predictions,
    }
    row |= {f"validation_{name}": value for name, value in metrics.items()}
    row |= {} if noise is None else noise.log(row["train_nats_per_sequence"])
    progress.history.append(row)
    progress.nats, progress.predictions, progress.sequences = 0.0, 0, 0
    return row, best


def not_finite(what: str, progress: Progress, parameters: dict[str, Tensor]) -> NotFiniteError:
    """The error that names the update and the first tensor at fault."""
    culprits = [f"weight {name}" for name, p in parameters.items() if not torch.isfinite(p).all()]
    culprits += [
        f"gradient of {n}" for n, p in parameters.items() if p.grad is not None and not torch.isfinite(p.grad).all()
    ]
    named = f", first in {culprits[0]}" if culprits else ""
    return NotFiniteError(
        f"{what} is not finite at epoch {progress.epoch}, update {progress.updates + 1}{named}; the last good "
        "checkpoint is kept; try a smaller learning rate or clip_lstm"
    )
