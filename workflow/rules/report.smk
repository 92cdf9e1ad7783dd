"""Tables and the page that shows everything."""


rule make_table:
    input:
        evaluations=lambda w: [
            path for name in MADE.tables[w.table] for path in MADE.evaluations(name)
        ],
        code=code(
            "pipeline/make_table.py",
            "pipeline/paper/numbers.toml",
            "pipeline/paper/tables.toml",
        ),
    output:
        csv=report(
            f"{RESULTS}/tables/{{table}}.csv",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
        md=f"{RESULTS}/tables/{{table}}.md",
    log:
        f"{RESULTS}/logs/make_table/{{table}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/make_table/{{table}}.tsv"
    wildcard_constraints:
        table="table[1-4]|sweep-[a-z0-9-]+",
    threads: 1
    resources:
        mem_mb=500,
    params:
        evaluations=lambda w, input: str(Path(input.evaluations[0]).parents[1]),
        experiments=lambda w: json.dumps(
            {name: MADE.all_rows(name) for name in MADE.tables[w.table]}
        ),
        preset=config["preset"],
        data=lambda w: MADE.foreign_data(MADE.tables[w.table]),
        sweep=lambda w: MADE.described_sweep(w.table),
    message:
        "{wildcards.table}: ours beside the paper's"
    shell:
        "python -m pipeline.make_table --table {wildcards.table:q} --evaluations {params.evaluations:q}"
        " --experiments {params.experiments:q} --preset {params.preset:q} --data {params.data:q} {params.sweep:q} --csv {output.csv:q} --md {output.md:q} > {log:q} 2>&1"


rule sample_biases:
    input:
        weights=lambda w: f"{MADE.writer('synthesis')}/weights.safetensors",
        description=lambda w: f"{MADE.writer('synthesis')}/config.json",
    output:
        f"{RESULTS}/samples/biases.parquet",
    log:
        f"{RESULTS}/logs/sample_biases.log",
    benchmark:
        f"{RESULTS}/benchmarks/sample_biases.tsv"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        folder=lambda w, input: input.weights.rpartition("/")[0],
        biases=options("--bias", (0, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10)),
        end=config["samples"]["handwriting"]["end"],
        seed=config["seed"],
    message:
        "one text at every bias, for the slider of the report"
    shell:
        "python -m pipeline.sample_handwriting --model {params.folder:q} --text 'easier to read' {params.biases:q}"
        " --samples 3 --end {params.end:q} --seed {params.seed:q} --output {output:q} > {log:q} 2>&1"


rule make_report:
    input:
        tables=[f"{RESULTS}/tables/{table}.csv" for table in MADE.tables],
        curves=[f"{RESULTS}/figures/curves.{name}.svg" for name in MADE.experiments],
        models=[
            f"{MADE.model(name, row)}/{file}"
            for name in MADE.experiments
            for row in MADE.all_rows(name)
            for file in ("config.json", "run.json", "log.parquet")
        ],
        network=[
            f"{MADE.model(name, MADE.rows(name)[-1])}/weights.safetensors"
            for name in MADE.synthesis[:1]
        ],
        evaluations=[
            path.removesuffix("json") + kind
            for name in MADE.experiments
            for path in MADE.evaluations(name)
            for kind in ("json", "run.json", "surprisal.parquet")
        ],
        lines=MADE.drawn_from(),
        samples=[
            f"{RESULTS}/samples/{name}/{MADE.rows(name)[-1]}.txt" for name in MADE.text
        ],
        baselines=[
            f"{RESULTS}/evaluations/{name}/compressors.json" for name in MADE.text
        ],
        figures=MADE.pictures(),
        legibility=[f"{RESULTS}/evaluations/legibility.json"] * bool(MADE.figures),
        biases=[f"{RESULTS}/samples/biases.parquet" for name in MADE.synthesis[-1:]],
        styles=[
            f"{RESULTS}/corpora/handwriting.parquet" for name in MADE.synthesis[-1:]
        ],
        code=code(
            "pipeline/make_report.py",
            "pipeline/report",
            "pipeline/paper",
            "rnngen/web",
        ),
    output:
        page=report(
            f"{RESULTS}/report.html", caption="../report/report.rst", category="Report"
        ),
        run=f"{RESULTS}/report.run.json",
    log:
        f"{RESULTS}/logs/make_report.log",
    benchmark:
        f"{RESULTS}/benchmarks/make_report.tsv"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        results=lambda w, output: str(Path(output[0]).parent),
        experiments=json.dumps(MADE.described_experiments()),
        preset=config["preset"],
        configfiles=options(
            "--configfile", map(as_typed, workflow.overwrite_configfiles)
        ),
    message:
        "the report"
    shell:
        "python -m pipeline.make_report --results {params.results:q} --experiments {params.experiments:q}"
        " --preset {params.preset:q} {params.configfiles:q} --output {output.page:q} > {log:q} 2>&1"
