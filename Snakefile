"""rnngen: the whole of Graves (2013) from raw data to tables and figures. `snakemake reproduce-all` runs it."""

import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.20")


def ours(path):
    """A file of this project: in the folder of the run, else, in a run with --directory, beside this file."""
    return path if Path(path).exists() else str(Path(workflow.basedir) / path)


sys.path.insert(0, workflow.basedir)
# the rules' python is the one that runs Snakemake, even if its environment is not activated
os.environ["PATH"] = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ["PATH"]]
)

from pipeline._s3 import require_bucket
from pipeline._settings import load_config
from pipeline._slurm import require_partitions
from rnngen.artifacts import take_lock
from rnngen.errors import InputError

try:
    # instead of `configfile:`, which lets the last of two equal keys win and puts a preset's new rows first
    config = load_config(
        [ours("config.yaml"), *workflow.overwrite_configfiles],
        workflow.config_settings.config,
    )
    if workflow.is_main_process:
        require_partitions(workflow.resource_settings)
        require_bucket(workflow.storage_settings, workflow.storage_provider_settings)
except InputError as error:
    sys.exit(f"error: {error}")

# Snakemake's lock outlives a run that is killed. Ours dies with its process: whoever gets it is alone in this folder.
# A job that reads this file, on a node of a cluster, is part of a run.
Path(".snakemake").mkdir(exist_ok=True)
ALONE = take_lock(Path(".snakemake/running")) if workflow.is_main_process else None
if ALONE is not None:
    for lock in Path(".snakemake/locks").glob("*.lock"):
        lock.unlink(missing_ok=True)

RESULTS = config["results"]
EXPERIMENTS = config["experiments"]
PROCESSES = config.get("processes", 1)
# what starts a training; not a parameter of the rule, because more processes are no reason to train again
TRAIN = (
    ["python", "-m"]
    if PROCESSES == 1
    else ["torchrun", "--standalone", f"--nproc-per-node={PROCESSES}"]
    + ["--max-restarts=3", "-m"]
)
PRIME = config["samples"]["text"]["prime"]


wildcard_constraints:
    experiment="[a-z0-9-]+",
    regularisation="[a-z0-9-]+",
    evaluation="static|dynamic",


# nodes of a cluster seldom reach the internet
localrules:
    fetch,


include: "workflow/rules/common.smk"
include: "workflow/rules/corpora.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/evaluations.smk"
include: "workflow/rules/samples.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


rule:
    name:
        "reproduce-all"
    default_target: True
    input:
        MADE.all(),
    message:
        f"everything is in {RESULTS}; open {RESULTS}/report.html"


# a finished state is kept until here, so that a job that fails after its training costs seconds
STATES, MODELS = f"{RESULTS}/state", f"{RESULTS}/models"
RELEASE = "python -m pipeline.release_states --states {STATES:q} --models {MODELS:q}"


onsuccess:
    if Path(STATES).exists():
        shell(RELEASE)
    page = (
        f"; open {RESULTS}/report.html"
        if Path(RESULTS, "report.html").exists()
        else ""
    )
    print(f"All that was asked for is in {RESULTS}/{page}", file=sys.stderr)


onerror:
    if Path(STATES).exists():
        shell(RELEASE)
