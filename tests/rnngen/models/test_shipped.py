"""The writer in the package: it is there, says where it comes from, and writes at once, wherever the package is."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import rnngen
from rnngen.artifacts import sha256
from rnngen.errors import InputError
from rnngen.handwriting_generator.glyphs import load_letterforms
from rnngen.ink.read_strokes import read_ink
from rnngen.models.model_directory import read_config
from rnngen.models.shipped import SHIPPED

ROOT = Path(rnngen.__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def writer():
    return rnngen.load_handwriting()


def test_it_writes_what_a_notebook_shows(writer):
    written = writer.write("hello", bias=1, seed=3)
    assert [line.text for line in written.lines] == ["hello"] and written.lines[0].stopped == "rule"
    assert len(written.strokes) >= 1 and written._repr_svg_().startswith("<svg ")
    assert written._repr_svg_() == writer.write("hello", bias=1, seed=3)._repr_svg_()
    assert written._repr_svg_() != writer.write("hello", bias=1, seed=4)._repr_svg_()


def test_it_knows_every_character_of_the_generator(writer):
    assert set(load_letterforms().characters) == set(writer.alphabet.symbols)


def test_every_character_ends_by_itself_in_a_line(writer):
    """At a bias that people would use, a line of each kind of character ends before the cap."""
    for text in ("Müller & Søn, 27 façades", 'Ångström said: "no!"', "żółć i Łódź (100%)", "x" * 12, "I"):
        assert all(line.stopped == "rule" for line in writer.write(text, bias=1, seed=1).written), text


def test_lines_in_one_hand_resemble_each_other_more_than_those_of_another(writer):
    """By the slant of their ways down, which the generator's hands differ in."""

    def slant(hand: int, seed: int) -> float:
        lines = writer.write("little hills and ill fillies", bias=1, seed=seed, style=writer.hand(hand), tries=1).lines
        steps = np.concatenate([np.diff(stroke, axis=0) for stroke in lines[0].strokes])
        falls = steps[steps[:, 1] > 2 * np.abs(steps[:, 0])]
        return float(falls[:, 0].sum() / falls[:, 1].sum())

    slants = np.array([[slant(hand, seed) for seed in (1, 2, 3)] for hand in range(6)])
    assert slants.std(1).mean() < 0.3 * slants.mean(1).std()


def test_a_hand_is_its_number(writer):
    assert (writer.hand(7).offsets_t3 == writer.hand(7).offsets_t3).all()
    assert writer.hand(7).name == "hand 7" and len({len(writer.hand(number).offsets_t3) for number in range(5)}) > 1


def test_loading_it_does_not_wait_for_what_writing_does_not_use():
    code = (
        "import sys, rnngen; rnngen.load_handwriting().write('a', tries=1);"
        "sys.exit(' '.join({'torch._dynamo', 'sympy', 'pandas', 'matplotlib', 'jinja2'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_character_that_it_does_not_know_is_named(writer):
    with pytest.raises(InputError, match="'☃' .U\\+2603."):
        writer.write("snow ☃")


def test_its_files_are_small_and_say_how_it_was_made():
    about = read_config(SHIPPED, "packed", "best", "legibility", "provenance")
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 8_000_000
    assert about["sha256"] == {"weights.safetensors": sha256(SHIPPED / "weights.safetensors")}
    nats = about["packed"]["nats_per_point"]
    assert abs(nats["packed"] - nats["trained"]) < 1e-3
    biases = {row["bias"] for row in about["legibility"]["measured"] if row["what"] == "samples"}
    assert {0.0, 0.5, 1.0} <= biases
    provenance = about["provenance"]
    assert {"settings", "seed", "commit", "machine", "wall_seconds", "packages", "finished"} <= set(provenance)
    assert str(Path.home()) not in (SHIPPED / "run.json").read_text()


def test_one_command_trains_it_again():
    """The settings in its description are those of the preset."""
    from pipeline._settings import load_config, training_settings

    config = load_config([ROOT / "config.yaml", ROOT / "workflow" / "presets" / "writer.yaml"])
    assert json.loads((SHIPPED / "config.json").read_text())["provenance"]["settings"] == training_settings(
        config, "synthesis", "continued"
    )


@pytest.mark.parametrize("compiler", ["cc", "no-such-compiler"])
def test_the_command_writes_from_the_package_alone(tmp_path, compiler):
    """Laid out as by the wheel, in an empty folder, with an empty cache, with and without a C compiler."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert "rnngen" in wheel["packages"]
    shutil.copytree(ROOT / "rnngen", tmp_path / "site" / "rnngen", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "empty").mkdir()
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); from rnngen.cli.main import main; main()"
    variables = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "RNNGEN_MODEL")}
    done = subprocess.run(
        [sys.executable, "-c", code, "write", "hello", "-o", "hello.svg"],
        cwd=tmp_path / "empty",
        env=variables | {"CC": compiler, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert read_ink(tmp_path / "empty" / "hello.svg").strokes
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["hello.svg"]
