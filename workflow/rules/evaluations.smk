"""Losses on held-out data, static and dynamic, and what general compressors make of it."""

from pipeline._settings import reading_settings


rule evaluate:
    input:
        corpus=corpus_of,
        weights=f"{RESULTS}/models/{{experiment}}/{{regularisation}}/weights.safetensors",
        description=f"{RESULTS}/models/{{experiment}}/{{regularisation}}/config.json",
    output:
        measures=f"{RESULTS}/evaluations/{{experiment}}/{{regularisation}}.{{evaluation}}.json",
        run=f"{RESULTS}/evaluations/{{experiment}}/{{regularisation}}.{{evaluation}}.run.json",
        surprisal=f"{RESULTS}/evaluations/{{experiment}}/{{regularisation}}.{{evaluation}}.surprisal.parquet",
    log:
        f"{RESULTS}/logs/evaluate/{{experiment}}.{{regularisation}}.{{evaluation}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{experiment}}.{{regularisation}}.{{evaluation}}.tsv"
    threads: config["threads"]
    resources:
        gpu=GPUS,
        mem_mb=2500,
    params:
        folder=lambda w, input: str(Path(input.weights).parent),
        dynamic=lambda w: json.dumps(
            EXPERIMENTS[w.experiment].get("dynamic")
            if w.evaluation == "dynamic"
            else None
        ),
        extract=config["samples"]["text"]["extract"],
    message:
        "evaluate {wildcards.experiment}, {wildcards.regularisation}, {wildcards.evaluation}"
    shell:
        "python -m pipeline.evaluate --model {params.folder:q} --corpus {input.corpus:q} --dynamic {params.dynamic:q}"
        " --extract {params.extract:q} --output {output.measures:q} > {log:q} 2>&1"


rule measure_baselines:
    input:
        corpus=corpus_of,
    output:
        f"{RESULTS}/evaluations/{{experiment}}/compressors.json",
    log:
        f"{RESULTS}/logs/measure_baselines/{{experiment}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/measure_baselines/{{experiment}}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        settings=lambda w: json.dumps(reading_settings(config, w.experiment)),
    message:
        "compressors on the data of {wildcards.experiment}"
    shell:
        "python -m pipeline.measure_baselines --settings {params.settings:q} --corpus {input.corpus:q}"
        " --output {output:q} > {log:q} 2>&1"
