"""From the configuration to the settings of one training: the only place where the two are merged."""

import copy
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypedDict

import jsonschema
import yaml

from rnngen.errors import InputError

ROOT = Path(__file__).resolve().parent
"""Where config.yaml and workflow/ are: in an installed package beside this file, in a checkout one folder up."""
if not (ROOT / "config.yaml").exists():
    ROOT = ROOT.parent
CONFIG_SCHEMA = ROOT / "workflow" / "config.schema.yaml"


def merge(base: dict, over: Mapping[str, Any]) -> dict:
    """`base` with `over` put on top of it, mapping by mapping; neither is changed."""
    result = copy.deepcopy(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


class StrictLoader(yaml.SafeLoader):
    """Plain YAML: a key is given once, and merges stay small."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:  # str | None; types-PyYAML says dict
        """The mapping of the text, before anchors are followed."""
        node = super().compose_mapping_node(anchor)
        seen: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                line = seen[key.value] + 1
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key.value!r} is given twice, first in line {line}", key.start_mark
                )
            seen[key.value] = key.start_mark.line
            if key.value == "<<" and isinstance(value, yaml.SequenceNode) and len(value.value) > LARGEST_MERGE:
                raise yaml.constructor.ConstructorError(
                    None, None, f"more than {LARGEST_MERGE} mappings merged", key.start_mark
                )
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge what `<<` names."""
        super().flatten_mapping(node)
        if len(node.value) > LARGEST_MAPPING:
            raise yaml.constructor.ConstructorError(
                None, None, f"more than {LARGEST_MAPPING} keys in one mapping", node.start_mark
            )


LARGEST_FILE = 1 << 20
LARGEST_MERGE, LARGEST_MAPPING = 16, 1_000
LARGEST_CONFIG, DEEPEST = 100_000, 32
"""Values, aliases followed, and how deep they may lie."""


def load_config(files: Iterable[str | Path], given: Mapping[str, Any] = MappingProxyType({})) -> dict:
    """The configuration in `files`, later ones on top of earlier ones and `given` on top of all, checked.

    An experiment that a later file sets to null is left out, like a row. New rows come after those they are added to.
    Every sweep becomes one more experiment.
    """
    config: dict = {}
    for part in (*map(read_yaml, files), given):
        config = merge(config, part)
    for key in ("experiments", "sweeps"):
        if isinstance(config.get(key), dict):
            config[key] = {name: found for name, found in config[key].items() if found is not None}
    check_config(config)
    for name in config.get("sweeps", {}):
        config["experiments"][name] = expand_sweep(config, name)
    return config


def read_yaml(file: str | Path) -> dict:
    """One file of a configuration; InputError unless it is a plain mapping of bounded size without a key given twice.

    Snakemake reads its configuration files itself and lets the last of two equal keys win; the Snakefile has them
    read here too.
    """
    file = Path(file)
    if file.stat().st_size > LARGEST_FILE:
        raise InputError(f"{file}: {file.stat().st_size:,} bytes; a configuration has at most {LARGEST_FILE:,}")
    try:
        part = yaml.load(file.read_text(encoding="utf-8-sig"), StrictLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(part, dict):
        raise InputError(f"{file}: a configuration is a mapping of keys, found {type(part).__name__}")
    require_plain(part, str(file))
    return part


def require_plain(value: Any, where: str) -> None:
    """InputError unless mappings, lists and values are of bounded number and depth, keys texts, and numbers finite."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), value)]
    for _ in range(LARGEST_CONFIG):
        if not waiting:
            return
        path, item = waiting.pop()
        place = f"{where}, key {'.'.join(path)}"
        if len(path) > DEEPEST:
            raise InputError(f"{place}: nested deeper than {DEEPEST}")
        if isinstance(item, float) and not math.isfinite(item):
            raise InputError(f"{place}: {item} is not a finite number; correct it")
        if isinstance(item, dict):
            for key, below in item.items():
                if not isinstance(key, str):
                    raise InputError(f"{place}: the key {key!r} is not text; put it in quotes, or correct it")
                waiting.append(((*path, key), below))
        elif isinstance(item, list):
            waiting += [((*path, str(number)), below) for number, below in enumerate(item)]
    raise InputError(f"{where}: more than {LARGEST_CONFIG:,} values, aliases followed; a configuration has fewer")


@cache
def _schema() -> dict[str, Any]:
    return yaml.safe_load(CONFIG_SCHEMA.read_text(encoding="utf-8"))


Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    # JSON Schema takes 1.0 for an integer; torch does not
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)


def _first_error(schema: dict[str, Any], value: Any) -> str | None:
    """`key a.b: what is wrong` of the worst error."""
    error = jsonschema.exceptions.best_match(Validator(schema).iter_errors(value))
    if error is None:
        return None
    return f"key {'.'.join(str(part) for part in error.absolute_path) or 'top level'}: {error.message}"


def check_config(config: dict) -> None:
    """Raise InputError that names the first key that is unknown, missing, of the wrong type or not finite."""
    require_plain(config, "configuration")
    error = _first_error(_schema(), config)
    if error is not None:
        raise InputError(f"configuration, {error}; see workflow/config.schema.yaml")
    for key in ("results", "data"):
        if config[key].startswith("~") or set("{}") & set(config[key]):
            raise InputError(
                f"configuration, key {key}: {config[key]!r}, where no shell fills in ~ and Snakemake would fill in "
                f"braces; write the folder out"
            )
    for name, experiment in config["experiments"].items():
        chain = rows(experiment)
        if not chain:
            raise InputError(f"configuration, key experiments.{name}.regularisations: every row is null; keep one")
        for regularisation in chain:
            seen = [regularisation]
            while parent := chain[seen[-1]].get("from"):
                if parent not in chain or parent in seen:
                    raise InputError(
                        f"configuration, key experiments.{name}.regularisations.{seen[-1]}.from: {parent!r} is not "
                        f"an earlier one of {', '.join(chain)}"
                    )
                seen.append(parent)
            check_settings(training_settings(config, name, regularisation), f"configuration, {name}/{regularisation}")


class Reading(TypedDict):
    """What decides which symbols an experiment reads; of `training` only the cut into chunks."""

    experiment: str
    kind: str
    unit: str | None
    training: dict[str, Any]
    corpus: dict[str, Any]
    seed: int


class Settings(Reading):
    """All that decides the outcome of one training, and nothing else: a change elsewhere retrains nothing."""

    regularisation: str
    network: dict[str, Any]
    noise: str
    standard_deviation: float | None
    device: str
    threads: int


def reading_settings(config: dict, experiment: str) -> Reading:
    """How an experiment reads its corpus, without what its networks make of it."""
    entry = select(config["experiments"], experiment, "experiment")
    cut = {key: entry["training"][key] for key in ("chunk", "reset_every") if key in entry["training"]}
    return {
        "experiment": experiment,
        "kind": entry["kind"],
        "unit": entry.get("unit"),
        "training": cut,
        "corpus": loader_settings(config, experiment),
        "seed": config["seed"],
    }


def training_settings(config: dict, experiment: str, regularisation: str) -> Settings:
    """The settings of one row of the configuration, or of one of its `trainings`."""
    entry = select(config["experiments"], experiment, "experiment")
    regularisation, _, seed = regularisation.partition(SEED)
    row = dict(select(rows(entry), regularisation, f"regularisation of {experiment}"))
    row.pop("from", None)
    return {
        "experiment": experiment,
        "regularisation": regularisation,
        "kind": entry["kind"],
        "unit": entry.get("unit"),
        "network": merge(entry["network"], row.pop("network", {})),
        "training": merge(entry["training"], row.pop("training", {})),
        "noise": row.pop("noise", "none"),
        "standard_deviation": row.pop("standard_deviation", None),
        "corpus": loader_settings(config, experiment),
        "seed": int(seed) if seed else config["seed"],
        "device": config["device"],
        "threads": config["threads"],
    }


def read_settings(text: str, kind: type = Settings, given: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """Settings (or `Reading` alone) from JSON, or from the file of that name; InputError names what is wrong.

    What is `given` goes on top of them.
    """
    try:
        found = json.loads(
            text if text.lstrip().startswith("{") else Path(text).read_bytes(), object_pairs_hook=_each_key_once
        )
    except json.JSONDecodeError as error:
        raise InputError(f"--settings: not JSON at line {error.lineno}, column {error.colno}: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"--settings {text}: not JSON, byte {error.start} is not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"--settings: not JSON: {error}") from error
    return check_settings({**found, **given} if isinstance(found, dict) else found, "--settings", kind)


def check_settings(found: Any, where: str, kind: type = Settings) -> Any:
    """Settings of a training (or `Reading`) as they are; InputError names the first key that is missing or wrong."""
    missing = [key for key in kind.__annotations__ if not isinstance(found, dict) or key not in found]
    if missing:
        raise InputError(
            f"{where}: no {', '.join(missing)} in it; give complete settings, such as the config.json of a model"
        )
    require_plain(found, where)
    error = _first_error({"$defs": _schema()["$defs"], "$ref": f"#/$defs/{kind.__name__.lower()}"}, found)
    if error is not None:
        raise InputError(f"{where}: {error}; see workflow/config.schema.yaml")
    return found


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"key {twice!r} is given twice")
    return found


FREE = ("experiment", "regularisation", "threads", "device")
FREE_IN_TRAINING = ("backend", "patience", "validate_every")
LIMITS = ("maximum_epochs", "maximum_updates")


def identity(settings: Settings) -> dict[str, Any]:
    """What decides through which weights a training goes: without names, threads, devices and back ends.

    When to validate and when to stop is left out too, except for the length that the learning rate depends on.
    """
    training = settings["training"]
    free = {*FREE_IN_TRAINING, *(LIMITS if training["schedule"] == "constant" else ())}
    return {key: value for key, value in settings.items() if key not in FREE} | {
        "training": {key: value for key, value in training.items() if key not in free}
    }


def differences(before: Any, now: Any, name: str = "") -> list[str]:
    """Where two values of JSON differ, as `key: before, now now`."""
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            found
            for key in {**before, **now}
            for found in differences(before.get(key), now.get(key), f"{name}.{key}" if name else key)
        ]
    return [] if before == now else [f"{name}: {json.dumps(before)}, now {json.dumps(now)}"]


def rows(experiment: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The rows (regularisations) of an experiment; one that a preset sets to null is left out."""
    return {name: row for name, row in experiment["regularisations"].items() if row is not None}


SEED = "--seed-"
"""Between the name of a row and the seed of one of its trainings. A row's own name has no two hyphens side by side."""


def trainings(config: dict, experiment: str) -> dict[str, list[str]]:
    """Row → the names of its trainings, one for each of `seeds`; the first is the one that figures and samples show.

    The training with the configuration's `seed`, which corpora and samples are made with, is named like its row.
    """
    seeds = config.get("seeds", [config["seed"]])
    return {
        row: [row if seed == config["seed"] else f"{row}{SEED}{seed}" for seed in seeds]
        for row in rows(config["experiments"][experiment])
    }


def by_row(names: Iterable[str]) -> dict[str, list[str]]:
    """Names of trainings, grouped by their row: `trainings` from its names alone."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.partition(SEED)[0], []).append(name)
    return found


def parent_of_training(config: dict, experiment: str, training: str) -> tuple[str, str] | None:
    """(experiment, training) that a training starts from, one of the same seed; None for the first of a chain."""
    row, mark, seed = training.partition(SEED)
    parent = config["experiments"][experiment]["regularisations"][row].get("from")
    if parent is None:
        return None
    other, _, name = parent.rpartition("/")
    return other or experiment, f"{name}{mark}{seed}"


def expand_sweep(config: dict, name: str) -> dict[str, Any]:
    """A sweep as an experiment: a row for every value, each like the row that the sweep names but for one setting."""
    sweep, where = config["sweeps"][name], f"configuration, key sweeps.{name}"
    if name in config["experiments"]:
        raise InputError(f"{where}: there is an experiment of that name; give the sweep another")
    base = select(config["experiments"], sweep["experiment"], f"experiment (sweeps.{name}.experiment)")
    row = select(rows(base), sweep["row"], f"row of {sweep['experiment']} (sweeps.{name}.row)")
    start = {"from": f"{sweep['experiment']}/{row['from']}"} if "from" in row else {}
    entry = base | {"regularisations": {}}
    for value in sweep["values"]:
        change: Any = value
        for key in reversed(sweep["setting"].split(".")):
            change = {key: change}
        called = name_of_value(value)
        if called in entry["regularisations"]:
            raise InputError(
                f"{where}.values: {json.dumps(value)} and an earlier one are both named {called}; drop one"
            )
        entry["regularisations"][called] = merge(row, change) | start
    for called in entry["regularisations"]:
        changed = config | {"experiments": {**config["experiments"], name: entry}}
        check_settings(training_settings(changed, name, called), f"{where}, {called}")
    return entry


def name_of_value(value: Any) -> str:
    """A value of a setting as the name of a row: 0.001 → 0-001."""
    return re.sub("[^a-z0-9]+", "-", json.dumps(value).lower()).strip("-")


LOADER_KEYS = {
    "wikipedia": ("train_bytes", "validation_bytes"),
    "treebank": ("end_of_sentence",),
    "handwriting": (
        "validation",
        "training",
        "every",
        "step_threshold",
        "sampling_interval",
        "alphabet",
        "non_letter",
    ),
}
OF_TEXTS = ("alphabet", "non_letter")
"""How texts of handwriting are read, which a prediction network never sees."""


def loader_settings(config: dict, experiment: str) -> dict[str, Any]:
    """What decides how an experiment reads its corpus (as opposed to how the corpus is made)."""
    entry = config["experiments"][experiment]
    name = entry["corpus"]
    settings = config["corpora"][name]
    keys = [key for key in LOADER_KEYS[name] if entry["kind"] != "prediction" or key not in OF_TEXTS]
    return {"name": name} | {key: settings[key] for key in keys if key in settings}


def data_of(config: dict, experiment: str) -> dict[str, Any]:
    """What an experiment's data are: in `words`, `as_in_paper`, and whether the handwriting is `generated`.

    As far as the configuration tells: only the paper's preset is taken at its word about what is in a folder.
    """
    name = config["experiments"][experiment]["corpus"]
    corpus = config["corpora"][name]
    if name == "wikipedia":
        if corpus["dumps"] == ["enwik8"]:
            return _data("enwik8", True)
        dumps = ", ".join(Path(dump).name for dump in corpus["dumps"])
        return _data(f"the dump{'s' * (len(corpus['dumps']) > 1)} {dumps}, not enwik8", False)
    if corpus.get("folder") is not None:
        return _data(f"the files in {corpus['folder']}", config["preset"] == "paper")
    if name == "treebank":
        return _data("text derived from Wikipedia's articles, not the Penn Treebank", False)
    if name == "handwriting":
        return _data("generated handwriting, not IAM-OnDB", False, generated=True)
    return _data(f"the corpus {name}", False)


def _data(words: str, as_in_paper: bool, generated: bool = False) -> dict[str, Any]:
    return {"words": words, "as_in_paper": as_in_paper, "generated": generated}


def named_corpora(texts: Iterable[str]) -> dict[str, Path]:
    """Corpora that a command line names, each as NAME=PARQUET."""
    corpora = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals:
            raise InputError(f"--corpus {text}: expected NAME=PARQUET, for example treebank=treebank.parquet")
        if not Path(path).exists():
            raise InputError(f"--corpus {text}: no such file")
        corpora[name] = Path(path)
    return corpora


def select(mapping: dict, name: str, what: str) -> Any:
    if name not in mapping:
        raise InputError(f"no {what} {name!r} in the configuration, there are {', '.join(mapping)}")
    return mapping[name]
