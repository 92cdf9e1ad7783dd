"""`rnngen text`, `inspect`, `compare` and `watch` from the command line."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rnngen.artifacts import write_json
from rnngen.cli.watch import curve
from tests.rnngen.models.test_text_model import write_text_model
from tests.tiny_handwriting import write_corpus, write_model


@pytest.fixture
def results(tmp_path):
    """Two evaluations and two logs, one of a training that runs."""
    for row, bits in (("none", 2.0), ("weight-noise", 1.75)):
        write_json(
            tmp_path / "evaluations" / "wikipedia" / f"{row}.static.json",
            {
                "evaluation": "static",
                "measures": {"bits_per_character": bits, "error_percent": 40.0},
                "provenance": {"settings": {"dynamic": None, "noise": row}},
            },
        )
    for folder, losses in (("models/wikipedia/none", [3.0, 2.0]), ("state/wikipedia/weight-noise", [2.0])):
        (tmp_path / folder).mkdir(parents=True)
        n = len(losses)
        columns = {"epoch": [1.0] * n, "updates": [5] * n, "seconds": [2.0] * n, "train_nats_per_prediction": [1.0] * n}
        pd.DataFrame(columns | {"validation_loss": losses}).to_parquet(tmp_path / folder / "log.parquet")
    return tmp_path


def test_text(rnngen, tmp_path):
    model = write_text_model(tmp_path)
    status, out, _ = rnngen("text", "ab", "--model", model, "-n", 30, "--samples", 2, "--seed", 5)
    one, two = out.split("\n---\n")
    two = two.removesuffix("\n")
    assert status == 0 and one.startswith("ab") and two.startswith("ab") and one != two
    status, out, _ = rnngen("text", "ab", "--model", model, "-n", 30, "--samples", 2, "--seed", 5, "--json")
    assert [item["seed"] for item in json.loads(out)["texts"]] == [5, 6]
    assert json.loads(out)["texts"][0]["text"] == one
    status, out, _ = rnngen("text", "ab", "--model", model, "-n", 30, "--seed", 5, "-o", tmp_path / "t.txt")
    assert out == "" and (tmp_path / "t.txt").read_text(encoding="utf-8") == one
    status, out, _ = rnngen("text", "ab", "--model", model, "-n", 30, "--seed", 5, "-o", "-")
    assert out == f"{one}\n" and not Path("-").exists()


def test_words_go_on_a_blank_after_the_prime(rnngen, tmp_path):
    model = write_text_model(tmp_path, "word")
    out = rnngen("text", "the cat", "--model", model, "-n", 30)[1]
    assert out.startswith(("the cat ", "the cat\n"))


def test_text_that_is_not_utf_8_is_named(rnngen, tmp_path, monkeypatch):
    model = write_text_model(tmp_path, "byte")
    for argument, typed in (("a\udce9", b""), ("-", b"a\xe9")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed)))
        status, out, err = rnngen("text", argument, "--model", model)
        assert (status, out, err.count("\n")) == (1, "", 1) and "byte 2, 0xE9, is not UTF-8" in err
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("é\r\n".encode()), encoding="ascii"))
    out = rnngen("text", "-", "--model", model, "-n", 9, "--json")[1]
    assert out.isascii() and json.loads(out)["texts"][0]["text"].startswith("é")


def test_text_on_a_terminal_of_another_encoding(tmp_path):
    model = write_text_model(tmp_path, "byte")
    command = [sys.executable, "-m", "rnngen.cli.main", "text", "é", "--model", model, "-n", "40"]
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0 and done.stdout.startswith(b"\\xe9") and done.stderr == b""


def test_text_refuses_in_one_line(rnngen, tmp_path):
    model = write_text_model(tmp_path)
    for arguments in (
        ["zebra", "--model", model],
        ["--model", model, "--temperature", 0],
        ["--model", tmp_path / "no"],
    ):
        status, out, err = rnngen("text", *arguments)
        assert (status, out, err.count("\n")) == (1, "", 1) and err.startswith("error: ")


def test_inspect_a_model(rnngen, tmp_path):
    model = write_model(tmp_path / "synthesis")
    status, out, _ = rnngen("inspect", model)
    assert status == 0 and "model of synthesis" in out and "normaliser" in out
    found = json.loads(rnngen("inspect", model, "--json")[1])
    assert found["parameters"]["total"] == 2398
    assert found["parameters"]["tensors"]["layers.0.weight_recurrent"] == [32, 8]


def test_inspect_other_artifacts(rnngen, results):
    corpus = write_corpus(results / "hw.parquet")
    counts = json.loads(rnngen("inspect", corpus, "--json")[1])["counts"]
    assert sum(counts["lines"].values()) == 24 and counts["writers"] == 6
    evaluation = results / "evaluations" / "wikipedia" / "none.static.json"
    assert json.loads(rnngen("inspect", evaluation, "--json")[1])["measures"]["bits_per_character"] == 2.0
    log = results / "models" / "wikipedia" / "none" / "log.parquet"
    assert "log of a training" in rnngen("inspect", log)[1]
    assert "wikipedia/none.static bits_per_character" in rnngen("inspect", results)[1]


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"PAR1nonsensePAR1"])
@pytest.mark.parametrize("suffix", [".parquet", ".json", ".safetensors", ".txt"])
def test_inspect_refuses_in_one_line(rnngen, tmp_path, suffix, content):
    path = tmp_path / f"file{suffix}"
    if content is not None:
        path.write_bytes(content)
    status, out, err = rnngen("inspect", path)
    assert (status, out, err.count("\n")) == (1, "", 1) and str(path) in err


def test_compare(rnngen, results):
    folder = results / "evaluations" / "wikipedia"
    runs = folder / "none.static.json", folder / "weight-noise.static.json"
    found = json.loads(rnngen("compare", *runs, "--json")[1])
    assert found["measures"]["bits_per_character"] == {"first": 2.0, "second": 1.75, "difference": -0.25}
    assert found["settings"] == {"noise": ["none", "weight-noise"]}
    out = rnngen("compare", *runs)[1]
    assert "-0.25" in out and "-12.50" in out and "noise" in out
    assert rnngen("compare", results, results)[0] == 0
    status, _, err = rnngen("compare", runs[0], write_text_model(results))
    assert status == 1 and "no measure" not in err and "cannot be compared" in err


def test_compare_refuses_what_is_unlike(rnngen, results):
    models = [write_model(results / kind, kind) for kind in ("synthesis", "prediction")]
    models += [write_text_model(results / unit, unit) for unit in ("byte", "word")]
    runs = [*models, results, results / "evaluations" / "wikipedia" / "none.static.json"]
    for rule in (
        "bytes of the dump, 131 distinct; state kept",
        "words of the training sentences: 186; one for the end",
    ):
        runs.append(results / f"{rule[:5]}.json")
        evaluation = {"evaluation": "static", "model": {"kind": "text"}, "rule": rule, "measures": {"bits": 2.0}}
        write_json(runs[-1], evaluation)
    for k, one in enumerate(runs):
        for other in runs[:k]:
            status, out, err = rnngen("compare", one, other)
            assert (status, out, err.count("\n")) == (1, "", 1), (one, other)
            assert "cannot be compared" in err


def test_headline_numbers_come_first(rnngen, tmp_path):
    found = json.loads(rnngen("inspect", write_model(tmp_path / "synthesis"), "--json")[1])
    assert list(found)[:3] == ["artifact", "best validation", "training"]


def test_lines(rnngen, tmp_path):
    corpus = write_corpus(tmp_path / "hw.parquet")
    status, out, _ = rnngen("lines", corpus)
    assert status == 0 and "a00-000z-01" in out and "this is a line" in out and "4 more" in out
    found = json.loads(rnngen("lines", corpus, "--writer", 1, "--containing", "sun", "--json")[1])
    assert found["of"] and {(line["writer"], line["text"]) for line in found["lines"]} == {("1", "under the sun")}
    for arguments in ([corpus, "--writer", "nobody"], [tmp_path / "no.parquet"]):
        status, out, err = rnngen("lines", *arguments)
        assert (status, out, err.count("\n")) == (1, "", 1)


def test_watch(rnngen, results):
    status, out, _ = rnngen("watch", results, "--once")
    assert status == 0 and "running" in out and "done" in out and "█" in out
    found = json.loads(rnngen("watch", results, "--json")[1])
    assert found["wikipedia/weight-noise"]["running"] and not found["wikipedia/none"]["running"]
    assert found["wikipedia/none"]["validation_loss"] == 2.0
    assert "no training has validated" in rnngen("watch", write_text_model(results / "evaluations"), "--once")[1]


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_watch_fits_the_screen(rnngen, results, monkeypatch, columns):
    long = results / "models" / "prediction-3-layer" / "adaptive-weight-noise"
    long.mkdir(parents=True)
    log = pd.read_parquet(results / "models" / "wikipedia" / "none" / "log.parquet")
    log.assign(updates=1_234_567, validation_loss=-1057.123, seconds=360_000.0).to_parquet(long / "log.parquet")
    monkeypatch.setenv("COLUMNS", str(columns))
    out = rnngen("watch", results, "--once")[1]
    assert max(map(len, out.splitlines())) <= columns
    for piece in ("adaptive-weight-noise", "prediction-3-layer", "-1057.123", "2.000", "running"):
        assert piece in out, piece
    assert ("100 h 0 min" in out) == (columns >= 80) and ("1,234,567" in out) == (columns == 140)


@pytest.mark.parametrize("command", [["watch", "--once"], ["watch", "--json"]])
@pytest.mark.parametrize(
    "columns",
    [{"epoch": [1.0]}, {"a": [1]}, {"validation_loss": ["x"]}, {"validation_loss": [None]}, {"seconds": [[1]]}, None],
)
def test_watch_names_a_log_that_is_none(rnngen, results, command, columns):
    log = results / "models" / "wikipedia" / "none" / "log.parquet"
    if columns is None:
        log.write_bytes(log.read_bytes()[:-20])
    elif set(columns) & {"validation_loss", "seconds"}:
        pd.read_parquet(log)[:1].assign(**columns).to_parquet(log)
    else:
        pd.DataFrame(columns).to_parquet(log)
    status, out, err = rnngen(*command, results)
    assert (status, out, err.count("\n")) == (1, "", 1) and str(log) in err


STRANGE = (None, -1.5, float("nan"), "\ud800", [1], {"a": [None]})


def altered(value, depth=0):
    """A JSON value with one of its parts replaced or left out, every part in turn."""
    for key in value if isinstance(value, dict) else ():
        yield {name: item for name, item in value.items() if name != key}
        for strange in STRANGE:
            yield value | {key: strange}
        if depth < 1:
            yield from (value | {key: other} for other in altered(value[key], depth + 1))


@pytest.mark.parametrize("which", ["model", "text model", "evaluation"])
def test_altered_descriptions_end_in_a_line(rnngen, results, which):
    """Whatever stands in config.json or an evaluation: facts, or one line that names the file."""
    path = {
        "model": lambda: write_model(results / "m") / "config.json",
        "text model": lambda: write_text_model(results / "m") / "config.json",
        "evaluation": lambda: results / "evaluations" / "wikipedia" / "none.static.json",
    }[which]()
    artifact = path if which == "evaluation" else path.parent
    for value in altered(json.loads(path.read_text(encoding="utf-8"))):
        path.write_text(json.dumps(value), encoding="utf-8")
        for command in (["inspect", artifact], ["compare", artifact, artifact]):
            status, out, err = rnngen(*command)
            assert (status, err) == (0, "") or (status == 1 and err.count("\n") == 1 and out == ""), (command, value)


@pytest.mark.parametrize(
    "kind", [pa.int64(), pa.string(), pa.list_(pa.string()), pa.float64(), pa.bool_(), pa.binary()]
)
def test_parquets_of_a_wrong_shape(rnngen, tmp_path, kind):
    """The names of our columns with other types: a table, or one line."""
    values = {
        pa.int64(): 1,
        pa.string(): "x",
        pa.list_(pa.string()): ["x"],
        pa.float64(): 1.5,
        pa.bool_(): True,
        pa.binary(): b"\xff",
    }
    path = tmp_path / "odd.parquet"
    names = ("writer split text stroke_len", "kind stroke_len bias stopped steps", "split sentence")
    for columns in (*names, "epoch validation_loss", "symbol bits", "text"):
        for value in (values[kind], None):
            table = pa.table({name: pa.array([value], kind) for name in columns.split()})
            pq.write_table(table.replace_schema_metadata({b"rnngen": b"[\xff"} if value is None else None), path)
            for command in ("inspect", "compare", "lines"):
                status, out, err = rnngen(command, path, *[path] * (command == "compare"))
                assert status == 0 or (status == 1 and err.count("\n") == 1 and out == ""), (command, columns, kind)


def test_an_ascii_terminal(results, tmp_path):
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    model = write_model(tmp_path / "modèle ☃")
    for arguments in (["watch", results, "--once"], ["inspect", model], ["compare", results, results], ["--help"]):
        command = [sys.executable, "-m", "rnngen.cli.main", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, env=environment)
        assert (done.returncode, done.stderr) == (0, b"") and done.stdout.isascii(), arguments
        assert b"\\u258" not in done.stdout and b"\\xd7" not in done.stdout
    missing = os.fsencode(tmp_path) + b"/caf\xe9"
    for command in ("inspect", "watch"):
        done = subprocess.run(
            [sys.executable, "-m", "rnngen.cli.main", command, missing], capture_output=True, env=environment
        )
        assert done.returncode == 1 and done.stderr.count(b"\n") == 1 and done.stderr.startswith(b"error: ")


def test_curve():
    assert curve([3.0, 2.0, 1.0]) == "█▅▁"
    assert curve([1.0, float("nan"), 1.0]) == "▁ ▁"
    assert len(curve([float(n) for n in range(1000)])) == 20
