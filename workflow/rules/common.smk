"""What the rules share: names of artifacts, and what depends on what in the configuration."""

import json
import shutil
from pathlib import Path

from pipeline._settings import data_of, parent_of_training, reading_settings
from pipeline._settings import training_settings, trainings
from rnngen.corpora.handwriting.own_files import holds_ink
from rnngen.corpora.sources import path_of, sources

DATA = config["data"]
WIKIPEDIA = config["corpora"]["wikipedia"]
TREEBANK = config["corpora"]["treebank"]
HANDWRITING = config["corpora"]["handwriting"]
HELD_OUT = ours("workflow/held_out_texts.txt")
FETCHED = {
    str(path_of(name, DATA)): name
    for name, s in sources().items()
    if s.kind != "registration"
}
CONFIGFILES = [
    str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)
    for file in workflow.overwrite_configfiles
]
GPUS = int(
    config["device"] == "cuda"
    or (config["device"] == "auto" and shutil.which("nvidia-smi") is not None)
)

SUPPLIED = {
    "treebank": "the Penn Treebank's ptb.train.txt, ptb.valid.txt and ptb.test.txt, plain or in simple-examples.tgz (python -m pipeline.fetch penn-treebank-train penn-treebank-validation penn-treebank-test --folder data/raw/penn-treebank)",
    "handwriting": "IAM-OnDB's lineStrokes-all.tar.gz, ascii-all.tar.gz and split lists, which want a registration",
}


def supplied(corpus):
    """The folder of a corpus that the user supplies, None if it is made here; asked only by a rule that needs it."""
    folder = config["corpora"][corpus]["folder"]
    if folder is not None and "://" not in folder and not Path(folder).exists():
        sys.exit(
            f"error: corpora.{corpus}.folder: no {folder}; put {SUPPLIED[corpus]} there (docs/data.md says where from)"
        )
    return stored(folder)


def stored(path):
    """What the user supplies, file or folder: on this disk, or where an address such as s3://bucket/name says."""
    if path is None:
        return None
    scheme, mark, _ = path.partition("://")
    return getattr(storage, scheme)(path) if mark else local(path)


def dumps(wildcards):
    """The dumps of Wikipedia: to be fetched, or the user's own."""
    for dump in WIKIPEDIA["dumps"]:
        if dump not in sources() and "://" not in dump and not Path(dump).exists():
            sys.exit(
                f"error: corpora.wikipedia.dumps: no file {dump}; give the path of a dump, or one of {', '.join(sources())}"
            )
    return [
        str(path_of(dump, DATA)) if dump in sources() else stored(dump)
        for dump in WIKIPEDIA["dumps"]
    ]


def options(name, values):
    """An option of a command for each of several values, as a list that the rule quotes."""
    return [argument for value in values for argument in (name, value)]


def rows(experiment):
    """The rows (regularisations) of an experiment, in the order of the configuration: of several seeds the first."""
    return [names[0] for names in trainings(config, experiment).values()]


def all_rows(experiment):
    """The rows of an experiment with every seed."""
    return [name for names in trainings(config, experiment).values() for name in names]


def model(experiment, regularisation):
    return f"{RESULTS}/models/{experiment}/{regularisation}"


def parent_of(wildcards):
    """The weights a row starts from, and the optimiser's memory of them; none for the first of the chain."""
    parent = parent_of_training(config, wildcards.experiment, wildcards.regularisation)
    return (
        [
            f"{model(*parent)}/{name}"
            for name in ("weights.safetensors", "optimiser.safetensors", "config.json")
        ]
        if parent
        else []
    )


def corpus_of(wildcards):
    return f"{RESULTS}/corpora/{EXPERIMENTS[wildcards.experiment]['corpus']}.parquet"


def evaluations(experiment):
    """Every evaluation of an experiment: static for all, dynamic for text."""
    kinds = (
        ["static", "dynamic"]
        if EXPERIMENTS[experiment]["kind"] == "text"
        else ["static"]
    )
    return [
        f"{RESULTS}/evaluations/{experiment}/{regularisation}.{kind}.json"
        for regularisation in all_rows(experiment)
        for kind in kinds
    ]


