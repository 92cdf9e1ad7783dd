"""What is published is of the model it stands beside."""

import json

import pandas as pd
import pytest

from pipeline.publish import main
from rnngen.errors import InputError

MODEL = {"experiment": "wikipedia", "regularisation": "none", "epochs": 2.0}


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    more = {"kind": "text", "network": "PredictionNetwork", "weights": 3, "complete": True, "best_epoch": 1.0}
    more |= {"updates": 9, "best": {}, "initial": None, "provenance": {"machine": "m", "commit": "c"}}
    (folder / "config.json").write_text(json.dumps(MODEL | more), encoding="utf-8")
    pd.DataFrame({"epoch": [1.0, 2.0]}).to_parquet(folder / "log.parquet")
    return folder


def evaluation(path, **changes):
    found = {"evaluation": "static", "split": "validation", "rule": "bytes", "measures": {"bits_per_character": 1.5}}
    found |= {"model": MODEL | changes, "provenance": {"settings": {"dynamic": None}, "wall_seconds": 1.0}}
    path.write_text(json.dumps(found), encoding="utf-8")
    return path


def test_numbers_and_curve(model, tmp_path):
    main(model, [evaluation(tmp_path / "static.json")], tmp_path / "published", note="seen")
    found = json.loads((tmp_path / "published" / "wikipedia" / "none.json").read_text())
    assert found["evaluations"]["static"]["measures"] == {"bits_per_character": 1.5} and found["note"] == "seen"
    assert str(tmp_path) not in json.dumps(found)
    assert len(pd.read_parquet(tmp_path / "published" / "wikipedia" / "none.parquet")) == 2


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": {}}', "\xe9"])
def test_what_is_no_evaluation_is_named(model, tmp_path, content):
    (tmp_path / "e.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=r"e\.json: (no evaluation|not an evaluation|not JSON)"):
        main(model, [tmp_path / "e.json"], tmp_path / "published")
    assert not (tmp_path / "published").exists()


def test_an_evaluation_of_another_model_is_refused(model, tmp_path):
    with pytest.raises(InputError, match="which is not the model in"):
        main(model, [evaluation(tmp_path / "e.json", epochs=3.0)], tmp_path / "published")
    with pytest.raises(InputError, match=r"no config\.json"):
        main(tmp_path, [], tmp_path / "published")
