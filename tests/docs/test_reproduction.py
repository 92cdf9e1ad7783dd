"""The tables of docs/reproduction.md are what the paper prints and results/published hold."""

import json
import shutil

import pytest

from pipeline.paper import TABLES
from rnngen.errors import InputError
from tools.published_tables import PAGE, PUBLISHED, rows_of, with_tables


def test_the_page_shows_what_is_published():
    page = PAGE.read_text(encoding="utf-8")
    assert page.count("<!-- end -->") == len(TABLES)
    assert with_tables(page) == page, "python -m tools.published_tables"


@pytest.mark.parametrize("mark", ["<!-- table2: by tools.published_tables -->\n", "<!-- end -->\n"])
@pytest.mark.parametrize("times", [0, 2])
def test_a_page_without_its_marks_is_left_alone(mark, times):
    page = PAGE.read_text(encoding="utf-8").replace(mark, mark * times, 1)
    with pytest.raises(InputError, match="put them back"):
        with_tables(page)


@pytest.mark.parametrize(
    ("loss", "note", "shown"),
    [
        (-1041.04, "", ["−1041.0", "−1041.0", "+0.0", "within ±15"]),
        (-1056.2, "", ["−1041.0", "−1056.2", "−15.2", "outside ±15"]),
        (-1030.0, "A leg. Not converged.", ["−1041.0", "−1030.0", "+11.0", "not converged"]),
    ],
)
def test_a_row_beside_the_paper_s(tmp_path, loss, note, shown):
    folder = tmp_path / "prediction-3-layer"
    shutil.copytree(PUBLISHED / "prediction-3-layer", folder)
    result = json.loads((folder / "none.json").read_text(encoding="utf-8"))
    result["evaluations"]["static"]["measures"]["loss"] = loss
    result |= {"note": note}
    result["model"]["epochs"], result["training"]["wall_seconds"] = 12.0, 36000.0
    for name in ("prediction-3-layer", "prediction-3-layer-literal"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "none.json").write_text(json.dumps(result), encoding="utf-8")
    rows = {(name, row): rest for name, row, kind, *rest in rows_of("table3", tmp_path)}
    assert rows["prediction-3-layer", "none"] == [*shown, "–", "12", "10.0"]
    assert rows["prediction-1-layer", "none"] == ["−1025.7", "–", "–", "not trained yet", "–", "–", "–"]
    assert rows["prediction-3-layer", "continued"][0] == "–"
    assert rows["prediction-3-layer-literal", "none"][1] == shown[1]
