"""Pictures, each from its own data artifact: a changed setting here never retrains."""


rule draw_learning_curves:
    input:
        logs=lambda w: [f"{model(w.experiment, r)}/log.parquet" for r in rows(w.experiment)],
    output:
        svg=f"{RESULTS}/figures/curves.{{experiment}}.svg",
        png=f"{RESULTS}/figures/curves.{{experiment}}.png",
    params:
        names=lambda w: rows(w.experiment),
        width=config["figures"]["width"],
        unit=lambda w: EXPERIMENTS[w.experiment].get("unit", "point"),
    log:
        f"{RESULTS}/logs/draw_learning_curves/{{experiment}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_learning_curves/{{experiment}}.tsv"
    message:
        "learning curves of {wildcards.experiment}"
    threads: 1
    resources:
        mem_mb=1000,
    shell:
        "python -m pipeline.draw_learning_curves {input.logs} --names '{params.names}' --unit {params.unit}"
        " --title {wildcards.experiment} --width {params.width} --svg {output.svg} --png {output.png} > {log} 2>&1"
