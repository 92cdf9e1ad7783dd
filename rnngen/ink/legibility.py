"""How legible handwriting is: a reader trained on lines of the corpus reads other lines, and its errors are counted.

The reader sees ink, not movement: a line becomes a row of narrow columns, each with the amount of ink by height and by
direction (level, rising, upright, falling), so that the order of strokes, the speed of the pen and the number of points
do not matter. A bidirectional LSTM reads the columns and is trained by connectionist temporal classification (Graves et
al., 2006); its most probable path is the reading. It knows no words.

Shapes: f columns (frames), b lines of a batch, k features, s symbols (blank first).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from rnngen.errors import InputError

COLUMN = 0.28  # width of a column, in standard deviations of the ink's height
ROWS = 14  # of heights in a column
REACH = 3.2  # heights seen above and below the middle, in the same unit
DIRECTIONS = 4
FEATURES = ROWS * DIRECTIONS
STEP = 0.07  # length of the pieces that ink is cut into, in the same unit
MOST_COLUMNS = 2_000


@dataclass(frozen=True)
class TranscribedInk:
    """A line and what it says: points (n, 2), y downwards, and the number of points of each stroke."""

    text: str
    points: np.ndarray
    stroke_len: np.ndarray


def columns_of(points: np.ndarray, stroke_len: np.ndarray) -> np.ndarray:
    """Features (f, k) of a line of ink, whatever its size, slope and place; f is 1 for ink without extent."""
    last = np.zeros(len(points), bool)
    last[np.cumsum(stroke_len) - 1] = True
    drawn = np.flatnonzero(~last)
    begin, way = points[drawn], points[np.minimum(drawn + 1, len(points) - 1)] - points[drawn]
    length = np.hypot(*way.T)
    total = length.sum()
    if not np.isfinite(total) or total <= 0:
        return np.zeros((1, FEATURES), np.float32)
    # the line the ink lies along, and its height around that; ink counts by its length
    weight = length / total
    middle = begin + way / 2
    centre = weight @ middle
    offset = middle - centre
    slope = (weight @ (offset[:, 0] * offset[:, 1])) / max(weight @ offset[:, 0] ** 2, 1e-12)
    width = np.ptp(middle[:, 0])
    slope = float(np.clip(slope, -0.15, 0.15)) if width > 0 else 0.0
    spread = np.sqrt(weight @ (offset[:, 1] - slope * offset[:, 0]) ** 2)
    # very flat ink, such as one dash, is measured by its length
    scale = max(spread, 0.005 * width, 1e-9)
    pieces = np.clip(np.ceil(length / (STEP * scale)), 1, 1_000).astype(int)
    owner = np.repeat(np.arange(len(pieces)), pieces)
    within = (np.arange(len(owner)) - (np.cumsum(pieces) - pieces)[owner] + 0.5) / pieces[owner]
    place = begin[owner] + way[owner] * within[:, None] - centre
    x = place[:, 0] / scale
    y = (place[:, 1] - slope * place[:, 0]) / scale
    amount = (length / pieces / scale)[owner]
    frames = min(int((x.max() - x.min()) / COLUMN) + 3, MOST_COLUMNS)
    # ink is shared between neighbouring columns, rows and directions, so that a small shift changes little
    across = np.clip((x - x.min()) / COLUMN + 0.5, 0, frames - 1.001)
    down = np.clip((y + REACH) / (2 * REACH) * (ROWS - 1), 0, ROWS - 1.001)
    heading = (np.arctan2(way[:, 1], way[:, 0])[owner] / np.pi * DIRECTIONS) % DIRECTIONS
    features = np.zeros((frames, ROWS, DIRECTIONS))
    for a in (0, 1):
        for d in (0, 1):
            for h in (0, 1):
                column, row = across.astype(int) + a, down.astype(int) + d
                direction = (heading.astype(int) + h) % DIRECTIONS
                share = np.abs(1 - a - across % 1) * np.abs(1 - d - down % 1) * np.abs(1 - h - heading % 1) * amount
                flat = (column * ROWS + row) * DIRECTIONS + direction
                features += np.bincount(flat, share, features.size).reshape(features.shape)
    return np.tanh(2 * features).reshape(frames, FEATURES).astype(np.float32)


class Reader(nn.Module):
    """Columns of ink to probabilities of symbols; symbol 0 is CTC's blank, the others are `characters`."""

    def __init__(self, characters: str, hidden: int = 96) -> None:
        super().__init__()
        self.characters = characters
        self.strokes = nn.Conv1d(FEATURES, hidden, 5, padding=2)
        self.letters = nn.Conv1d(hidden, hidden, 5, padding=2)
        self.even = nn.LayerNorm(hidden)
        self.recurrent = nn.LSTM(hidden, hidden, bidirectional=True)
        self.output = nn.Linear(2 * hidden, len(characters) + 1)

    def forward(self, x_fbk: torch.Tensor) -> torch.Tensor:
        """Log-probabilities (f, b, s) of the symbols at every column."""
        h = torch.relu(self.letters(torch.relu(self.strokes(x_fbk.permute(1, 2, 0)))))
        return self.output(self.recurrent(self.even(h.permute(2, 0, 1)))[0]).log_softmax(2)

    @torch.no_grad()
    def read(self, lines: Sequence[TranscribedInk], batch: int = 64) -> list[str]:
        """What the reader takes the lines to say."""
        features = [columns_of(line.points, line.stroke_len) for line in lines]
        order = sorted(range(len(lines)), key=lambda k: len(features[k]))
        readings = [""] * len(lines)
        for first in range(0, len(order), batch):
            rows = order[first : first + batch]
            best_fb = self(_pad([features[k] for k in rows])).argmax(2)
            for column, row in enumerate(rows):
                path = best_fb[: len(features[row]), column].unique_consecutive()
                readings[row] = "".join(self.characters[symbol - 1] for symbol in path.tolist() if symbol)
        return readings


