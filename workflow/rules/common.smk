"""What the rules share: the artifacts of the configuration, code they depend on, and lists of options."""

import json
import shutil
from pathlib import Path

import pipeline
from pipeline._artifacts import Artifacts

MADE = Artifacts(config)
PACKAGES = Path(pipeline.__file__).parents[1]
HANDWRITING = config["corpora"]["handwriting"]
HELD_OUT = ours("workflow/held_out_texts.txt")
GPUS = int(
    config["device"] == "cuda"
    or (config["device"] == "auto" and shutil.which("nvidia-smi") is not None)
)


def corpus_of(wildcards):
    return MADE.corpus(wildcards.experiment)


def as_typed(path):
    """A path as one types it in the folder of the run, which may be moved with all in it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def code(*modules):
    """Files of ours whose change makes again what is made with them: for what takes seconds, never for a training."""
    found = [PACKAGES / module for module in modules]
    return [
        local(as_typed(file))
        for path in found
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if file.is_file() and file.suffix != ".pyc"
    ]


def options(name, values):
    """An option of a command for each of several values, as a list that the rule quotes."""
    return [argument for value in values for argument in (name, value)]
