import copy
import itertools
import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline._settings import (
    ROOT,
    Settings,
    check_config,
    data_of,
    differences,
    identity,
    load_config,
    merge,
    parent_of_training,
    read_settings,
    read_yaml,
    reading_settings,
    rows,
    training_settings,
    trainings,
)
from rnngen.errors import InputError

PRESETS = sorted((ROOT / "workflow" / "presets").glob("*.yaml"))


@pytest.fixture
def config():
    return load_config([ROOT / "config.yaml"])


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_every_preset_on_top_of_the_default_is_valid(preset):
    assert load_config([ROOT / "config.yaml", preset])["preset"] == preset.stem


@pytest.mark.parametrize("run", sorted((ROOT / "workflow" / "presets" / "paper").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_run_of_the_paper_on_top_of_its_preset_is_valid(run):
    config = load_config([ROOT / "config.yaml", ROOT / "workflow" / "presets" / "paper.yaml", run])
    assert config["preset"] == "paper" and config["corpora"]["handwriting"]["folder"] == "data/raw/iam-ondb"


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("sede",), 1, "sede"),
        (("seed",), "one", "seed"),
        (("device",), "gpu", "device"),
        (("corpora", "wikipedia", "train_bytes"), -3, "corpora.wikipedia.train_bytes"),
        (("experiments", "wikipedia", "network", "cell"), 3, "cell"),
        (("experiments", "wikipedia", "training", "clip_lstm"), "1", "experiments.wikipedia.training.clip_lstm"),
        (("experiments", "wikipedia", "corpus"), "wiki", "experiments.wikipedia.corpus"),
        (("experiments", "treebank-word", "regularisations", "none", "from"), "noise", "none.from"),
        (("experiments", "treebank-word", "regularisations", "none", "from"), "continued", "continued.from"),
        (("experiments", "wikipedia", "regularisations", "none"), None, "experiments.wikipedia.regularisations"),
        (("experiments", "wikipedia", "unit"), "character", "experiments.wikipedia.unit"),
        (("experiments", "treebank-word", "unit"), "byte", "experiments.treebank-word.unit"),
        (("experiments", "synthesis", "corpus"), "treebank", "experiments.synthesis.corpus"),
        (("experiments", "wikipedia", "corpus"), "handwriting", "experiments.wikipedia.corpus"),
        (("corpora", "treebank", "end_of_sentence"), "dot", "corpora.treebank.end_of_sentence"),
        (("results",), "~/results", r"key results: '~/results', where no shell fills in ~"),
        (("data",), "data/{raw}", r"key data: 'data/{raw}'"),
        (("corpora", "treebank", "folder"), "", "corpora.treebank.folder: '' should be non-empty"),
        (("seed",), 1.0, "key seed: 1.0 is not of type 'integer'"),
        (("seed",), 2**64, "key seed: 18446744073709551616 is greater than the maximum"),
        (("threads",), True, "key threads"),
        (("experiments", "wikipedia", "network", "cells"), 10**9, "experiments.wikipedia.network.cells"),
        (("experiments", "wikipedia", "training", "batch_size"), 4.0, "experiments.wikipedia.training.batch_size"),
        (("figures", "width"), float("nan"), "key figures.width: nan is not a finite number"),
        (("experiments", "synthesis", "training", "clip_output"), float("inf"), "synthesis.training.clip_output: inf"),
        (("experiments", "wikipedia", 3), {}, "key 3 is not text"),
    ],
)
def test_a_wrong_key_or_value_is_named_in_one_line(config, path, value, named):
    place = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(InputError) as error:
        check_config(config)
    assert named in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "path",
    [
        ("experiments", "treebank-word", "dynamic"),
        ("experiments", "treebank-word", "unit"),
        ("experiments", "wikipedia", "training", "chunk"),
        ("experiments", "prediction-1-layer", "network", "mixtures"),
        ("experiments", "synthesis", "network", "window_components"),
        ("experiments", "synthesis", "regularisations", "adaptive-weight-noise", "standard_deviation"),
    ],
)
def test_a_key_that_this_kind_of_experiment_needs_is_named_where_it_is_missing(config, path):
    place = config
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    with pytest.raises(InputError) as error:
        check_config(config)
    assert f"key {'.'.join(path[:-1])}: '{path[-1]}' is a required property" in str(error.value)


