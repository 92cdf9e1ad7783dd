"""Raw data to Parquet: dumps and archives are fetched, supplied by the user, or generated in the same formats.

Corpora come before the trainings that only need one of them, so that the longest chain, synthesis, can start early.
"""


rule fetch:
    output:
        f"{DATA}/{{file}}",
    log:
        f"{RESULTS}/logs/fetch/{{file}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fetch/{{file}}.tsv"
    wildcard_constraints:
        file="|".join(re.escape(Path(path).name) for path in FETCHED),
    retries: 1
    threads: 1
    resources:
        mem_mb=500,
    params:
        name=lambda w: FETCHED.get(f"{DATA}/{w.file}", w.file),
        folder=lambda w, output: str(Path(output[0]).parent),
    message:
        "fetch {params.name}"
    shell:
        "python -m pipeline.fetch {params.name} --folder {params.folder} > {log} 2>&1"


rule parse_wikipedia:
    input:
        [str(path_of(dump, DATA)) for dump in WIKIPEDIA["dumps"]],
    output:
        corpus=f"{RESULTS}/corpora/wikipedia.parquet",
        quality=f"{RESULTS}/corpora/wikipedia.quality.json",
    log:
        f"{RESULTS}/logs/parse_wikipedia.log",
    benchmark:
        f"{RESULTS}/benchmarks/parse_wikipedia.tsv"
    threads: 2
    resources:
        mem_mb=1000,
    params:
        truncated="--allow-truncated" if WIKIPEDIA["allow_truncated"] else "",
    message:
        "parse {input}"
    shell:
        "python -m pipeline.parse_wikipedia {input} --output {output.corpus} {params.truncated}"
        " --workers {threads} > {log} 2>&1"


if TREEBANK["folder"] is None:

    rule derive_treebank:
        input:
            f"{RESULTS}/corpora/wikipedia.parquet",
        output:
            directory(f"{RESULTS}/raw/treebank"),
        log:
            f"{RESULTS}/logs/derive_treebank.log",
        benchmark:
            f"{RESULTS}/benchmarks/derive_treebank.tsv"
        priority: 20
        threads: 1
        resources:
            mem_mb=1000,
        params:
            train=TREEBANK["train_characters"],
            validation=TREEBANK["validation_characters"],
            test=TREEBANK["test_characters"],
            vocabulary=TREEBANK["vocabulary"],
            seed=config["seed"],
        message:
            "derive a treebank-style corpus from the articles"
        shell:
            "python -m pipeline.derive_treebank --text {input} --train {params.train}"
            " --validation {params.validation} --test {params.test} --vocabulary {params.vocabulary}"
            " --seed {params.seed} --output {output} > {log} 2>&1"


rule parse_treebank:
    input:
        TREEBANK["folder"] or f"{RESULTS}/raw/treebank",
    output:
        corpus=f"{RESULTS}/corpora/treebank.parquet",
        quality=f"{RESULTS}/corpora/treebank.quality.json",
    log:
        f"{RESULTS}/logs/parse_treebank.log",
    benchmark:
        f"{RESULTS}/benchmarks/parse_treebank.tsv"
    priority: 20
    threads: 1
    resources:
        mem_mb=1000,
    message:
        "parse {input}"
    shell:
        "python -m pipeline.parse_treebank {input} --output {output.corpus} > {log} 2>&1"


if HANDWRITING["folder"] is None:

    rule generate_handwriting:
        input:
            text=f"{RESULTS}/corpora/wikipedia.parquet",
            # words of no generated line, so that the networks can be asked to write what they have never seen
            held_out=HELD_OUT,
        output:
            directory(f"{RESULTS}/raw/handwriting"),
        log:
            f"{RESULTS}/logs/generate_handwriting.log",
        benchmark:
            f"{RESULTS}/benchmarks/generate_handwriting.tsv"
        priority: 20
        threads: 1
        resources:
            mem_mb=1000,
        params:
            lines=HANDWRITING["lines"],
            writers=HANDWRITING["writers"],
            variety=HANDWRITING["variety"],
            shortest=HANDWRITING["characters"][0],
            longest=HANDWRITING["characters"][1],
            seed=config["seed"],
        message:
            "write {params.lines} lines by hand"
        shell:
            "python -m pipeline.generate_handwriting --text {input.text} --held-out {input.held_out} --lines {params.lines}"
            " --writers {params.writers} --variety {params.variety} --shortest {params.shortest} --longest {params.longest} --seed {params.seed}"
            " --output {output} > {log} 2>&1"


if HANDWRITING["folder"] is not None and holds_ink(HANDWRITING["folder"]):

    rule import_ink:
        input:
            HANDWRITING["folder"],
        output:
            corpus=f"{RESULTS}/corpora/handwriting.parquet",
            quality=f"{RESULTS}/corpora/handwriting.quality.json",
        log:
            f"{RESULTS}/logs/import_ink.log",
        benchmark:
            f"{RESULTS}/benchmarks/import_ink.tsv"
        priority: 20
        threads: 1
        resources:
            mem_mb=1000,
        message:
            "import {input}"
        shell:
            "python -m pipeline.import_ink {input} --output {output.corpus} > {log} 2>&1"

else:

    rule parse_iamondb:
        input:
            HANDWRITING["folder"] or f"{RESULTS}/raw/handwriting",
        output:
            corpus=f"{RESULTS}/corpora/handwriting.parquet",
            quality=f"{RESULTS}/corpora/handwriting.quality.json",
        log:
            f"{RESULTS}/logs/parse_iamondb.log",
        benchmark:
            f"{RESULTS}/benchmarks/parse_iamondb.tsv"
        priority: 20
        threads: 1
        resources:
            mem_mb=1000,
        message:
            "parse {input}"
        shell:
            "python -m pipeline.parse_iamondb {input} --output {output.corpus} > {log} 2>&1"
