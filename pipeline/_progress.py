"""How a training shows itself: a bar on a terminal, log lines elsewhere."""

import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

LINE_SECONDS = 30.0


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a line at once. A log that cannot take it (reader gone, disk full) does not end the training."""
    stream = stream or sys.stdout
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
        if stream is sys.stdout:
            say(f"warning: standard output takes no more lines ({error.strerror}); going on without it", sys.stderr)


class Bar:
    """Epoch, loss and throughput. On a terminal a tqdm bar; in a log a line at every half minute and validation."""

    def __init__(self, setup: Any, progress: Any) -> None:
        self.progress = progress
        self.per_epoch = setup.training_batches.batches_per_epoch
        self.unit = setup.unit
        total = setup.schedule.maximum_epochs * self.per_epoch
        if setup.schedule.maximum_updates is not None:
            total = min(total, setup.schedule.maximum_updates)
        self.total = total
        self.bar = tqdm(
            total=total, initial=progress.updates, unit="update", dynamic_ncols=True, disable=not sys.stderr.isatty()
        )
        self.quiet_since = time.perf_counter()
        self.mark = (time.perf_counter(), progress.predictions)
        self.rate = 0.0

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.close()

    def update(self) -> None:
        """`progress` has moved on."""
        now, done = time.perf_counter(), self.progress.predictions
        if now - self.mark[0] > 1.0:
            self.rate = (done - self.mark[1]) / (now - self.mark[0])
            self.mark = (now, done)
        if done:
            self.bar.set_postfix_str(self.figures(), refresh=False)
        self.bar.update(self.progress.updates - self.bar.n)
        if self.bar.disable and now - self.quiet_since > LINE_SECONDS:
            self.quiet_since = now
            say(f"update {self.progress.updates}/{self.total} {self.figures()}")

    def figures(self) -> str:
        loss = self.progress.nats / max(1, self.progress.predictions)
        return f"epoch {self.progress.epoch} loss {loss:.3f} nats/{self.unit} {max(0.0, self.rate):,.0f} {self.unit}s/s"

    def validation(self, row: dict[str, float]) -> None:
        """One line per validation, above the bar on a terminal."""
        self.mark = (time.perf_counter(), 0)
        measures = "  ".join(
            f"{name.removeprefix('validation_')} {value:.4g}"
            for name, value in row.items()
            if name.startswith("validation_")
        )
        message = (
            f"epoch {row['epoch']:.2f}  update {row['updates']}  train {row['train_nats_per_prediction']:.4f} "
            f"nats/{self.unit}  {measures}  {row['seconds']:.0f} s"
        )
        if self.bar.disable:
            say(message)
        else:
            self.bar.write(message)
