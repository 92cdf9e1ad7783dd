"""The worked examples of README.md, docs/extending.md and docs/your-own-data.md run as they are printed."""

import re
from pathlib import Path

import pytest
import torch
import yaml

from pipeline._settings import check_config, load_config, training_settings
from rnngen.cells.backends import BACKENDS

ROOT = Path(__file__).resolve().parents[2]


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def test_extending(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The blocks of the page follow on from each other; their assertions are part of the page."""
    monkeypatch.chdir(tmp_path)
    code = blocks("docs/extending.md", "python")
    assert len(code) == 3
    before = dict(BACKENDS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        space: dict = {}
        for block in code:
            exec(compile(block, "docs/extending.md", "exec"), space)
    finally:
        torch.set_num_threads(threads)
        BACKENDS.clear()
        BACKENDS.update(before)


def test_readme() -> None:
    """The library's example runs, and its network has the weights that the comment says."""
    (block,) = blocks("README.md", "python")
    space: dict = {}
    exec(compile(block, "README.md", "exec"), space)
    (said,) = re.findall(r"# ([\d,]+) weights", block)
    assert sum(weight.numel() for weight in space["network"].parameters()) == int(said.replace(",", ""))
    assert space["y_tbo"].shape == (10, 1, 121)


@pytest.mark.parametrize("page", ["docs/extending.md", "docs/your-own-data.md"])
def test_configurations_are_valid(page: str, tmp_path: Path) -> None:
    """Every configuration on the page, put on top of the default one, passes the schema and names its own trainings."""
    found = blocks(page, "yaml")
    assert found
    for number, block in enumerate(found):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block, encoding="utf-8")
        config = load_config([ROOT / "config.yaml", path])
        check_config(config)
        for experiment in yaml.safe_load(block)["experiments"]:
            assert training_settings(config, experiment, "none")["experiment"] == experiment
