"""The report as a file: whole, alone, and honest about what is missing."""

import base64
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from pipeline import make_report
from pipeline.report import content, embedding
from pipeline.report.render import format_number, format_signed, shade
from rnngen.artifacts import provenance
from rnngen.errors import InputError
from rnngen.models.shipped import SHIPPED
from rnngen.web.one_file import embed_json
from tests.tiny_results import DERIVED, EXPERIMENTS, TEXT_ONLY, write_results


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return write_results(tmp_path_factory.mktemp("report") / "results")


def made(results, experiments, preset="demo", name="report.html", configfiles=None, writer=None):
    writer = writer or results / "models" / "synthesis" / "none"  # as large as the run's own
    make_report.main(results, json.dumps(experiments), preset, results / name, configfiles, writer)
    return (results / name).read_text(encoding="utf-8")


def data_in(html):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL).group(1))


def test_the_page_stands_alone(results):
    html = made(results, EXPERIMENTS)
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', html).group(1)
    assert "default-src 'none'" in policy
    scripts, styles = (re.search(rf"{kind}-src ([^;]*)", policy).group(1).split() for kind in ("script", "style"))
    blocks = re.findall(r'<(script|style)(?: type="module")?>(.*?)</\1>', html, re.DOTALL)
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for _, text in blocks]
    assert sorted(["'wasm-unsafe-eval'", *hashes]) == sorted(scripts + styles) and len(styles) == 1
    assert not re.search(r'(?:src|href)="(?!#|data:)', html)
    # text of a sample cannot become markup
    assert "<script>alert(1)" not in html
    assert "treebank-character" in html and "snakemake" in html


def test_the_commands_name_every_configuration_file_in_its_order(results):
    html = made(results, EXPERIMENTS, configfiles=["workflow/presets/paper.yaml", "my run.yaml"])
    assert "--configfile workflow/presets/paper.yaml &#39;my run.yaml&#39; --forcerun train" in html
    assert "--configfile" not in made(results, EXPERIMENTS)


def test_the_commands_force_the_rule_that_trains(results):
    commands = re.findall(r"<code>(snakemake .*?)</code>", made(results, EXPERIMENTS))
    of = {name: [command for command in commands if f"models/{name}/" in command] for name in EXPERIMENTS}
    assert all(len(of[name]) == len(entry["rows"]) for name, entry in EXPERIMENTS.items())
    assert all(command.endswith("weights.safetensors --force") for found in of.values() for command in found)
    assert f"snakemake {results}/tables/table4.csv --forcerun train_synthesis" in commands
    assert f"snakemake {results}/tables/table3.csv --forcerun train" in commands


def test_the_page_says_what_its_data_are(results):
    html = made(results, EXPERIMENTS, preset="paper", name="paper.html")
    assert "<b>The data here:</b> text derived from an encyclopaedia." in html
    assert "generated lines, held out" in html and "real lines, held out" not in html
    assert {group["real"] for group in data_in(html)["groups"]} == {"generated line"}
    treebank, wikipedia = (
        re.search(rf'<section id="{name}".*?</section>', html, re.DOTALL).group()
        for name in ("treebank-character", "wikipedia")
    )
    # the paper's networks on other data are no more comparable than other networks
    assert "not comparable" in treebank and "tolerance" not in treebank
    assert "outside tolerance" in wikipedia and "+0.330" in wikipedia


def test_no_difference_is_shown_where_nothing_is_comparable(results):
    html = made(results, EXPERIMENTS)
    rows = [row for row in re.findall(r"<tr>.*?</tr>", html, re.DOTALL) if "verdict incomparable" in row]
    assert len(rows) > 8
    assert all(re.findall(r'class="n">([^<]*)</td>', row)[-1] == "–" for row in rows)


def test_numbers_of_the_paper_are_printed_as_it_prints_them(results):
    html = made(results, EXPERIMENTS)
    assert '<td class="n">1.32</td>' in html and '<td class="n">−1041.0</td>' in html