def writer(kind):
    """The model that writes the figures of a kind of network: the last row of its last experiment, as in the paper."""
    experiment = [name for name in PEN if EXPERIMENTS[name]["kind"] == kind][-1]
    return experiment, rows(experiment)[-1]


KIND_OF_FIGURE = {"fig10": "prediction", "fig11": "prediction"}


def writer_of(wildcards):
    return model(*writer(KIND_OF_FIGURE.get(wildcards.figure, "synthesis")))


FIGURES = {
    # figure: (module, its data, its options)
    "fig09": (
        "draw_training_lines",
        f"{RESULTS}/corpora/handwriting.parquet",
        options("--training", HANDWRITING["training"]),
    ),
    "fig10": (
        "draw_densities",
        f"{RESULTS}/samples/handwriting/trace.prediction.parquet",
        [],
    ),
    "fig11": ("draw_samples", f"{RESULTS}/samples/handwriting/fig11.parquet", []),
    "fig13": (
        "draw_window",
        f"{RESULTS}/samples/handwriting/trace.synthesis.parquet",
        [],
    ),
    "fig14": (
        "draw_densities",
        f"{RESULTS}/samples/handwriting/trace.synthesis.parquet",
        [],
    ),
    "fig15": ("draw_samples", f"{RESULTS}/samples/handwriting/fig15.parquet", []),
    "fig16": (
        "draw_samples",
        f"{RESULTS}/samples/handwriting/fig16.parquet",
        ["--labels", "bias"],
    ),
    "fig17": ("draw_samples", f"{RESULTS}/samples/handwriting/fig17.parquet", []),
} | {
    name: (
        "draw_samples",
        f"{RESULTS}/samples/handwriting/{name}.parquet",
        ["--captions"],
    )
    for name in ("fig18", "fig19", "fig20", "fig21")
}


MODEL_FILES = ("weights.safetensors", "config.json", "log.parquet")


def figure_data():
    """What the handwriting figures are drawn from."""
    return [FIGURES[Path(path).stem][1] for path in figures()]


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


TABLES = {
    "table1": [
        name for name in ("treebank-character", "treebank-word") if name in EXPERIMENTS
    ],
    "table2": [name for name in ("wikipedia",) if name in EXPERIMENTS],
    "table3": [name for name in PEN if EXPERIMENTS[name]["kind"] == "prediction"],
    "table4": [name for name in PEN if EXPERIMENTS[name]["kind"] == "synthesis"],
} | {f"sweep-{name}": [name] for name in SWEEPS}


def sweep_of(table):
    """The option that makes the table of a sweep."""
    name = table.removeprefix("sweep-")
    if name not in SWEEPS:
        return []
    return ["--sweep", json.dumps(SWEEPS[name] | {"name": name})]


def rows_of(experiments):
    """Experiment → its rows, as JSON."""
    return json.dumps({name: all_rows(name) for name in experiments})


def foreign_data(experiments):
    """What the data of experiments are where they are not the paper's, each kind once; else nothing."""
    found = [data_of(config, name) for name in experiments]
    return "; ".join(
        dict.fromkeys(data["words"] for data in found if not data["as_in_paper"])
    )


SYNTHESIS = [name for name in PEN if EXPERIMENTS[name]["kind"] == "synthesis"]


def everything():
    """All artifacts a user may look at: named one by one, so that a deleted one is made again and not passed over."""
    names = list(EXPERIMENTS)
    return [
        f"{RESULTS}/report.html",
        *[
            f"{model(name, row)}/{file}"
            for name in names
            for row in all_rows(name)
            for file in MODEL_FILES
        ],
        *[path for name in names for path in evaluations(name)],
        *[f"{RESULTS}/evaluations/{name}/compressors.json" for name in TEXT],
        *[f"{RESULTS}/samples/{name}/{rows(name)[-1]}.txt" for name in TEXT],
        *[
            f"{RESULTS}/tables/{table}.{kind}"
            for table, found in TABLES.items()
            if found
            for kind in ("csv", "md")
        ],
        *[
            f"{RESULTS}/figures/curves.{name}.{kind}"
            for name in names
            for kind in ("svg", "png")
        ],
        *[
            path.removesuffix("svg") + kind
            for path in figures()
            for kind in ("svg", "png")
        ],
        *[path for path in figure_data() if path.startswith(f"{RESULTS}/samples/")],
    ]
