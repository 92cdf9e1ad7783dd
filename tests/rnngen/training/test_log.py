"""Logs of trainings: what is written comes back, and what is damaged, or not a log, is named."""

import pandas as pd
import pytest

from rnngen.errors import InputError
from rnngen.training.log import read_log, write_log

ROW = {"epoch": 1.0, "updates": 3, "train_nats_per_prediction": 2.5, "validation_loss": 40.0}
ROWS = [ROW, ROW | {"epoch": 2.0, "updates": 6, "weight_nats": 7.0}]


def test_rows_come_back(tmp_path):
    write_log(ROWS, tmp_path / "log.parquet")
    assert read_log(tmp_path / "log.parquet").to_pylist() == [ROW | {"weight_nats": None}, ROWS[1]]
    assert pd.read_parquet(tmp_path / "log.parquet")["updates"].tolist() == [3, 6]


@pytest.mark.parametrize("place", [8, 60, -20, -200])
def test_damage_is_named(tmp_path, place):
    path = tmp_path / "log.parquet"
    write_log(ROWS, path)
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"log\.parquet: .*damaged"):
        read_log(path)


def test_a_table_of_something_else_is_named(tmp_path):
    pd.DataFrame({"epoch": [1.0]}).to_parquet(tmp_path / "log.parquet")
    with pytest.raises(InputError, match="no column updates, train_nats_per_prediction, validation_loss"):
        read_log(tmp_path / "log.parquet")
