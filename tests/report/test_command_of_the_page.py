"""The command under the page's writing: safe in a shell, whole, and accepted for whatever the page accepted."""

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from rnngen.cli.main import app
from rnngen.corpora.alphabet import Alphabet
from rnngen.models.handwriting_model import HandwritingModel
from rnngen.web.embedding import network_json
from tests.report.test_network_in_the_page import NODE, run
from tests.tiny_handwriting import ALPHABET, write_corpus, write_model

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed: the page's scripts cannot run here")

WIDTH = 12
TEXTS = [
    "the pen moves by itself",
    'it\'s $(touch ran) `touch ran` "quoted" \\ !! *',
    "-o",
    "-",
    "--help",
    "naïve café ﬁn",
    "a\u00a0b\u2028c\u0085d\te\u3000f",
    "1 €, 😀 and so on",
    "anunbelievablylongwordthatstayswhole and more",
]
COMMANDS = (
    "import { Writer } from 'FOLDER/lines.js'; import { wrapped, writeCommand } from 'FOLDER/live.js';"
    "const writer = new Writer(given.network);"
    "console.log(JSON.stringify(given.texts.map((text) => {"
    "  const lines = wrapped(writer.readable(text), given.width);"
    "  const strangers = writer.unknown(lines.join(' ')).length > 0;"
    "  return [lines, writeCommand({ ...given.options, lines, strangers, width: given.width })];"
    "})))"
)
OPTIONS = {"bias": 0.75, "seed": 3, "pen": 1, "style": None, "own": None, "corpus": "my corpora/it's.parquet"}


@pytest.fixture(scope="module", params=[None, "<other>"], ids=["without", "with a class of other characters"])
def folder(request, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    alphabet = ALPHABET if request.param is None else Alphabet((request.param, *ALPHABET.symbols), request.param)
    write_model(folder / "my model", "synthesis", alphabet)
    (folder / "my corpora").mkdir()
    write_corpus(folder / "my corpora" / "it's.parquet")
    return folder


def commands(folder, texts, **options):
    network = network_json(HandwritingModel.load(folder / "my model"))
    options = OPTIONS | {"model": "my model"} | options
    return run(COMMANDS, {"network": network, "texts": texts, "width": WIDTH, "options": options})


def written(folder: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What `rnngen` writes, given the words that a shell makes of the command."""
    line = command.replace("rnngen", r"printf '%s\0'", 1)
    words = subprocess.run(["/bin/sh", "-c", line], cwd=folder, capture_output=True, check=True).stdout.decode()
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, [*words.split("\0")[:-1], "--json"])
    assert done.exit_code == 0, (command, done.exception)
    return json.loads(done.stdout)["lines"]


def test_a_shell_writes_the_lines_of_the_page(folder, monkeypatch):
    for lines, command in commands(folder, TEXTS):
        if not lines:  # the page says so and has no command
            continue
        found = written(folder, command, monkeypatch)
        assert [line["text"] for line in found] == lines
        assert [(line["seed"] % 2**32, line["bias"]) for line in found] == [(3 + k, 0.75) for k in range(len(lines))]
    assert not (folder / "ran").exists()


def test_styles_and_pen_are_in_the_command(folder):
    command = commands(folder, ["as she does"], style={"name": "a01-000u-01"}, pen=2)[0][1]
    assert "--pen-width 0.9" in command and "--style a01-000u-01 --corpus 'my corpora/it'\\''s.parquet'" in command
    assert "--hand 7 " in commands(folder, ["as hand 7 does"], style={"name": "hand 7", "hand": 7})[0][1]
    options = shlex.split(commands(folder, ["as I do"], own={"text": "it's mine"})[0][1])
    assert options[-6:-2] == ["--style-strokes", "strokes.json", "--style-text", "it's mine"]


def test_the_network_of_the_package_needs_no_name(folder):
    assert "--model" not in commands(folder, ["hello"], model="")[0][1]


@settings(max_examples=1)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=40), min_size=200, max_size=200))
@example(TEXTS)
def test_any_text_is_one_word_of_the_shell(folder, texts):
    for lines, command in commands(folder, texts):
        program, write, text, *options = shlex.split(command)
        assert (program, write, text.strip()) == ("rnngen", "write", " ".join(lines))
        assert not text.startswith("-") and options[:2] == ["--model", "my model"]
