"""`rnngen page` writes one file that needs nothing else."""

import json
import re
from functools import partial

import pytest

from tests.tiny_handwriting import write_corpus, write_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write_model(folder / "model")
    write_model(folder / "prediction", "prediction")
    write_corpus(folder / "hw.parquet")
    return folder


@pytest.fixture
def page(rnngen, monkeypatch, folder):
    monkeypatch.chdir(folder)
    return partial(rnngen, "page")


def test_a_page_holds_its_network_and_styles_and_fetches_nothing(page, folder):
    styles = ("--style", "a00-001z-01", "--style", "a00-002z-01", "--corpus", "hw.parquet")
    status, out, err = page("--model", "model", *styles, "-o", "writer.html")
    assert status == 0, err
    html = (folder / "writer.html").read_text()
    assert out == f"writer.html: {len(html.encode()):,} bytes\n"
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1])
    assert [style["name"] for style in data["primes"]] == ["a00-001z-01", "a00-002z-01"]
    assert (data["model"], data["corpus"], data["lineWidth"]) == ("model", "hw.parquet", 40)
    assert not re.search(r'(src|href)="(?!#|data:)', html) and "default-src 'none'" in html
    assert "{{" not in html and "import {" not in html
    assert page("--model", "model", "-o", "writer.html")[0] == 0
    assert (folder / "writer.html").read_text() != html


def test_without_a_model_the_writer_of_the_package_is_in_the_page(page, folder):
    status, _, err = page("-o", "shipped.html")
    assert status == 0, err
    assert '"model":""' in (folder / "shipped.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "model", "-o", "writer.pdf"), "writer.pdf: a page is HTML"),
        (("--model", "prediction", "-o", "a.html"), "prediction: a prediction network writes no text"),
        (("--model", "nowhere", "-o", "a.html"), "nowhere: no such folder"),
        (("--model", "model", "--style", "x", "-o", "a.html"), "--style and --corpus belong together"),
        (("--model", "model", "--corpus", "hw.parquet", "-o", "a.html"), "--style and --corpus belong together"),
        (("--model", "model", "--style", "x", "--corpus", "hw.parquet", "-o", "a.html"), "no line 'x'"),
    ],
)
def test_what_makes_no_page_is_one_line(page, folder, arguments, message):
    status, out, err = page(*arguments)
    assert (status, out) == (1, "") and err.startswith("error: ") and err.count("\n") == 1 and message in err
    assert not (folder / "a.html").exists()
