"""What the rules share: the artifacts of the configuration, code they depend on, and lists of options."""

import json
import shutil
from pathlib import Path

from pipeline._artifacts import Artifacts

MADE = Artifacts(config)
HANDWRITING = config["corpora"]["handwriting"]
HELD_OUT = ours("workflow/held_out_texts.txt")
GPUS = int(
    config["device"] == "cuda"
    or (config["device"] == "auto" and shutil.which("nvidia-smi") is not None)
)


def corpus_of(wildcards):
    return MADE.corpus(wildcards.experiment)


def code(*paths):
    """Files of ours whose change makes again what is made with them: for what takes seconds, never for a training."""
    found = [Path(ours(path)) for path in paths]
    return [
        local(str(file))
        for path in found
        for file in (sorted(path.rglob("*.*")) if path.is_dir() else [path])
        if file.suffix not in (".pyc", "")
    ]


def options(name, values):
    """An option of a command for each of several values, as a list that the rule quotes."""
    return [argument for value in values for argument in (name, value)]
