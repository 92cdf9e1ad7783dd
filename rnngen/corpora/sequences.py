"""Batches of symbols for the networks of §3: sentences with reset state, chunks with carried state.

Both kinds of batches answer to the same few names, so that the training loop can enter an epoch at any position:

- `batches_per_epoch`;
- `epoch(epoch, start=0)`: the batches of an epoch from number `start` on. The order is a function of (seed, epoch)
  alone; so (epoch, number of batches) is all that is needed to resume.

With a `device` the corpus lies there, and batches are gathered there: an epoch copies only its order there, and a batch
copies nothing.

Shapes: t time, b batch. Inputs begin with −1, the null vector (§2): element t of the inputs is what the network has
last seen when it predicts element t of the targets.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rnngen.errors import InputError

NULL = -1


@dataclass(frozen=True)
class TextBatch:
    """Symbols of b sequences, time first."""

    inputs_tb: Tensor
    """int64; −1 is the null vector, and the padding."""
    targets_tb: Tensor
    """int64; 0 where padded."""
    lengths_b: Tensor | None
    """int64; None when all rows are t long."""
    reset: bool
    """Whether the recurrent state is zero before this batch; otherwise it is carried from the batch before."""
    predictions: int
    """Number of predicted symbols, padding excluded."""
    runs_on: bool = False
    """Whether the network runs on through the padding; the loss does not."""

    @property
    def sequences(self) -> int:
        """Number of sequences b."""
        return self.targets_tb.shape[1]

    def running_on(self) -> "TextBatch":
        """The same padded to one of a few lengths, and `runs_on`."""
        more = (0, 0, 0, round_length(len(self.targets_tb)) - len(self.targets_tb))
        return replace(
            self,
            inputs_tb=F.pad(self.inputs_tb, more, value=NULL),
            targets_tb=F.pad(self.targets_tb, more),
            runs_on=True,
        )


@dataclass(frozen=True)
class Sequences:
    """Sequences of symbols end to end: sequence i is symbols[offsets[i] : offsets[i + 1]]."""

    symbols: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, sequences: Iterable[np.ndarray]) -> "Sequences":
        """From arrays of integers, one per sequence."""
        sequences = list(sequences)
        offsets = np.zeros(len(sequences) + 1, dtype=np.int64)
        np.cumsum([len(s) for s in sequences], out=offsets[1:])
        symbols = np.concatenate(sequences) if sequences else np.zeros(0, dtype=np.int64)
        return cls(symbols.astype(np.int64, copy=False), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> np.ndarray:
        return self.symbols[self.offsets[i] : self.offsets[i + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Number of symbols of every sequence."""
        return np.diff(self.offsets)


def shuffle_into_batches(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Every sequence once, in batches of similar lengths, in an order that (seed, epoch) determines.

    Sequences are shuffled; within every run of 64 batches they are sorted by length, cut into batches, and the batches
    shuffled again. With `batch_size` 1 the order is the plain shuffle.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(lengths))
    if batch_size == 1:
        return list(order[:, None])
    pool = 64 * batch_size
    batches = []
    for first in range(0, len(order), pool):
        part = order[first : first + pool]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
    return [batches[i] for i in random.permutation(len(batches))]


