"""A job that fails after its training has finished: nothing of the training is lost, and none of it is done again."""

from pathlib import Path

import pytest

from tests.workflow.test_workflow import DUMP, copy_project, snakemake

MODEL = "results/smoke/models/wikipedia/none"
FAILING = "fail-late"
"""While this file is there, every training's job fails after its last command, as at a time limit or on a late disk."""

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose trainings' jobs can be made to fail late."""
    folder = copy_project(tmp_path / "project")
    rules = folder / "workflow" / "rules" / "models.smk"
    text, last = rules.read_text(encoding="utf-8"), "exit ${{PIPESTATUS[0]}}"
    assert last in text
    rules.write_text(text.replace(last, f"exit ${{{{PIPESTATUS[0]}}}}; test ! -e {FAILING}"), encoding="utf-8")
    (folder / "dump.yaml").write_text(f"corpora: {{wikipedia: {{dumps: [{DUMP}]}}}}", encoding="utf-8")
    return folder


def test_what_a_late_failure_takes_away_is_written_again_without_an_update(project: Path) -> None:
    arguments = (f"{MODEL}/weights.safetensors", "--configfile", "workflow/presets/smoke.yaml", "dump.yaml")
    (project / FAILING).touch()
    failed = snakemake(project, *arguments)
    assert failed.returncode != 0
    assert not (project / MODEL / "weights.safetensors").exists(), "Snakemake keeps no output of a job that failed"
    log = project / "results/smoke/logs/train/wikipedia.none.log"
    trained = log.read_text(encoding="utf-8")
    assert "only the model is written" not in trained

    (project / FAILING).unlink()
    again = snakemake(project, *arguments)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "finished at update 6" in log.read_text(encoding="utf-8")
    assert "only the model is written" in log.read_text(encoding="utf-8")
    assert not (project / "results/smoke/state").exists() or not any((project / "results/smoke/state").rglob("*"))

    written = {path.name: path.read_bytes() for path in (project / MODEL).iterdir() if path.name != "run.json"}
    undisturbed = snakemake(project, *arguments, "--forcerun", "train")
    assert undisturbed.returncode == 0, undisturbed.stderr[-3000:]
    assert "only the model is written" not in log.read_text(encoding="utf-8")
    assert written == {path.name: path.read_bytes() for path in (project / MODEL).iterdir() if path.name != "run.json"}
