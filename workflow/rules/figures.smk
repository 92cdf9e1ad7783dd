"""Pictures, each from its own data artifact: a changed setting here never retrains."""


rule draw_learning_curves:
    input:
        logs=lambda w: [
            f"{MADE.model(w.experiment, row)}/log.parquet"
            for row in MADE.rows(w.experiment)
        ],
        code=code("pipeline/draw_learning_curves.py"),
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
        names=lambda w: " ".join(MADE.rows(w.experiment)),
        width=config["figures"]["width"],
        unit=lambda w: EXPERIMENTS[w.experiment].get("unit", "point"),
    message:
        "learning curves of {wildcards.experiment}"
    shell:
        "python -m pipeline.draw_learning_curves {input.logs:q} --names {params.names:q} --unit {params.unit:q}"
        " --title {wildcards.experiment:q} --width {params.width:q} --svg {output.svg:q} --png {output.png:q} > {log:q} 2>&1"


rule draw_figure:
    input:
        data=lambda w: f"{RESULTS}/{MADE.figures[w.figure]['data']}",
        code=lambda w: code(f"pipeline/{MADE.figures[w.figure]['draw']}.py"),
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
        module=lambda w: MADE.figures[w.figure]["draw"],
        options=lambda w: MADE.figures[w.figure].get("options", []),
        training=lambda w: (
            options("--training", HANDWRITING["training"])
            if MADE.figures[w.figure]["draw"] == "draw_training_lines"
            else []
        ),
        width=config["figures"]["width"],
    message:
        "draw {wildcards.figure}"
    shell:
        "python -m pipeline.{params.module:q} {input.data:q} {params.options:q} {params.training:q} --width {params.width:q}"
        " --svg {output.svg:q} --png {output.png:q} > {log:q} 2>&1"