def round_length(steps: int) -> int:
    """`steps` rounded up to one of four values per octave: at most a quarter more, or 3."""
    grain = max(4, 1 << max(0, (steps - 1).bit_length() - 3))
    return -(-steps // grain) * grain


def gather(x_n: Tensor, first_b: Tensor, lengths_b: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """Stretches of `x_n` (n, …) side by side, (t, b, …), 0 where padded; and which elements are not padding, (t, b)."""
    step_t1 = torch.arange(longest, device=x_n.device)[:, None]
    inside_tb = step_t1 < lengths_b
    x_tb = x_n[(first_b + step_t1).masked_fill(~inside_tb, 0)]
    outside_tb = ~inside_tb.view(*inside_tb.shape, *[1] * (x_n.ndim - 1))
    return x_tb.masked_fill(outside_tb, 0), inside_tb


def order_into_batches(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Every sequence once: in the order of the corpus with `batch_size` 1, otherwise longest first (least padding)."""
    order = np.arange(len(lengths)) if batch_size == 1 else np.argsort(-lengths, kind="stable")
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


class SentenceBatches:
    """Sentences as independent sequences: zero state before each, padded to the longest of their batch.

    Every symbol of every sentence is predicted exactly once an epoch. With `shuffle` the order is that of
    `shuffle_into_batches`; without, that of `order_into_batches` (for evaluation; document order at `batch_size` 1,
    which dynamic evaluation needs).
    """

    def __init__(
        self,
        sequences: Sequences,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        device: torch.device | str = "cpu",
    ) -> None:
        if len(sequences) == 0:
            raise InputError("the corpus has no sequences: check that its split is not empty")
        if (sequences.lengths == 0).any():
            empty = int(np.flatnonzero(sequences.lengths == 0)[0])
            raise InputError(f"sequence {empty} of the corpus is empty: there is nothing to predict in it")
        self.sequences = sequences
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.symbols_n = torch.from_numpy(sequences.symbols).to(device)

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches in which every sentence occurs once."""
        return -(-len(self.sequences) // self.batch_size)

    @property
    def sequences_per_epoch(self) -> int:
        """Number of sentences."""
        return len(self.sequences)

    def __iter__(self) -> Iterator[TextBatch]:
        return self.epoch(0)

    def __len__(self) -> int:
        return self.batches_per_epoch

    def epoch(self, epoch: int, start: int = 0) -> Iterator[TextBatch]:
        """The batches of an epoch from number `start` on."""
        lengths = self.sequences.lengths
        if self.shuffle:
            rows = shuffle_into_batches(lengths, self.batch_size, self.seed, epoch)
        else:
            rows = order_into_batches(lengths, self.batch_size)
        rows = rows[start:]
        if not rows:
            return
        order = np.concatenate(rows)
        places = np.stack([self.sequences.offsets[order], lengths[order]])
        places_2n = torch.from_numpy(places).to(self.symbols_n.device)
        for row, place_2b in zip(rows, places_2n.split([len(row) for row in rows], 1), strict=True):
            yield self._batch(lengths[row], *place_2b)

    def _batch(self, lengths: np.ndarray, first_b: Tensor, lengths_b: Tensor) -> TextBatch:
        """The sentences that begin at `first_b`; `lengths` are `lengths_b`, known without asking the device."""
        longest = int(lengths.max())
        targets_tb, inside_tb = gather(self.symbols_n, first_b, lengths_b, longest)
        inputs_tb = torch.cat([targets_tb.new_full((1, len(lengths)), NULL), targets_tb[:-1]])
        return TextBatch(
            inputs_tb.masked_fill_(~inside_tb, NULL),
            targets_tb,
            lengths_b if (lengths != longest).any() else None,
            reset=True,
            predictions=int(lengths.sum()),
        )


class ChunkBatches:
    """A long text cut into chunks whose recurrent state is carried, in the order of the text (§3.2).

    The text is a row of *blocks* of `reset_every` chunks of `chunk` symbols (100 of 100, so 10,000); the state is zero
    at the start of a block, gradients end at the start of a chunk. `batch_size` 1 is the paper's order exactly. With
    b > 1 the whole blocks are dealt to b streams of consecutive blocks, the first streams one block longer than the
    rest where they do not divide evenly; row i of every batch is stream i, and the batches of that last, longer round
    have fewer rows. What is left after the last whole block comes at the end as batches of one row, its last chunk as
    short as it is. So every symbol is predicted exactly once an epoch, all rows of a batch start their blocks together
    and no row is padded.

    The input at a chunk's first step is the last symbol of the previous chunk; it is null only at the start of a
    block, where nothing is remembered. `symbols` (n,) may have any integer type; `table` translates its values (say
    bytes) into the integers of the alphabet; a value that it gives as −1 is an error. With `device` None the symbols
    stay where they are, which may be a memory map, and are read and translated batch by batch.
    """

    def __init__(
        self,
        symbols: np.ndarray,
        batch_size: int = 1,
        *,
        chunk: int = 100,
        reset_every: int = 100,
        table: np.ndarray | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        if len(symbols) == 0:
            raise InputError("the corpus has no symbols: check that its split is not empty")
        self.symbols = symbols
        self.batch_size = batch_size
        self.chunk = chunk
        self.reset_every = reset_every
        self.table = table
        self.block = chunk * reset_every
        self.whole_blocks, rest = divmod(len(symbols), self.block)
        self.rounds, self.longer = divmod(self.whole_blocks, batch_size)
        self.rest_chunks = -(-rest // chunk)
        streams = np.arange(batch_size)
        self.first_b = (streams * self.rounds + np.minimum(streams, self.longer)) * self.block
        """Where the streams begin."""
        self.resident_n: Tensor | None = None
        if device is not None:
            codes_n = np.asarray(symbols) if table is None else table[symbols]
            if codes_n.min() < 0:
                self._refuse(int(np.argmax(codes_n < 0)))
            self.resident_n = torch.from_numpy(codes_n.astype(np.min_scalar_type(-int(codes_n.max()) - 1))).to(device)
            self.resident_first_b = torch.from_numpy(self.first_b).to(device)

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches in which every symbol is predicted once."""
        return (self.rounds + (self.longer > 0)) * self.reset_every + self.rest_chunks

    @property
    def sequences_per_epoch(self) -> int:
        """Number of chunks."""
        return self.whole_blocks * self.reset_every + self.rest_chunks

    def __iter__(self) -> Iterator[TextBatch]:
        return self.epoch(0)

    def __len__(self) -> int:
        return self.batches_per_epoch

    def epoch(self, epoch: int, start: int = 0) -> Iterator[TextBatch]:
        """The batches of an epoch from number `start` on; every epoch has the same order."""
        for i in range(start, self.batches_per_epoch):
            yield self.batch(i)

    def batch(self, i: int) -> TextBatch:
        """Batch number `i` of an epoch."""
        round_, step = divmod(i, self.reset_every)
        if round_ < self.rounds + (self.longer > 0):
            rows = self.batch_size if round_ < self.rounds else self.longer
            ahead, length = i * self.chunk, self.chunk
        else:  # what is left of the text; the first stream begins where the text does
            rows, ahead = 1, self.whole_blocks * self.block + step * self.chunk
            length = min(self.chunk, len(self.symbols) - ahead)
        reset = step == 0
        rows_tb = self._read(rows, ahead - (not reset), length + (not reset))
        if reset:
            rows_tb = torch.cat([rows_tb.new_full((1, rows), NULL), rows_tb])
        return TextBatch(rows_tb[:-1], rows_tb[1:], None, reset=reset, predictions=length * rows)

    def _read(self, rows: int, ahead: int, count: int) -> Tensor:
        """(count, rows) int64: what the first `rows` streams read from `ahead` of their beginning on."""
        if self.resident_n is not None:
            first_b = self.resident_first_b[:rows] + ahead
            return self.resident_n[first_b + torch.arange(count, device=first_b.device)[:, None]].long()
        starts_b = self.first_b[:rows] + ahead
        rows_bt = np.stack([self.symbols[first : first + count] for first in starts_b])
        rows_tb = np.ascontiguousarray((rows_bt if self.table is None else self.table[rows_bt]).T.astype(np.int64))
        if rows_tb.size and rows_tb.min() < 0:
            step, row = np.argwhere(rows_tb < 0)[0]
            self._refuse(int(starts_b[row]) + int(step))
        return torch.from_numpy(rows_tb)

    def _refuse(self, at: int) -> None:
        raise InputError(
            f"symbol {at} of the text ({self.symbols[at]}) is outside the alphabet; use the alphabet of this text"
        )
