"""States of finished trainings go when their models are there, and only then."""

import shutil

from pipeline.release_states import main as release_states
from tests.pipeline.test_train import SETTINGS, corpus, paused, run

__all__ = ["corpus"]


def test_only_what_is_finished_and_has_its_model_is_removed(corpus, tmp_path):
    states, models = tmp_path / "state", tmp_path / "models"
    for row in ("whole", "lost"):
        run(SETTINGS, corpus, models / "treebank" / row, state=states / "treebank" / row)
    paused(SETTINGS, corpus, models / "treebank" / "paused", state=states / "treebank" / "paused")
    shutil.rmtree(models / "treebank" / "lost")
    release_states(states=states, models=models)
    assert sorted(path.name for path in (states / "treebank").iterdir()) == ["lost", "paused"]
    run(SETTINGS, corpus, models / "word" / "none", state=states / "word" / "none")
    release_states(states=states, models=models)
    assert [path.name for path in states.iterdir()] == ["treebank"]
