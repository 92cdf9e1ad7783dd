import json
import subprocess
import sys

import pyarrow.parquet as pq

from tests.rnngen.corpora.handwriting.iam_files import as_archives, files


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "pipeline.parse_iamondb", *map(str, arguments)], capture_output=True, text=True
    )


def test_corpus_and_quality_report(tmp_path):
    as_archives(tmp_path / "iam", files())
    output = tmp_path / "out" / "handwriting.parquet"
    done = run(tmp_path / "iam", "--output", output)
    assert done.returncode == 0, done.stderr
    assert pq.read_table(output)["line"].to_pylist()[0] == "a01-000u-01"
    report = json.loads(output.with_suffix(".quality.json").read_text())
    assert report["lines"] == 7
    markdown = output.with_suffix(".quality.md").read_text()
    assert "| trainset | 2 | 1 |" in markdown and "unlisted forms: c01-009" in markdown


def test_bad_input_is_one_line_and_leaves_nothing(tmp_path):
    corpus = files()
    corpus["ascii-all"].popitem()
    as_archives(tmp_path / "iam", corpus)
    output = tmp_path / "handwriting.parquet"
    done = run(tmp_path / "iam", "--output", output)
    assert done.returncode == 1
    assert done.stderr.startswith("error: form c01-009: ") and done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("*.*"))
    done = run(tmp_path / "iam", "--output", output, "--keep-going")
    assert done.returncode == 0 and "skipped 1 items" in done.stderr
    assert pq.read_table(output).num_rows == 6
