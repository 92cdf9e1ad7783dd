"""Lines of handwriting for the networks of §4 and §5: cleaning, offsets, normalisation, alphabet, batches.

A line of n points becomes a sequence of n − 1 steps (Δx, Δy, end of stroke): the offset of every point but the first
from the point before it, and 1 where the point is the last of its stroke. The first point has no offset; the null
vector stands for it. So nothing is predicted that is the same for every line, and nothing of the writing is lost but
whether the very first point is a stroke of its own (353 lines of IAM-OnDB begin with such a dot; the corpus report has
the number).

Coordinates: x to the right, y **downwards**, in units of the device before normalisation.

Shapes: n points, t steps, b batch, u characters, c coordinates (x, y), 3 = (Δx, Δy, end of stroke).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor

from rnngen.corpora.alphabet import Alphabet
from rnngen.corpora.handwriting.parquet import read_columns
from rnngen.corpora.sequences import Sequences, gather, round_length
from rnngen.errors import InputError

LONGEST_GAP = 1.0
"""Seconds; a longer gap within a stroke is a fault of the clock, not a sign of missing readings."""

NON_LETTER = "<non-letter>"
PAPER_CHARACTERS = " ,.?" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + "abcdefghijklmnopqrstuvwxyz"
"""The 56 characters beside the non-letter class of §5.2 (57 symbols).

