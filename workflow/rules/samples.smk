"""What the networks write."""


rule sample_text:
    input:
        corpus=corpus_of,
        weights=f"{RESULTS}/models/{{experiment}}/{{regularisation}}/weights.safetensors",
        description=f"{RESULTS}/models/{{experiment}}/{{regularisation}}/config.json",
    output:
        sample=f"{RESULTS}/samples/{{experiment}}/{{regularisation}}.txt",
        extract=f"{RESULTS}/samples/{{experiment}}/{{regularisation}}.real.txt",
    log:
        f"{RESULTS}/logs/sample_text/{{experiment}}.{{regularisation}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sample_text/{{experiment}}.{{regularisation}}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        folder=lambda w, input: str(Path(input.weights).parent),
        symbols=config["samples"]["text"]["symbols"],
        temperature=config["samples"]["text"]["temperature"],
        prime=["--prime", PRIME] if PRIME else [],
        seed=config["seed"],
    message:
        "text from {wildcards.experiment}, {wildcards.regularisation}"
    shell:
        "python -m pipeline.sample_text --model {params.folder:q} --corpus {input.corpus:q} --symbols {params.symbols:q}"
        " --temperature {params.temperature:q} {params.prime:q} --seed {params.seed:q}"
        " --output {output.sample:q} --extract {output.extract:q} > {log:q} 2>&1"


rule sample_handwriting:
    input:
        corpus=f"{RESULTS}/corpora/handwriting.parquet",
        weights=lambda w: f"{MADE.writer(MADE.figures[w.figure]['network'])}/weights.safetensors",
        description=lambda w: f"{MADE.writer(MADE.figures[w.figure]['network'])}/config.json",
    output:
        f"{RESULTS}/samples/handwriting/{{figure}}.parquet",
    log:
        f"{RESULTS}/logs/sample_handwriting/{{figure}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sample_handwriting/{{figure}}.tsv"
    wildcard_constraints:
        figure="|".join(
            name for name, figure in MADE.figures.items() if "lines" in figure
        )
        or "(?!)",
    threads: 1
    resources:
        mem_mb=2000,
    params:
        folder=lambda w, input: str(Path(input.weights).parent),
        what=lambda w: ["--figure", w.figure.removeprefix("fig")],
        lines=lambda w: json.dumps(MADE.figures[w.figure]["lines"]),  # if they change, the samples are made again
        end=config["samples"]["handwriting"]["end"],
        seed=config["seed"],
    message:
        "write the lines of {wildcards.figure}"
    shell:
        "python -m pipeline.sample_handwriting --model {params.folder:q} --corpus {input.corpus:q} {params.what:q}"
        " --end {params.end:q} --seed {params.seed:q} --output {output:q} > {log:q} 2>&1"


use rule sample_handwriting as sample_held_out_texts with:
    input:
        corpus=f"{RESULTS}/corpora/handwriting.parquet",
        weights=lambda w: f"{MADE.writer('synthesis')}/weights.safetensors",
        description=lambda w: f"{MADE.writer('synthesis')}/config.json",
    output:
        f"{RESULTS}/samples/handwriting/held_out.parquet",
    log:
        f"{RESULTS}/logs/sample_handwriting/held_out.log",
    benchmark:
        f"{RESULTS}/benchmarks/sample_handwriting/held_out.tsv"
    params:
        folder=lambda w, input: str(Path(input.weights).parent),
        lines=None,
        what=[
            "--samples",
            config["samples"]["handwriting"]["legibility_samples"],
            *options("--bias", config["samples"]["handwriting"]["legibility_biases"]),
            *options(
                "--text", Path(HELD_OUT).read_text(encoding="utf-8").splitlines()
            ),
        ],
        end=config["samples"]["handwriting"]["end"],
        seed=config["seed"],
    message:
        "write texts with words that no training line holds"


rule measure_legibility:
    input:
        corpus=f"{RESULTS}/corpora/handwriting.parquet",
        samples=f"{RESULTS}/samples/handwriting/held_out.parquet",
    output:
        f"{RESULTS}/evaluations/legibility.json",
    log:
        f"{RESULTS}/logs/measure_legibility.log",
    benchmark:
        f"{RESULTS}/benchmarks/measure_legibility.tsv"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        every=HANDWRITING["every"],
        updates=config["samples"]["handwriting"]["reader_updates"],
        seed=config["seed"],
    message:
        "read the samples with a network trained on the corpus's other lines"
    shell:
        "python -m pipeline.measure_legibility --corpus {input.corpus:q} --samples {input.samples:q} --every {params.every:q}"
        " --updates {params.updates:q} --seed {params.seed:q} --output {output:q} > {log:q} 2>&1"


rule trace_handwriting:
    input:
        corpus=f"{RESULTS}/corpora/handwriting.parquet",
        weights=lambda w: f"{MADE.writer(w.kind)}/weights.safetensors",
        description=lambda w: f"{MADE.writer(w.kind)}/config.json",
    output:
        f"{RESULTS}/samples/handwriting/trace.{{kind}}.parquet",
    log:
        f"{RESULTS}/logs/trace_handwriting/{{kind}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/trace_handwriting/{{kind}}.tsv"
    wildcard_constraints:
        kind="prediction|synthesis",
    threads: 1
    resources:
        mem_mb=2000,
    params:
        folder=lambda w, input: str(Path(input.weights).parent),
    message:
        "follow a {wildcards.kind} network along a real line"
    shell:
        "python -m pipeline.trace_handwriting --model {params.folder:q} --corpus {input.corpus:q} --output {output:q}"
        " > {log:q} 2>&1"
