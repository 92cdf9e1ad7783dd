"""Raw data to Parquet: dumps and archives are fetched, supplied by the user, or generated in the same formats.

Corpora come before the trainings that only need one of them, so that the longest chain, synthesis, can start early.
"""

from rnngen.corpora.handwriting.own_files import holds_ink
from rnngen.corpora.sources import path_of, sources

DATA = config["data"]
WIKIPEDIA = config["corpora"]["wikipedia"]
TREEBANK = config["corpora"]["treebank"]
FETCHED = {
    str(path_of(name, DATA)): name
    for name, s in sources().items()
    if s.kind != "registration"
}
SUPPLIED = {
    "treebank": "the Penn Treebank's ptb.train.txt, ptb.valid.txt and ptb.test.txt, plain or in simple-examples.tgz (python -m pipeline.fetch penn-treebank-train penn-treebank-validation penn-treebank-test --folder data/raw/penn-treebank)",
    "handwriting": "IAM-OnDB's lineStrokes-all.tar.gz, ascii-all.tar.gz and split lists, which need a registration",
}


def locate(path):
    """What the user supplies, file or folder: on this disk, or where an address such as s3://bucket/name says."""
    scheme, mark, _ = path.partition("://")
    return getattr(storage, scheme)(path) if mark else local(path)


def require_folder(corpus):
    """The folder of a corpus that the user supplies; asked only by a rule that needs it."""
    folder = config["corpora"][corpus]["folder"]
    if "://" not in folder and not Path(folder).exists():
        sys.exit(
            f"error: corpora.{corpus}.folder: no {folder}; put {SUPPLIED[corpus]} there (docs/data.md says where from)"
        )
    return locate(folder)


def dumps(wildcards):
    """The dumps of Wikipedia: downloaded, or the user's own."""
    for dump in WIKIPEDIA["dumps"]:
        if dump not in sources() and "://" not in dump and not Path(dump).exists():
            sys.exit(
                f"error: corpora.wikipedia.dumps: no file {dump}; give the path of a dump, or one of {', '.join(sources())}"
            )
    return [
        str(path_of(dump, DATA)) if dump in sources() else locate(dump)
        for dump in WIKIPEDIA["dumps"]
    ]


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
        "python -m pipeline.fetch {params.name:q} --folder {params.folder:q} > {log:q} 2>&1"


if len(WIKIPEDIA["dumps"]) == 1:

    rule parse_wikipedia:
        input:
            dumps,
        output:
            corpus=f"{RESULTS}/corpora/wikipedia.parquet",
            quality=f"{RESULTS}/corpora/wikipedia.quality.json",
            readable=f"{RESULTS}/corpora/wikipedia.quality.md",
        log:
            f"{RESULTS}/logs/parse_wikipedia.log",
        benchmark:
            f"{RESULTS}/benchmarks/parse_wikipedia.tsv"
        threads: 2
        resources:
            mem_mb=1000,
        params:
            truncated=["--allow-truncated"] * WIKIPEDIA["allow_truncated"],
        message:
            "parse {input}"
        shell:
            "python -m pipeline.parse_wikipedia {input:q} --output {output.corpus:q} {params.truncated:q}"
            " --workers {threads} > {log:q} 2>&1"