def test_every_option_of_the_cleaning_reaches_the_loader(config):
    config["corpora"]["handwriting"] |= {"sampling_interval": 0.01, "non_letter": None}
    check_config(config)
    corpus = training_settings(config, "synthesis", "none")["corpus"]
    assert corpus["sampling_interval"] == 0.01
    assert corpus["non_letter"] is None


def test_settings_of_a_training_ignore_what_does_not_train(config):
    before = training_settings(config, "treebank-character", "none")
    changed = copy.deepcopy(config)
    changed["figures"]["width"] += 1
    changed["samples"]["text"]["symbols"] += 1
    changed["experiments"]["treebank-character"]["dynamic"]["learning_rate"] *= 2
    changed["experiments"]["treebank-word"]["network"]["cells"] += 1
    changed["corpora"]["handwriting"]["lines"] += 1
    assert training_settings(changed, "treebank-character", "none") == before
    changed["experiments"]["treebank-character"]["network"]["cells"] += 1
    assert training_settings(changed, "treebank-character", "none") != before


def test_a_row_can_change_the_training_of_its_experiment(config):
    rows = config["experiments"]["treebank-character"]["regularisations"]
    rows["continued"]["training"] = {"maximum_epochs": 77}
    assert training_settings(config, "treebank-character", "continued")["training"]["maximum_epochs"] == 77
    assert training_settings(config, "treebank-character", "none")["training"]["maximum_epochs"] != 77


def test_a_row_set_to_null_is_left_out(config):
    config["experiments"]["treebank-word"]["regularisations"]["continued"] = None
    check_config(config)
    with pytest.raises(InputError, match="'continued' in the configuration, there are none, weight-noise"):
        training_settings(config, "treebank-word", "continued")
    config["experiments"]["treebank-word"]["regularisations"]["none"] = None
    with pytest.raises(InputError, match=r"treebank-word\.regularisations\.weight-noise\.from"):
        check_config(config)


def test_the_papers_preset_has_the_papers_constants():
    config = load_config([ROOT / "config.yaml", ROOT / "workflow" / "presets" / "paper.yaml"])
    for experiment, entry in config["experiments"].items():
        for row, values in entry["regularisations"].items():
            if values is None:
                continue
            settings = training_settings(config, experiment, row)
            optimiser = settings["training"]["optimiser"]
            assert optimiser["learning_rate"] == 1e-4
            assert settings["training"]["schedule"] == "constant"
            text = settings["kind"] == "text"
            assert settings["kind"] != "synthesis" or settings["corpus"]["alphabet"] == "paper"
            assert settings["training"]["clip_lstm"] == (1 if text else 10)
            momentum = 0.9 if experiment == "wikipedia" or not text else 0.99
            assert optimiser["momentum"] == momentum
            if not text:
                assert (optimiser["name"], optimiser["decay"], optimiser["damping"]) == ("rmsprop", 0.95, 1e-4)
                assert settings["training"]["clip_output"] == 100
                assert settings["network"]["mixtures"] == 20
                assert settings["corpus"]["every"] == 1
            if settings["noise"] != "none":
                assert settings["standard_deviation"] == 0.075


def test_an_unknown_experiment_or_row_is_named_with_what_there_is(config):
    with pytest.raises(InputError, match="no experiment 'treebank'.*treebank-character"):
        training_settings(config, "treebank", "none")
    with pytest.raises(InputError, match="no regularisation of wikipedia 'noise'.*none"):
        training_settings(config, "wikipedia", "noise")


