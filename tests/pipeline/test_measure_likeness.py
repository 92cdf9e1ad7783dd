"""Two corpora, and how well they are told apart."""

import json

import pytest

from pipeline.generate_handwriting import main as generate
from pipeline.measure_likeness import main
from pipeline.parse_iamondb import main as parse
from rnngen.errors import InputError
from tests.tiny_handwriting import write_corpus


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "text.txt").write_text("The five boxing wizards jump quickly over the lazy dogs of the judge. " * 20)
    generate([folder / "text.txt"], folder / "raw", lines=40, writers=10, shortest=18, longest=40)
    parse(folder / "raw", folder / "corpus.parquet")
    return folder / "corpus.parquet"


def test_the_accuracy_and_the_lines_are_written(written, tmp_path):
    main(written, written, tmp_path / "a.json", updates=2)
    found = json.loads((tmp_path / "a.json").read_text())
    assert 0.3 < found["accuracy"] < 0.7
    assert found["lines"]["training"][0] == found["lines"]["training"][1] <= 28


def test_lines_too_short_to_tell_are_refused(written, tmp_path):
    corpus = write_corpus(tmp_path / "short.parquet")
    with pytest.raises(InputError, match="long enough to be told apart"):
        main(corpus, written, tmp_path / "a.json", updates=2)
    assert not (tmp_path / "a.json").exists()