else:

    rule parse_dump:
        input:
            lambda w: dumps(w)[int(w.part)],
        output:
            corpus=temp(f"{RESULTS}/corpora/wikipedia/{{part}}.parquet"),
            quality=temp(f"{RESULTS}/corpora/wikipedia/{{part}}.quality.json"),
            readable=temp(f"{RESULTS}/corpora/wikipedia/{{part}}.quality.md"),
        log:
            f"{RESULTS}/logs/parse_dump/{{part}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/parse_dump/{{part}}.tsv"
        wildcard_constraints:
            part="[0-9]+",
        threads: 2
        resources:
            mem_mb=1000,
        params:
            truncated=["--allow-truncated"] * WIKIPEDIA["allow_truncated"],
        message:
            "parse {input}"
        shell:
            "python -m pipeline.parse_wikipedia {input:q} --part {wildcards.part:q} --output {output.corpus:q}"
            " {params.truncated:q} --workers {threads} > {log:q} 2>&1"

    # the same file as from all dumps in one process: row groups are copied, and ids compared across dumps
    rule gather_wikipedia:
        input:
            [
                f"{RESULTS}/corpora/wikipedia/{part}.parquet"
                for part in range(len(WIKIPEDIA["dumps"]))
            ],
        output:
            corpus=f"{RESULTS}/corpora/wikipedia.parquet",
            quality=f"{RESULTS}/corpora/wikipedia.quality.json",
            readable=f"{RESULTS}/corpora/wikipedia.quality.md",
        log:
            f"{RESULTS}/logs/gather_wikipedia.log",
        benchmark:
            f"{RESULTS}/benchmarks/gather_wikipedia.tsv"
        threads: 1
        resources:
            mem_mb=1000,
        message:
            "join {input}"
        shell:
            "python -m pipeline.gather_wikipedia {input:q} --output {output.corpus:q} > {log:q} 2>&1"


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
            "python -m pipeline.derive_treebank --text {input:q} --train {params.train:q}"
            " --validation {params.validation:q} --test {params.test:q} --vocabulary {params.vocabulary:q}"
            " --seed {params.seed:q} --output {output:q} > {log:q} 2>&1"


rule parse_treebank:
    input:
        lambda w: (
            require_folder("treebank")
            if TREEBANK["folder"]
            else f"{RESULTS}/raw/treebank"
        ),
    output:
        corpus=f"{RESULTS}/corpora/treebank.parquet",
        quality=f"{RESULTS}/corpora/treebank.quality.json",
        readable=f"{RESULTS}/corpora/treebank.quality.md",
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
        "python -m pipeline.parse_treebank {input:q} --output {output.corpus:q} > {log:q} 2>&1"


if HANDWRITING["folder"] is None:

    rule generate_handwriting:
        input:
            text=f"{RESULTS}/corpora/wikipedia.parquet",
            # words that no generated line holds, so that the networks can be asked to write what they have never seen
            held_out=local(HELD_OUT),
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
            characters=["--ascii"] * (not HANDWRITING["diacritics"]),
            clock=["--uneven-clock"] * (HANDWRITING["clock"] == "uneven"),
            seed=config["seed"],
        message:
            "write {params.lines} lines by hand"
        shell:
            "python -m pipeline.generate_handwriting --text {input.text:q} --held-out {input.held_out:q} --lines {params.lines:q}"
            " --writers {params.writers:q} --variety {params.variety:q} --shortest {params.shortest:q} --longest {params.longest:q} --seed {params.seed:q}"
            " {params.characters:q} {params.clock:q} --output {output:q} > {log:q} 2>&1"


if HANDWRITING["folder"] is not None and holds_ink(HANDWRITING["folder"]):

    rule import_ink:
        input:
            HANDWRITING["folder"],
        output:
            corpus=f"{RESULTS}/corpora/handwriting.parquet",
            quality=f"{RESULTS}/corpora/handwriting.quality.json",
            readable=f"{RESULTS}/corpora/handwriting.quality.md",
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
            "python -m pipeline.import_ink {input:q} --output {output.corpus:q} > {log:q} 2>&1"

else:

    rule parse_iamondb:
        input:
            lambda w: (
                require_folder("handwriting")
                if HANDWRITING["folder"]
                else f"{RESULTS}/raw/handwriting"
            ),
        output:
            corpus=f"{RESULTS}/corpora/handwriting.parquet",
            quality=f"{RESULTS}/corpora/handwriting.quality.json",
            readable=f"{RESULTS}/corpora/handwriting.quality.md",
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
            "python -m pipeline.parse_iamondb {input:q} --output {output.corpus:q} > {log:q} 2>&1"