def numbers_of(value, path=()):
    """The places of all numbers."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield from numbers_of(below, (*path, key))
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield path


def test_no_number_may_be_nan_or_infinite(config):
    places = list(numbers_of(config))
    assert len(places) > 100
    for *path, last in places:
        for value in (float("nan"), float("inf"), -float("inf")):
            changed = copy.deepcopy(config)
            place = changed
            for key in path:
                place = place[key]
            place[last] = value
            with pytest.raises(InputError, match="is not a finite number"):
                check_config(changed)


BOMB = "a: &a {k: [1, 2, 3, 4, 5, 6, 7, 8, 9]}\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 9)}]\n" for old, new in itertools.pairwise("abcdefghij")
)
MERGE_BOMB = (
    "a: &a {"
    + ", ".join(f"k{n}: 1" for n in range(40))
    + "}\n"
    + "".join(
        f"{new}: &{new} {{<<: [{', '.join(['*' + old] * 16)}], {new}: 1}}\n"
        for old, new in itertools.pairwise("abcdefghij")
    )
)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("seed: 1\npreset: a\nseed: 2\n", r"key 'seed' is given twice, first in line 1.*line 3"),
        ("corpora: {wikipedia: {dumps: [a], dumps: [b]}}", r"key 'dumps' is given twice"),
        ("seed: .nan", "key seed: nan is not a finite number"),
        ("a: [1, [.inf]]", r"key a\.1\.0: inf is not a finite number"),
        (BOMB, "more than 100,000 values, aliases followed"),
        (MERGE_BOMB, "more than 1000 keys in one mapping"),
        (f"a: &a {{k: 1}}\nb: {{<<: [{', '.join(['*a'] * 99)}]}}", "more than 16 mappings merged"),
        ("a: &a [*a]", "nested deeper than 32"),
        ("[" * 100_000, "not YAML"),
        ("a: " + "9" * 10_000, "not YAML"),
        ("a: 2020-13-45", "not YAML"),
        ("1: 2", "the key 1 is not text"),
        ("? [1, 2]\n: 3", "not YAML"),
        ("- 1", "found list"),
        ("a: '" + "x" * 1_100_000 + "'", "a configuration has at most"),
        ("a: !!python/object/apply:os.system [true]", "not YAML"),
    ],
)
def test_a_file_that_is_no_plain_configuration_is_one_line(tmp_path, text, named):
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=named) as error:
        read_yaml(file)
    assert str(file) in str(error.value) and len(str(error.value)) <= 300


def test_a_row_that_lacks_a_part_of_its_optimiser_is_named(config):
    config["experiments"]["treebank-word"]["regularisations"]["continued"]["training"] = {"noise_optimiser": {}}
    with pytest.raises(InputError, match=r"treebank-word/continued: key training.noise_optimiser: 'name'"):
        check_config(config)


@pytest.mark.parametrize("preset", [None, *PRESETS], ids=lambda path: path and path.stem)
def test_the_settings_of_every_row_pass_where_they_are_read(preset):
    config = load_config([ROOT / "config.yaml", *([preset] if preset else [])])
    for name, experiment in config["experiments"].items():
        for row in rows(experiment):
            settings = training_settings(config, name, row)
            assert read_settings(json.dumps(settings)) == settings


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1.0}, "key seed"),
        ({"seed": 2**64}, "key seed"),
        ({"threads": 10**9}, "key threads"),
        ({"kind": "sculpture"}, "key kind"),
        ({"unit": "point"}, "key unit"),
        ({"network": {"layers": 1, "cells": 10**9}}, r"key network\.cells"),
        ({"network": []}, "key network"),
        ({"noise": "fixed", "standard_deviation": None}, "key standard_deviation"),
        ({"standard_deviation": float("nan")}, "key standard_deviation: nan"),
        ({"corpus": {"name": "treebank", "every": 3}}, "key corpus"),
        ({"corpus": {}}, "key corpus: 'name' is a required property"),
        ({"training": {}}, "key training"),
        ({"colour": "red"}, "'colour' was unexpected"),
    ],
)
def test_settings_that_no_training_can_have_are_named(config, change, named):
    settings = training_settings(config, "treebank-character", "none") | change
    with pytest.raises(InputError, match=f"--settings.*{named}"):
        read_settings(json.dumps(settings))


@pytest.mark.parametrize("text", ['{"seed": 1, "seed": 2}', '{"a": ' * 50_000, '{"a": ' + "9" * 5000 + "}"])
def test_settings_that_are_no_plain_json_are_one_line(text):
    with pytest.raises(InputError, match="--settings: not JSON"):
        read_settings(text)


def test_identity_is_what_decides_the_outcome(config):
    settings = training_settings(config, "treebank-character", "none")
    named = settings | {"threads": 7, "device": "cpu", "experiment": "x"}
    assert differences(identity(settings), identity(named)) == []
    other = settings | {"network": settings["network"] | {"cells": 3}, "seed": 5}
    assert differences(identity(settings), identity(other)) == ["network.cells: 200, now 3", "seed: 1, now 5"]
    for key, free in {"patience": True, "validate_every": True, "batch_size": False, "maximum_epochs": True}.items():
        changed = settings | {"training": settings["training"] | {key: 77}}
        assert (differences(identity(settings), identity(changed)) == []) == free


def test_no_yaml_is_named_with_its_file(tmp_path):
    file = tmp_path / "broken.yaml"
    file.write_text("a: [1,")
    with pytest.raises(InputError, match=r"broken\.yaml: not YAML"):
        load_config([file])


nested = st.recursive(
    st.integers(), lambda children: st.dictionaries(st.sampled_from("abcd"), children, max_size=3), max_leaves=8
)


@given(st.dictionaries(st.sampled_from("abcd"), nested), st.dictionaries(st.sampled_from("abcd"), nested))
def test_merging_keeps_what_is_not_overridden_and_changes_neither(base, over):
    base_before, over_before = copy.deepcopy(base), copy.deepcopy(over)
    result = merge(base, over)
    assert (base, over) == (base_before, over_before)
    assert merge(result, over) == result
    assert set(result) == set(base) | set(over)
    for key, value in result.items():
        if key not in over:
            assert value == base[key]
        elif not (isinstance(over[key], dict) and isinstance(base.get(key), dict)):
            assert value == over[key]


def test_the_schema_is_a_schema():
    import jsonschema

    schema = yaml.safe_load((ROOT / "workflow" / "config.schema.yaml").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)


def test_the_settings_of_a_row_are_those_that_are_asked_for_when_they_are_read(config):
    assert set(training_settings(config, "wikipedia", "none")) == set(Settings.__annotations__)


def test_what_is_read_does_not_change_with_what_is_trained(config):
    before = {name: reading_settings(config, name) for name in config["experiments"]}
    changed = copy.deepcopy(config) | {"threads": 2, "device": "cpu"}
    for experiment in changed["experiments"].values():
        experiment["training"] |= {"maximum_epochs": 99, "batch_size": 3}
        experiment["network"]["cells"] = 7
    assert {name: reading_settings(changed, name) for name in before} == before
    changed["corpora"]["treebank"]["end_of_sentence"] = "space"
    assert reading_settings(changed, "treebank-word") != before["treebank-word"]


def test_what_the_data_are(config):
    words = {name: data_of(config, name)["words"] for name in config["experiments"]}
    assert words["treebank-word"] == "text derived from Wikipedia's articles, not the Penn Treebank"
    assert words["wikipedia"] == "the dump enwiki-sample, not enwik8"
    assert words["synthesis"] == "generated handwriting, not IAM-OnDB"
    assert not any(data_of(config, name)["as_in_paper"] for name in words)
    paper = load_config([ROOT / "config.yaml", ROOT / "workflow" / "presets" / "paper.yaml"])
    assert all(data_of(paper, name)["as_in_paper"] for name in paper["experiments"])
    mine = merge(config, {"preset": "mine", "corpora": {"treebank": {"folder": "data/mine"}}})
    assert data_of(mine, "treebank-character") == {
        "words": "the files in data/mine",
        "as_in_paper": False,
        "generated": False,
    }


def test_an_experiment_set_to_null_is_left_out_and_new_rows_come_last(tmp_path):
    preset = tmp_path / "preset.yaml"
    preset.write_text("experiments: {wikipedia: null, synthesis: {regularisations: {again: {from: none}}}}")
    config = load_config([ROOT / "config.yaml", preset], {"seed": 7})
    assert config["seed"] == 7
    assert "wikipedia" not in config["experiments"]
    assert list(rows(config["experiments"]["synthesis"]))[-1] == "again"
    assert next(iter(config["experiments"])) == "treebank-character"


def with_(tmp_path, text):
    (tmp_path / "more.yaml").write_text(text, encoding="utf-8")
    return load_config([ROOT / "config.yaml", tmp_path / "more.yaml"])


def test_one_seed_changes_no_name(config):
    assert trainings(config, "treebank-word") == {
        "none": ["none"],
        "continued": ["continued"],
        "weight-noise": ["weight-noise"],
    }


def test_every_seed_has_a_chain_of_its_own_and_the_reading_of_all(tmp_path):
    config = with_(tmp_path, "seeds: [1, 2, 30]")
    assert trainings(config, "treebank-word")["weight-noise"] == [
        "weight-noise",
        "weight-noise--seed-2",
        "weight-noise--seed-30",
    ]
    assert parent_of_training(config, "treebank-word", "weight-noise--seed-30") == ("treebank-word", "none--seed-30")
    assert parent_of_training(config, "treebank-word", "weight-noise") == ("treebank-word", "none")
    assert parent_of_training(config, "treebank-word", "none--seed-2") is None
    first, second = (training_settings(config, "treebank-word", name) for name in ("none", "none--seed-2"))
    assert differences(first, second) == ["seed: 1, now 2"]
    assert reading_settings(config, "treebank-word")["seed"] == 1


def test_a_seed_that_is_added_changes_no_other(tmp_path):
    two, three = with_(tmp_path, "seeds: [1, 2]"), with_(tmp_path, "seeds: [3, 1, 2]")
    for name in trainings(two, "synthesis")["continued"]:
        assert name in trainings(three, "synthesis")["continued"]
        assert training_settings(two, "synthesis", name) == training_settings(three, "synthesis", name)


@pytest.mark.parametrize("seeds", ["[]", "[1, 1]", "[-1]", "1", "[1.5]"])
def test_seeds_that_are_none_are_named(tmp_path, seeds):
    with pytest.raises(InputError, match="key seeds"):
        with_(tmp_path, f"seeds: {seeds}")


SWEEP = """
sweeps:
  deviation:
    experiment: treebank-character
    row: weight-noise
    setting: standard_deviation
    values: [0.01, 0.075]
