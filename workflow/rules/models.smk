"""One training per job; each row of an experiment starts from the weights of the row before it."""

from pipeline._settings import training_settings


rule train:
    input:
        corpus=corpus_of,
        parent=lambda w: MADE.parent(w.experiment, w.regularisation),
    output:
        weights=f"{RESULTS}/models/{{experiment}}/{{regularisation}}/weights.safetensors",
        optimiser=f"{RESULTS}/models/{{experiment}}/{{regularisation}}/optimiser.safetensors",
        description=f"{RESULTS}/models/{{experiment}}/{{regularisation}}/config.json",
        log=f"{RESULTS}/models/{{experiment}}/{{regularisation}}/log.parquet",
        run=f"{RESULTS}/models/{{experiment}}/{{regularisation}}/run.json",
    log:
        f"{RESULTS}/logs/train/{{experiment}}.{{regularisation}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{experiment}}.{{regularisation}}.tsv"
    wildcard_constraints:
        experiment="|".join(name for name in EXPERIMENTS if name not in MADE.synthesis)
        or "(?!)",
    priority: 10
    threads: config["threads"] * PROCESSES
    resources:
        gpu=GPUS,
        mem_mb=2500 * PROCESSES,
    params:
        settings=lambda w: json.dumps(
            {
                key: value
                for key, value in training_settings(
                    config, w.experiment, w.regularisation
                ).items()
                # no parameters of the rule: another machine is no reason to train again
                if key not in ("threads", "device")
            }
        ),
        folder=lambda w, output: str(Path(output.weights).parent),
        # not an output: it must outlive a job that fails or is interrupted, so that the next job goes on from it
        state=lambda w: f"{RESULTS}/state/{w.experiment}/{w.regularisation}",
        initial=lambda w, input: (
            ["--initial", input.parent[0].rpartition("/")[0]] if input.parent else []
        ),
    message:
        "train {wildcards.experiment}, {wildcards.regularisation}"
    shell:
        # --wait: a killed run may have left this very training behind, alive
        # the training decides, whatever becomes of the log; tee outlives Ctrl-C, so that the state can be saved
        "{TRAIN:q} pipeline.train --settings {params.settings:q} --threads {threads} --device {config[device]:q}"
        " --corpus {input.corpus:q} --output {params.folder:q} --state {params.state:q} {params.initial:q} --wait"
        " 2>&1 | tee -i {log:q} || exit ${{PIPESTATUS[0]}}"


# the longest chain of trainings starts first, so that the others fill the cores beside it
use rule train as train_synthesis with:
    wildcard_constraints:
        experiment="|".join(MADE.synthesis) or "(?!)",
    priority: 20