The paper says 57 and that digits and most punctuation were merged; it does not list what was kept. 52 letters, the
space and the class make 54, so three marks remain: the full stop and comma, the commonest by far, and the question
mark, as in the one re-implementation that also arrives at 57.
"""


@dataclass(frozen=True)
class Cleaning:
    """What is done to recorded points before anything is learned from them (§4.2 names the steps, not the numbers)."""

    every: int = 1
    """Keep every Nth point of a stroke, and its last; 1: all points, as in the paper."""
    step_threshold: float | None = None
    """Steps with |Δx| or |Δy| above this are removed, units of the device; None: none.

    The paper gives no value. None is the default because long steps are nearly all moves of the lifted pen, that is,
    writing; removing those above 500 shifts the printed log-loss by 134 nats per line through the units alone (616
    steps times the log of the ratio of the standard deviations), more than any difference between the paper's networks.
    """
    sampling_interval: float | None = None
    """Seconds; gaps within a stroke get the missing points by linear interpolation; None: none."""

    def __post_init__(self) -> None:
        if self.every < 1:
            raise InputError(f"every {self.every}: keep every 1st, 2nd, 3rd … point")
        for name in ("step_threshold", "sampling_interval"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} {value}: must be above 0, or null for none")

    def steps(
        self,
        x_n: np.ndarray,
        y_n: np.ndarray,
        end_n: np.ndarray,
        line_n: np.ndarray,
        seconds_n: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Steps of n points, each (T,): Δx, Δy, end of stroke (bool), and the number of the line it belongs to.

        `end_n` is true on the last point of every stroke, `line_n` the ascending number of each point's line. In
        order: missing points are filled in, points are thinned out, offsets taken, long ones removed. The end of a
        stroke survives the removal of its last step: the step before it then ends the stroke.
        """
        if self.sampling_interval is not None and seconds_n is not None:
            x_n, y_n, end_n, line_n = self._fill(x_n, y_n, end_n, line_n, seconds_n)
        if self.every > 1:
            start_n = np.append(True, end_n[:-1])
            first_n = np.flatnonzero(start_n)[np.cumsum(start_n) - 1]
            kept_n = ((np.arange(len(x_n)) - first_n) % self.every == 0) | end_n
            x_n, y_n, end_n, line_n = (array[kept_n] for array in (x_n, y_n, end_n, line_n))
        same_line = line_n[1:] == line_n[:-1]
        steps = np.diff(x_n)[same_line], np.diff(y_n)[same_line], end_n[1:][same_line], line_n[1:][same_line]
        if self.step_threshold is None:
            return steps
        dx_t, dy_t, end_t, line_t = steps
        kept_t = (np.abs(dx_t) <= self.step_threshold) & (np.abs(dy_t) <= self.step_threshold)
        kept = np.flatnonzero(kept_t)
        if len(kept):
            # a line's last point ends a stroke, so what a removed first step of the next line adds changes nothing
            end_t = end_t.copy()
            end_t[kept] = np.logical_or.reduceat(end_t, kept)
        return dx_t[kept_t], dy_t[kept_t], end_t[kept_t], line_t[kept_t]

    def _fill(
        self, x_n: np.ndarray, y_n: np.ndarray, end_n: np.ndarray, line_n: np.ndarray, seconds_n: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        assert self.sampling_interval is not None
        gap_n = np.append(np.diff(seconds_n), 0.0)
        inside_n = ~end_n & (gap_n > 0) & (gap_n <= LONGEST_GAP)
        pieces_n = np.where(inside_n, np.maximum(np.rint(gap_n / self.sampling_interval), 1), 1).astype(np.int64)
        before = np.repeat(np.arange(len(x_n)), pieces_n)
        piece = np.arange(len(before)) - np.repeat(np.cumsum(pieces_n) - pieces_n, pieces_n)
        share = piece / pieces_n[before]
        after = np.minimum(before + 1, len(x_n) - 1)
        x, y = (axis[before] + share * (axis[after] - axis[before]) for axis in (x_n, y_n))
        return x, y, end_n[before], line_n[before]


@dataclass(frozen=True)
class Normaliser:
    """From recorded strokes to what a network reads, and back: one object for training data, primes and drawings."""

    mean: np.ndarray
    """(2,), of Δx and Δy over the training lines, units of the device."""
    deviation: np.ndarray
    """(2,), standard deviation of the same."""
    cleaning: Cleaning = field(default_factory=Cleaning)

    @property
    def every(self) -> int:
        """Of the points of a stroke, one in `every` is kept."""
        return self.cleaning.every

    def thin_offsets(self, strokes: Sequence[np.ndarray], times: Sequence[np.ndarray] | None = None) -> np.ndarray:
        """Cleaned steps (T, 3) of one line in units of the corpus; `times` in seconds, one array per stroke."""
        points_nc = np.concatenate([np.asarray(stroke, dtype=np.float64).reshape(-1, 2) for stroke in strokes])
        end_n = np.zeros(len(points_nc), dtype=bool)
        end_n[np.cumsum([len(stroke) for stroke in strokes]) - 1] = True
        line_n = np.zeros(len(points_nc), dtype=np.int32)
        seconds_n = None if times is None else np.concatenate([np.asarray(t, dtype=np.float64) for t in times])
        x_n, y_n = points_nc.T
        return np.stack(self.cleaning.steps(x_n, y_n, end_n, line_n, seconds_n)[:3], axis=1).astype(np.float64)

    def normalise(self, steps_t3: np.ndarray) -> np.ndarray:
        """Steps (T, 3) of the corpus in the units of the network: mean 0, standard deviation 1; float64."""
        steps_t3 = np.array(steps_t3, dtype=np.float64)
        steps_t3[:, :2] -= self.mean
        steps_t3[:, :2] /= self.deviation
        return steps_t3

    def to_network(self, strokes: Sequence[np.ndarray], times: Sequence[np.ndarray] | None = None) -> np.ndarray:
        """The steps (T, 3), float32, that a network reads for one line of n points: as in training, T = n − 1."""
        return self.normalise(self.thin_offsets(strokes, times)).astype(np.float32)

    def to_corpus(self, steps_t3: np.ndarray) -> np.ndarray:
        """Steps (T, 3) of a network in the units of the corpus, float64; the inverse of `normalise`.

        They are relative to the point before the first of them: a line that was not primed begins one point earlier.
        """
        steps_t3 = np.array(steps_t3, dtype=np.float64)
        steps_t3[:, :2] = steps_t3[:, :2] * self.deviation + self.mean
        return steps_t3

    def as_json(self) -> dict[str, Any]:
        """Plain values that `from_json` takes back exactly."""
        return {
            "mean": [float(value) for value in self.mean],
            "deviation": [float(value) for value in self.deviation],
            "every": self.cleaning.every,
            "step_threshold": self.cleaning.step_threshold,
            "sampling_interval": self.cleaning.sampling_interval,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Normaliser":
        """The inverse of `as_json`."""
        cleaning = Cleaning(values["every"], values["step_threshold"], values["sampling_interval"])
        return cls(
            np.array(values["mean"], dtype=np.float64), np.array(values["deviation"], dtype=np.float64), cleaning
        )


@dataclass(frozen=True)
class Lines:
    """Lines as a network reads them: line i is steps_t3[offsets[i] : offsets[i + 1]]."""

    names: list[str]
    forms: list[str]
    texts: list[str]
    steps_t3: np.ndarray
    """Normalised, float32."""
    offsets: np.ndarray
    """(lines + 1,) int64."""
    codes: Sequences
    """The texts as integers of the alphabet."""

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> np.ndarray:
        return self.steps_t3[self.offsets[i] : self.offsets[i + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Number of steps of every line."""
        return np.diff(self.offsets)


@dataclass(frozen=True)
class HandwritingSets:
    """A corpus of handwriting, ready for training."""

    training: Lines
    validation: Lines
    normaliser: Normaliser
    alphabet: Alphabet
    statistics: dict[str, Any]
    """What became of every line and point, and what the cleaning did to mean and standard deviation."""

    @property
    def points_per_character(self) -> float:
        """Steps per character of the training texts."""
        return len(self.training.steps_t3) / len(self.training.codes.symbols)


def load_handwriting(
    path: str | Path,
    *,
    training: Sequence[str] = ("trainset", "testset_t", "testset_f"),
    validation: Sequence[str] = ("testset_v",),
    every: int = 1,
    step_threshold: float | None = None,
    sampling_interval: float | None = None,
    alphabet: str = "paper",
    non_letter: str | None = NON_LETTER,
) -> HandwritingSets:
    """The lines of a Parquet file of `rnngen.corpora.handwriting.parquet`, split as §4.2.

    The paper trains on the training set, the test set and the larger validation set (10,741 lines) and stops and
    reports on the smaller one, testset_v (1,438 lines). Mean and standard deviation, per axis, are those of the
    training lines' cleaned steps. `alphabet` is `paper` (57 symbols, see PAPER_CHARACTERS), `all` (every character of
    the two sets) or the characters themselves; `non_letter` names the class of all other characters for the first and
    last, and null makes them an error.

    Raises InputError when a set is empty or unknown, when the two share a set or a form, when a line has no text or a
    character outside the alphabet, and when the file is not such a corpus.
    """
    cleaning = Cleaning(every, step_threshold, sampling_interval)
    wanted = ["line", "form", "split", "text", "x", "y", "stroke_len", *([] if sampling_interval is None else ["t"])]
    table = read_columns(path, wanted)
    names, forms, texts = (table[name].to_pylist() for name in ("line", "form", "text"))
    role_l = _roles(path, table["split"].to_pylist(), forms, training, validation)
    points = _Points.of(path, table)

    dx_t, dy_t, end_t, line_t = cleaning.steps(*points.columns)
    lengths = np.bincount(line_t, minlength=len(names))
    training_t = np.repeat(role_l == TRAINING, lengths)
    normaliser = Normaliser(*_mean_and_deviation(path, dx_t[training_t], dy_t[training_t]), cleaning)
    statistics = _statistics(points, role_l, lengths, normaliser)
    steps_t3 = np.empty((len(dx_t), 3), dtype=np.float32)
    for axis, delta_t in enumerate((dx_t, dy_t)):
        steps_t3[:, axis] = (delta_t - normaliser.mean[axis]) / normaliser.deviation[axis]
    steps_t3[:, 2] = end_t

    letters = _alphabet(alphabet, non_letter, [texts[row] or "" for row in np.flatnonzero(role_l >= 0)])
    bounds = np.append(0, np.cumsum(lengths))
    sets = {}
    for role in (TRAINING, VALIDATION):
        rows = np.flatnonzero((role_l == role) & (lengths > 0))
        for row in rows:
            if not texts[row]:
                raise InputError(f"{path}: line {names[row]} has no text; leave its set out or give it a transcript")
        sets[role] = Lines(
            [names[row] for row in rows],
            [forms[row] for row in rows],
            [texts[row] for row in rows],
            np.concatenate([steps_t3[bounds[row] : bounds[row + 1]] for row in rows]),
            np.append(0, np.cumsum(lengths[rows])),
            Sequences.of(letters.encode(texts[row], f"{path}, line {names[row]}") for row in rows),
        )
    return HandwritingSets(sets[TRAINING], sets[VALIDATION], normaliser, letters, statistics)


TRAINING, VALIDATION = 0, 1


def _roles(
    path: str | Path,
    splits: list[str | None],
    forms: list[str],
    training: Sequence[str],
    validation: Sequence[str],
) -> np.ndarray:
    """TRAINING, VALIDATION or −1 for every line; raises InputError unless the two are there and share nothing."""
    both = sorted(set(training) & set(validation))
    if both:
        raise InputError(f"{', '.join(both)}: named for training and for validation; a set has one role")
    present = sorted({split for split in splits if split is not None})
    for name in (*training, *validation):
        if name not in present:
            raise InputError(f"{path}: no line of the set {name!r}; it has {', '.join(present) or 'lines of no set'}")
    role = {name: TRAINING for name in training} | {name: VALIDATION for name in validation}
    role_l = np.array([-1 if split is None else role.get(split, -1) for split in splits])
    found = {r: {form for form, of in zip(forms, role_l, strict=True) if of == r} for r in (TRAINING, VALIDATION)}
    if shared := found[TRAINING] & found[VALIDATION]:
        raise InputError(
            f"{path}: {len(shared)} forms, {min(shared)} first, have lines for training and for validation; a form has "
            "one role"
        )
    return role_l


@dataclass(frozen=True)
class _Points:
    """All points of a table, line after line."""

    x_n: np.ndarray
    y_n: np.ndarray
    end_n: np.ndarray
    line_n: np.ndarray
    seconds_n: np.ndarray | None
    recorded_l: np.ndarray
    """Points of every line."""
    first_stroke_l: np.ndarray
    """Points of the first stroke of every line."""

    @property
    def columns(self) -> tuple[Any, ...]:
        """The arguments of `Cleaning.steps`."""
        return self.x_n, self.y_n, self.end_n, self.line_n, self.seconds_n

    @classmethod
    def of(cls, path: str | Path, table: pa.Table) -> "_Points":
        (x_n, offsets), (y_n, y_offsets), (stroke_len, strokes) = (
            _flat(path, table, name) for name in ("x", "y", "stroke_len")
        )
        t_n, t_offsets = _flat(path, table, "t") if "t" in table.column_names else (None, offsets)
        ends = np.append(0, np.cumsum(stroke_len))
        fits = [np.array_equal(offsets, other) for other in (y_offsets, t_offsets, ends[strokes])]
        if not all(fits) or (stroke_len < 1).any():
            raise InputError(f"{path}: x, y, t and stroke_len of a line differ in length; make the file again")
        recorded_l = np.diff(offsets)
        if (recorded_l == 0).any():
            line = table["line"][int(np.flatnonzero(recorded_l == 0)[0])]
            raise InputError(f"{path}: line {line} has no points; leave it out")
        end_n = np.zeros(len(x_n), dtype=bool)
        end_n[ends[1:] - 1] = True
        line_n = np.repeat(np.arange(len(recorded_l), dtype=np.int32), recorded_l)
        return cls(x_n, y_n, end_n, line_n, None if t_n is None else t_n / 100, recorded_l, stroke_len[strokes[:-1]])


def _flat(path: str | Path, table: pa.Table, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The values of a column of lists, and where each list begins; no copy where the column is in one piece."""
    column = table[name].combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    if column.null_count or column.values.null_count:
        raise InputError(f"{path}: column {name} has values that are missing; make the file again")
    offsets = column.offsets.to_numpy().astype(np.int64)
    return column.values.to_numpy()[offsets[0] : offsets[-1]], offsets - offsets[0]


def _mean_and_deviation(path: str | Path, dx_t: np.ndarray, dy_t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(dx_t) == 0:
        raise InputError(f"{path}: no step is left of the training lines; raise step_threshold or lower every")
    mean = np.array([dx_t.mean(), dy_t.mean()])
    deviation = np.array([dx_t.std(), dy_t.std()])
    if not (deviation > 0).all():
        raise InputError(f"{path}: all steps of the training lines are equal along an axis; they cannot be normalised")
    return mean, deviation


def _statistics(points: _Points, role_l: np.ndarray, lengths: np.ndarray, normaliser: Normaliser) -> dict[str, Any]:
    plain = normaliser
    if normaliser.cleaning != Cleaning():
        dx_t, dy_t, _, line_t = Cleaning().steps(*points.columns)
        training_t = role_l[line_t] == TRAINING
        plain = Normaliser(*_mean_and_deviation("the corpus", dx_t[training_t], dy_t[training_t]))
    roles = {"training": role_l == TRAINING, "validation": role_l == VALIDATION}
    result: dict[str, Any] = {
        name: {
            "lines": int(role.sum()),
            "lines_left_without_steps": int((lengths[role] == 0).sum()),
            "lines_beginning_with_a_dot": int((points.first_stroke_l[role] == 1).sum()),
            "points": int(points.recorded_l[role].sum()),
            "steps": int(lengths[role].sum()),
            "longest_line": int(lengths[role].max()),
        }
        for name, role in roles.items()
    }
    units = np.log(plain.deviation / normaliser.deviation).sum() * lengths[roles["training"]].mean()
    return result | {
        "mean": normaliser.mean.tolist(),
        "deviation": normaliser.deviation.tolist(),
        "mean_without_cleaning": plain.mean.tolist(),
        "deviation_without_cleaning": plain.deviation.tolist(),
        # densities are per unit of the deviations' product: what a change of units adds to the loss of an average line
        "nats_per_line_from_units": float(units),
    }


def _alphabet(alphabet: str, non_letter: str | None, texts: list[str]) -> Alphabet:
    if alphabet == "all":
        return Alphabet(tuple(sorted(set("".join(texts)))))
    characters = PAPER_CHARACTERS if alphabet == "paper" else alphabet
    rest = () if non_letter is None else (non_letter,)
    return Alphabet((*sorted(characters), *rest), other=non_letter)


@dataclass(frozen=True)
class HandwritingBatch:
    """b lines, time first; inputs begin with the null vector (0, 0, 0) and are the targets one step later."""

    inputs_tb3: Tensor
    targets_tb3: Tensor
    """float32; 0 where padded."""
    lengths_b: Tensor | None
    """int64; None when all lines are t long."""
    text_bu: Tensor
    """int64; 0 where padded."""
    text_lengths_b: Tensor
    predictions: int
    """Number of predicted steps, padding excluded."""
    lines: np.ndarray
    """(b,) numbers of the lines in their set."""
    reset: bool = True
    runs_on: bool = False
    """Whether the network runs on through the padding at the ends of lines; the loss does not."""

    @property
    def sequences(self) -> int:
        """Number of lines b."""
        return self.targets_tb3.shape[1]

    def running_on(self) -> "HandwritingBatch":
        """The same padded to one of a few lengths of lines and texts, and `runs_on`."""
        more = (0, 0, 0, 0, 0, round_length(len(self.targets_tb3)) - len(self.targets_tb3))
        characters = self.text_bu.shape[1]
        return replace(
            self,
            inputs_tb3=F.pad(self.inputs_tb3, more),
            targets_tb3=F.pad(self.targets_tb3, more),
            text_bu=F.pad(self.text_bu, (0, round_length(characters) - characters)),
            runs_on=True,
        )


class HandwritingBatches:
    """Batches of lines of similar length, padded to the longest, never cut; same interface as
    `rnngen.corpora.sequences`.

    Lines are sorted by length into buckets of sixteen batches; every epoch deals the lines of a bucket out again to its
    batches and shuffles all batches, as (seed, epoch) determine. `maximum_points` bounds the cells T · B of a padded
    batch by making the batches of long lines smaller (a single line may exceed it). The number of batches is the same
    in every epoch. Without `shuffle`, lines come longest first, or with `batch_size` 1 in the order of the set. The
    lines lie on `device`, and batches are gathered there.
    """

    def __init__(
        self,
        lines: Lines,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        maximum_points: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.lines = lines
        self.steps_n3 = torch.from_numpy(lines.steps_t3).to(device)
        self.symbols_n = torch.from_numpy(lines.codes.symbols).to(device)
        self.seed = seed
        self.shuffle = shuffle
        ordered = np.arange(len(lines)) if batch_size == 1 else np.argsort(-lines.lengths, kind="stable")
        self.buckets: list[tuple[np.ndarray, int]] = []
        """Lines of each bucket and the size of its batches."""
        first = 0
        while first < len(ordered):
            longest = int(lines.lengths[ordered[first:]].max())
            size = batch_size if maximum_points is None else max(1, min(batch_size, maximum_points // longest))
            self.buckets.append((ordered[first : first + 16 * size], size))
            first += 16 * size

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches in which every line occurs once."""
        return sum(-(-len(rows) // size) for rows, size in self.buckets)

    @property
    def sequences_per_epoch(self) -> int:
        """Number of lines."""
        return len(self.lines)

    def __iter__(self) -> Iterator[HandwritingBatch]:
        return self.epoch(0)

    def __len__(self) -> int:
        return self.batches_per_epoch

    def epoch(self, epoch: int, start: int = 0) -> Iterator[HandwritingBatch]:
        """The batches of an epoch from number `start` on."""
        random = np.random.default_rng((self.seed, epoch))
        batches = []
        for rows, size in self.buckets:
            dealt = random.permutation(rows) if self.shuffle else rows
            batches += [dealt[i : i + size] for i in range(0, len(dealt), size)]
        order = random.permutation(len(batches)) if self.shuffle else range(len(batches))
        batches = [batches[i] for i in list(order)[start:]]
        if not batches:
            return
        order = np.concatenate(batches)
        lines, codes = self.lines, self.lines.codes
        places = np.stack([lines.offsets[order], lines.lengths[order], codes.offsets[order], codes.lengths[order]])
        places_4n = torch.from_numpy(places).to(self.steps_n3.device)
        for rows, place_4b in zip(batches, places_4n.split([len(rows) for rows in batches], 1), strict=True):
            yield self._batch(rows, *place_4b)

    def _batch(
        self, rows: np.ndarray, first_b: Tensor, lengths_b: Tensor, text_first_b: Tensor, text_lengths_b: Tensor
    ) -> HandwritingBatch:
        """The lines numbered `rows`, with the places and lengths of their steps and texts on the device."""
        lengths, longest_text = self.lines.lengths[rows], int(self.lines.codes.lengths[rows].max())
        longest = int(lengths.max())
        targets_tb3, inside_tb = gather(self.steps_n3, first_b, lengths_b, longest)
        inputs_tb3 = torch.cat([targets_tb3.new_zeros(1, len(rows), 3), targets_tb3[:-1]])
        return HandwritingBatch(
            # the last step of a shorter line is a target only
            inputs_tb3.masked_fill_(~inside_tb.unsqueeze(2), 0),
            targets_tb3,
            lengths_b if (lengths != longest).any() else None,
            gather(self.symbols_n, text_first_b, text_lengths_b, longest_text)[0].t().contiguous(),
            text_lengths_b,
            predictions=int(lengths.sum()),
            lines=rows,
        )