def _pad(features: Sequence[np.ndarray]) -> torch.Tensor:
    x_fbk = np.zeros((max(map(len, features)), len(features), FEATURES), np.float32)
    for b, columns in enumerate(features):
        x_fbk[: len(columns), b] = columns
    return torch.from_numpy(x_fbk)


def thin(ink: TranscribedInk, every: int) -> TranscribedInk:
    """The ink with every `every`-th point of a stroke, its last always: what networks that read fewer points draw."""
    starts = np.cumsum(ink.stroke_len) - ink.stroke_len
    within = np.arange(len(ink.points)) - np.repeat(starts, ink.stroke_len)
    kept = within % every == 0
    kept[np.cumsum(ink.stroke_len) - 1] = True
    owner = np.repeat(np.arange(len(ink.stroke_len)), ink.stroke_len)
    return TranscribedInk(ink.text, ink.points[kept], np.bincount(owner[kept], minlength=len(ink.stroke_len)))


def train_reader(
    lines: Sequence[TranscribedInk], updates: int, seed: int, batch: int = 32, step: float = 4e-3
) -> Reader:
    """Train a reader on lines; each is seen with all, half or a third of its points.

    Raises InputError without lines.
    """
    if not lines:
        raise InputError("no lines to train the reader on; give a corpus with a training set")
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    characters = "".join(sorted({c for line in lines for c in line.text}))
    reader = Reader(characters)
    symbol = {c: k for k, c in enumerate(characters, start=1)}
    targets = [torch.tensor([symbol[c] for c in line.text]) for line in lines]
    features = [
        [columns_of(ink.points, ink.stroke_len) for ink in (thin(line, every) for every in (1, 2, 3))] for line in lines
    ]
    optimizer = torch.optim.Adam(reader.parameters(), lr=step, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, step, total_steps=updates, pct_start=0.15)
    loss_of = nn.CTCLoss(zero_infinity=True)
    queue: list[np.ndarray] = []
    for _ in range(updates):
        if not queue:
            # lines of similar length together, batches in random order
            order = rng.permutation(len(lines))
            order = order[np.argsort([len(features[k][0]) // 8 for k in order], kind="stable")]
            queue = np.array_split(order, max(1, len(order) // batch))
            rng.shuffle(queue)
        rows = queue.pop()
        drawn = [features[k][rng.integers(3)] for k in rows]
        log_p_fbs = reader(_pad(drawn))
        loss = loss_of(
            log_p_fbs,
            torch.cat([targets[k] for k in rows]),
            torch.tensor([len(columns) for columns in drawn]),
            torch.tensor([len(targets[k]) for k in rows]),
        )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(reader.parameters(), 5.0)
        optimizer.step()
        schedule.step()
    return reader.eval()


def edit_distance(a: str, b: str) -> int:
    """Fewest insertions, deletions and replacements of characters that turn `a` into `b` (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


def character_error_rate(texts: Sequence[str], readings: Sequence[str]) -> float:
    """Edit distance between texts and readings, over the number of characters of the texts; may exceed 1."""
    return sum(map(edit_distance, texts, readings)) / sum(map(len, texts))
