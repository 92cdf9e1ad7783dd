"""The log of a training as Parquet, one row per validation."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from rnngen.checked_parquet import open_parquet, parquet_writer, refuse_damage

COLUMNS = {"epoch": pa.float64(), "updates": None, "train_nats_per_prediction": pa.float64()}
COLUMNS |= {"validation_loss": pa.float64()}


def write_log(history: list[dict[str, Any]], path: Path) -> None:
    """Write the rows of the validations, whole or not at all; equal rows give equal bytes."""
    names = list(dict.fromkeys(name for row in history for name in row))
    table = pa.table({name: [row.get(name) for row in history] for name in names})
    with parquet_writer(path, table.schema) as writer:
        writer.write_table(table)


def read_log(path: Path) -> pa.Table:
    """The rows of a log; InputError for a file that is damaged or not a log."""
    with open_parquet(path, COLUMNS, "log of a training") as file, refuse_damage(path):
        return file.read()
