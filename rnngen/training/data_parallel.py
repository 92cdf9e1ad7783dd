"""One training on several processes, each with a share of the sequences of every minibatch.

What is reduced is the *sum* of the gradients over all sequences; the loop divides it by their number afterwards, as it
does in one process. So the clips of §2.1 and §4.2 act on every sequence as they do there, whatever process it is on,
and all that differs from one process is the order of that sum. Every process draws the same noise, takes the same step
and validates on the whole validation set; where clocks, signals or machines could make them differ, all follow one.

The processes are started by torchrun, which tells each its rank. They talk by gloo, which needs no card.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from rnngen.errors import InputError
from rnngen.training.contracts import Carried

PATIENCE = timedelta(seconds=60)
"""How long a process waits for the others before it gives up, so that nothing hangs for longer."""
SEQUENCE_AXIS = {
    "inputs_tb": 1,
    "targets_tb": 1,
    "inputs_tb3": 1,
    "targets_tb3": 1,
    "lengths_b": 0,
    "text_bu": 0,
    "text_lengths_b": 0,
    "lines": 0,
}
"""Part of a batch → its axis of sequences."""


class Ranks:
    """The processes of one training: `rank` 0 … `size` − 1, of which 0 writes."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def share(self, sequences: int) -> slice:
        """This process's share of `sequences`: consecutive ones; the first may have one more, the last none."""
        each, more = divmod(sequences, self.size)
        first = self.rank * each + min(self.rank, more)
        return slice(first, first + each + (self.rank < more))

    def share_of(self, batch: Any) -> Any | None:
        """A batch of this process's sequences alone, padded as before; None where it has none."""
        rows = self.share(batch.sequences)
        if rows.start == rows.stop:
            return None
        parts = {name: getattr(batch, name, None) for name in SEQUENCE_AXIS}
        return replace(
            batch,
            **{
                name: part[(slice(None),) * SEQUENCE_AXIS[name] + (rows,)]
                for name, part in parts.items()
                if part is not None
            },
        )

    def add_up(self, loss: Tensor, parameters: Iterable[Tensor]) -> Tensor:
        """The sum of a loss over the processes, float64; `.grad` of the weights becomes the sum of theirs."""
        parameters = list(parameters)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        together, loss = torch.cat([gradient.reshape(-1) for gradient in gradients]), loss.double().reshape(1)
        self._ask(dist.all_reduce, together)
        self._ask(dist.all_reduce, loss)
        for p, part in zip(parameters, together.split([p.numel() for p in parameters]), strict=True):
            p.grad = part.view_as(p)
        return loss[0]

    def any(self, *flags: bool) -> list[bool]:
        """Which of some flags are set in at least one process."""
        found = torch.tensor(flags, dtype=torch.int32)
        self._ask(dist.all_reduce, found, dist.ReduceOp.MAX)
        return [bool(flag) for flag in found.tolist()]

    def first(self, numbers: dict[str, float]) -> dict[str, float]:
        """The numbers of process 0."""
        values = torch.tensor(list(numbers.values()), dtype=torch.float64)
        self._ask(dist.broadcast, values, 0)
        return dict(zip(numbers, values.tolist(), strict=True))

    def agree(self, error: Exception | None) -> None:
        """Raise in every process where one has an error, so that none waits for what does not come."""
        failed = torch.zeros(self.size, dtype=torch.int32)
        failed[self.rank] = error is not None
        self._ask(dist.all_reduce, failed)
        if error is not None:
            raise error
        if failed.any():
            raise InputError(f"process {self.rank} ends with process {failed.argmax()} of {self.size}, which says why")

    def gather(self, state: Carried, like: Tensor) -> Carried:
        """The recurrent state of all sequences of a minibatch, from the shares of all processes; None without any."""
        counts = torch.zeros(self.size, dtype=torch.int64)
        counts[self.rank] = 0 if state is None else len(state[0][0])
        self._ask(dist.all_reduce, counts)
        if not counts.any():
            return None
        layers = int(self.first({"layers": 0 if state is None else len(state)})["layers"])
        widths = [
            int(self.first({"width": 0 if state is None else state[k][0].shape[1]})["width"]) for k in range(layers)
        ]
        whole = []
        for k, width in enumerate(widths):
            pair = []
            for part in range(2):
                # as many rows in every process, as all_gather wants it
                mine = torch.zeros(int(counts.max()), width, dtype=like.dtype)
                if state is not None:
                    mine[: counts[self.rank]] = state[k][part].cpu()
                parts = [torch.empty_like(mine) for _ in range(self.size)]
                self._ask(dist.all_gather, parts, mine)
                pair.append(torch.cat([rows[:count] for rows, count in zip(parts, counts, strict=True)]))
            whole.append((pair[0], pair[1]))
        return whole

    def own_part(self, state: Carried) -> Carried:
        """This process's share of what `gathered` gave."""
        if state is None:
            return None
        rows = self.share(len(state[0][0]))
        return None if rows.start == rows.stop else [(h[rows], c[rows]) for h, c in state]

    def _ask(self, operation: Any, *arguments: Any) -> None:
        """Talk to the others; InputError if one is gone, or silent for too long."""
        try:
            operation(*arguments)
        except RuntimeError as error:
            raise InputError(
                f"process {self.rank} of {self.size}: another process of this training has ended, or said nothing for "
                f"{PATIENCE.seconds} s; the same command goes on from the last state"
            ) from error


@contextmanager
def join_ranks() -> Iterator[Ranks | None]:
    """The processes that torchrun has started for this training; None where there is only one."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield None
        return
    try:
        store, rank, size = next(rendezvous("env://", timeout=PATIENCE))
        # torchrun keeps its store when it starts the processes again, with the addresses of the dead ones in it
        number = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        attempt = dist.PrefixStore(f"attempt-{number}", store)  # type: ignore[attr-defined]  # torch does not say so
        dist.init_process_group("gloo", store=attempt, rank=rank, world_size=size, timeout=PATIENCE)
    except RuntimeError as error:
        raise InputError(f"the processes of this training do not find each other: {error}") from error
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    try:
        yield Ranks()
    finally:
        dist.destroy_process_group()
