"""Pictures, each from its own data artifact: a changed setting here never retrains."""


rule draw_learning_curves:
    input:
        logs=lambda w: [f"{model(w.experiment, r)}/log.parquet" for r in rows(w.experiment)],
    output:
        svg=report(
            f"{RESULTS}/figures/curves.{{experiment}}.svg",
            caption="../report/curves.rst",
            category="Learning curves",
            labels={"experiment": "{experiment}"},
        ),
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


FIGURES = {
    # figure: (module, its data, its options)
    "fig09": (
        "draw_training_lines",
        f"{RESULTS}/corpora/handwriting.parquet",
        "".join(f" --training {name}" for name in HANDWRITING["training"]),
    ),
    "fig10": ("draw_densities", f"{RESULTS}/samples/handwriting/trace.prediction.parquet", ""),
    "fig11": ("draw_samples", f"{RESULTS}/samples/handwriting/fig11.parquet", ""),
    "fig13": ("draw_window", f"{RESULTS}/samples/handwriting/trace.synthesis.parquet", ""),
    "fig14": ("draw_densities", f"{RESULTS}/samples/handwriting/trace.synthesis.parquet", ""),
    "fig15": ("draw_samples", f"{RESULTS}/samples/handwriting/fig15.parquet", ""),
    "fig16": ("draw_samples", f"{RESULTS}/samples/handwriting/fig16.parquet", "--labels bias"),
    "fig17": ("draw_samples", f"{RESULTS}/samples/handwriting/fig17.parquet", ""),
} | {
    name: ("draw_samples", f"{RESULTS}/samples/handwriting/{name}.parquet", "--captions")
    for name in ("fig18", "fig19", "fig20", "fig21")
}


def figures():
    """The handwriting figures that the configuration's experiments allow."""
    kinds = {EXPERIMENTS[name]["kind"] for name in PEN}
    if not kinds:
        return []
    return [
        f"{RESULTS}/figures/{name}.svg"
        for name in FIGURES
        if name == "fig09" or KIND_OF_FIGURE.get(name, "synthesis") in kinds
    ]


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
    params:
        module=lambda w: FIGURES[w.figure][0],
        options=lambda w: FIGURES[w.figure][2],
        width=config["figures"]["width"],
    wildcard_constraints:
        figure="fig[0-9]+",
    log:
        f"{RESULTS}/logs/draw_figure/{{figure}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_figure/{{figure}}.tsv"
    message:
        "draw {wildcards.figure}"
    threads: 1
    resources:
        mem_mb=1000,
    shell:
        "python -m pipeline.{params.module} {input} {params.options} --width {params.width}"
        " --svg {output.svg} --png {output.png} > {log} 2>&1"