"""


def test_a_sweep_is_an_experiment_with_a_row_a_value(tmp_path):
    config = with_(tmp_path, SWEEP)
    assert list(rows(config["experiments"]["deviation"])) == ["0-01", "0-075"]
    assert parent_of_training(config, "deviation", "0-01") == ("treebank-character", "none")
    base = training_settings(config, "treebank-character", "weight-noise")
    assert sorted(differences(base, training_settings(config, "deviation", "0-01"))) == [
        'experiment: "treebank-character", now "deviation"',
        'regularisation: "weight-noise", now "0-01"',
        "standard_deviation: 0.075, now 0.01",
    ]
    assert identity(base) != identity(training_settings(config, "deviation", "0-01"))
    assert identity(base) == identity(training_settings(config, "deviation", "0-075"))


@pytest.mark.parametrize(
    ("setting", "values", "row", "changed"),
    [
        ("network.cells", "[8, 16]", "none", ("network", "cells", 16)),
        ("training.optimiser.learning_rate", "[1.0e-3, 2.0e-3]", "none", ("training", "optimiser", 2e-3)),
    ],
)
def test_a_sweep_reaches_into_network_and_training(tmp_path, setting, values, row, changed):
    sweep = f"{{experiment: wikipedia, row: {row}, setting: {setting}, values: {values}}}"
    config = with_(tmp_path, f"sweeps: {{size: {sweep}}}")
    last = list(rows(config["experiments"]["size"]))[-1]
    found = training_settings(config, "size", last)[changed[0]][changed[1]]
    assert (found["learning_rate"] if isinstance(found, dict) else found) == changed[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("experiment: treebank-character", "experiment: treebank"), "no experiment .sweeps.deviation.experiment. 't"),
        (("row: weight-noise", "row: noise"), r"no row of treebank-character \(sweeps.deviation.row\) 'noise'"),
        (("[0.01, 0.075]", "[0.01]"), "key sweeps.deviation.values"),
        (("[0.01, 0.075]", "[0.01, -1]"), "sweeps.deviation, 1: key standard_deviation"),
        (("setting: standard_deviation", "setting: seed"), "key sweeps.deviation.setting"),
        (("setting: standard_deviation", "setting: training.batchsize"), "sweeps.deviation, 0-01: key training"),
        (("  deviation:", "  wikipedia:"), "sweeps.wikipedia: there is an experiment of that name"),
        (("[0.01, 0.075]", "[1.5, 1-5]"), "both named 1-5"),
    ],
)
def test_a_sweep_that_cannot_be_is_one_line(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        with_(tmp_path, SWEEP.replace(*change))