def test_what_the_scripts_read(results):
    data = data_in(made(results, EXPERIMENTS))
    halves = np.frombuffer(base64.b64decode(data["network"]["weights"]), "<f2")
    assert len(halves) == sum(size for _, size in data["network"]["tensors"]) and np.isfinite(halves).all()
    assert data["curves"]["wikipedia"]["rows"][0]["validation"] == [2.5, None, 2.0]
    assert [group["title"][:9] for group in data["groups"]] == ["Figure 15", "Figure 10", "Figure 11"]
    assert {line["bias"] for line in data["biased"]} == {0.0, 0.5, 2.0}
    assert data["primes"] and all(prime["text"] for prime in data["primes"])


def test_the_larger_network_of_the_package_writes_and_is_named(results):
    html = made(results, EXPERIMENTS, name="writer.html", writer=SHIPPED)
    data = data_in(html)
    assert "<b>The network that comes with rnngen</b>" in html and "this run's own has only" in html
    assert data["writer"]["sizes"]["cells"] > data["network"]["sizes"]["cells"] and data["model"] == ""
    assert all(prime["text"] for prime in data["primes"])
    own_html = made(results, EXPERIMENTS, name="own-writer.html")
    assert "The network that comes with rnngen" not in own_html and data_in(own_html)["writer"] is None


def test_equal_runs_at_other_times_on_other_machines_give_equal_pages(tmp_path, monkeypatch):
    pages, runs = [], []
    for when in ("2026-01-01T00:00:00+00:00", "2027-02-02T00:00:00+00:00"):
        (tmp_path / when).mkdir()
        monkeypatch.chdir(tmp_path / when)
        results = write_results(Path("results"))
        differs = {"finished": when, "machine": f"machine of {when}", "wall_seconds": float(when[:4])}
        for path in (*results.rglob("run.json"), *results.rglob("*.run.json")):
            path.write_text(json.dumps(json.loads(path.read_text()) | differs))
        monkeypatch.setattr(make_report, "provenance", lambda settings, d=differs: provenance(settings) | d)
        pages.append(made(results, EXPERIMENTS))
        runs.append(json.loads((results / "report.run.json").read_text()))
    assert pages[0] == pages[1]
    assert [run["finished"][:4] for run in runs] == ["2026", "2027"]


def test_without_handwriting(tmp_path):
    html = made(write_results(tmp_path / "results", TEXT_ONLY), TEXT_ONLY)
    assert "no handwriting synthesis experiment" in html and data_in(html)["network"] is None


def test_a_network_too_large_for_a_page_is_named(results, monkeypatch):
    monkeypatch.setattr(content, "LARGEST_NETWORK", 100)
    html = made(results, EXPERIMENTS, name="large.html")
    assert "too many for a page" in html and data_in(html)["network"] is None


def test_a_page_that_grew_too_large_is_not_written(results, monkeypatch):
    monkeypatch.setattr(make_report, "LARGEST_PAGE", 1000)
    with pytest.raises(InputError, match="over 1,000"):
        made(results, EXPERIMENTS, name="never.html")
    assert not (results / "never.html").exists()


def test_an_experiment_of_ones_own_and_one_that_has_not_run(results):
    html = made(results, {"letters": {"kind": "text", "rows": ["none"], "data": DERIVED}}, name="own.html")
    assert "not in the paper" in html and "Not trained in this run." in html


def test_nothing_to_report_is_an_error(results):
    with pytest.raises(InputError, match="--experiments: empty"):
        made(results, {})


def test_matrices_survive_half_precision():
    matrix = np.array([[1.5, -2.25], [0.125, 3.0], [1e-4, 60000.0]], np.float32)
    value = embedding.matrix_json(matrix)
    back = np.frombuffer(base64.b64decode(value["data"]), "<f2").reshape(-1, value["columns"])
    assert np.allclose(back.astype(np.float32), matrix, rtol=1e-3)


def test_numbers_as_they_are_printed():
    assert (format_number(-1025.7, 1), format_number(None, 2), format_signed(0.5, 2)) == ("−1,025.7", "–", "+0.50")
    assert "<" not in embed_json({"text": "</script>"})


@pytest.mark.parametrize(("words", "text"), [(False, "k<unk>\nn"), (True, "k <unk> \n n ")])
def test_real_text_is_spaced_between_words_only(words, text):
    scored = {"symbols": ["k", "<unk>", "\n", "n"], "bits": [1.0, 2.0, 3.0, 4.0], "words": words}
    assert re.sub("<.*?>", "", str(shade(scored))).replace("&lt;", "<").replace("&gt;", ">") == text
