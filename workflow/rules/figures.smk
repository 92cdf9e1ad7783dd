"""Pictures, each from its own data artifact: a changed setting here never retrains."""


rule draw_learning_curves:
    input:
        logs=lambda w: [
            f"{model(w.experiment, r)}/log.parquet" for r in rows(w.experiment)
        ],
    output:
        svg=report(
            f"{RESULTS}/figures/curves.{{experiment}}.svg",
            caption="../report/curves.rst",
            category="Learning curves",
            labels={"experiment": "{experiment}"},
        ),
        png=f"{RESULTS}/figures/curves.{{experiment}}.png",
    log:
        f"{RESULTS}/logs/draw_learning_curves/{{experiment}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_learning_curves/{{experiment}}.tsv"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        names=lambda w: " ".join(rows(w.experiment)),
        width=config["figures"]["width"],
        unit=lambda w: EXPERIMENTS[w.experiment].get("unit", "point"),
    message:
        "learning curves of {wildcards.experiment}"
    shell:
        "python -m pipeline.draw_learning_curves {input.logs:q} --names {params.names:q} --unit {params.unit:q}"
        " --title {wildcards.experiment:q} --width {params.width:q} --svg {output.svg:q} --png {output.png:q} > {log:q} 2>&1"


rule draw_figure:
    input:
        lambda w: FIGURES[w.figure][1],
    output:
        svg=report(
            f"{RESULTS}/figures/{{figure}}.svg",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        png=f"{RESULTS}/figures/{{figure}}.png",
    log:
        f"{RESULTS}/logs/draw_figure/{{figure}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_figure/{{figure}}.tsv"
    wildcard_constraints:
        figure="fig[0-9]+",
    threads: 1
    resources:
        mem_mb=1000,
    params:
        module=lambda w: FIGURES[w.figure][0],
        options=lambda w: FIGURES[w.figure][2],
        width=config["figures"]["width"],
    message:
        "draw {wildcards.figure}"
    shell:
        "python -m pipeline.{params.module:q} {input:q} {params.options:q} --width {params.width:q}"
        " --svg {output.svg:q} --png {output.png:q} > {log:q} 2>&1"
