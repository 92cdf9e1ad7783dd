"""One training a rule instance; each row of an experiment starts from the weights of the row before it."""

import json
import shutil

from pipeline.experiment import training_settings

GPUS = int(config["device"] == "cuda" or (config["device"] == "auto" and shutil.which("nvidia-smi") is not None))


def rows(experiment):
    """The rows (regularisations) of an experiment, in the order of the configuration."""
    return list(EXPERIMENTS[experiment]["regularisations"])


def model(experiment, regularisation):
    return f"{RESULTS}/models/{experiment}/{regularisation}"


def parent_of(wildcards):
    """The weights a row starts from; none for the first of the chain."""
    row = EXPERIMENTS[wildcards.experiment]["regularisations"][wildcards.regularisation]
    return f"{model(wildcards.experiment, row['from'])}/weights.safetensors" if "from" in row else []


def corpus_of(wildcards):
    return f"{RESULTS}/corpora/{EXPERIMENTS[wildcards.experiment]['corpus']}.parquet"


rule train:
    input:
        corpus=corpus_of,
        parent=parent_of,
    output:
        weights=f"{RESULTS}/models/{{experiment}}/{{regularisation}}/weights.safetensors",
        description=f"{RESULTS}/models/{{experiment}}/{{regularisation}}/config.json",
        log=f"{RESULTS}/models/{{experiment}}/{{regularisation}}/log.parquet",
    params:
        settings=lambda w: json.dumps(training_settings(config, w.experiment, w.regularisation)),
        folder=lambda w: model(w.experiment, w.regularisation),
        # not an output: it must outlive a job that fails or is interrupted, so that the next one goes on from it
        state=lambda w: f"{RESULTS}/state/{w.experiment}/{w.regularisation}",
        initial=lambda w, input: f"--initial {input.parent.rpartition('/')[0]}" if input.parent else "",
    log:
        f"{RESULTS}/logs/train/{{experiment}}.{{regularisation}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{experiment}}.{{regularisation}}.tsv"
    message:
        "train {wildcards.experiment}, {wildcards.regularisation}"
    threads: config["threads"]
    resources:
        gpu=GPUS,
        mem_mb=4000,
    priority: 10
    shell:
        "python -m pipeline.train --settings {params.settings:q} --corpus {input.corpus} --output {params.folder}"
        " --state {params.state} {params.initial} 2>&1 | tee {log}"
