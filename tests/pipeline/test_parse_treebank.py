import json
import subprocess
import sys

import pyarrow.parquet as pq


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "pipeline.parse_treebank", *map(str, arguments)], capture_output=True, text=True
    )


def test_corpus_and_quality_report(tmp_path):
    for name in ("train", "valid", "test"):
        (tmp_path / f"ptb.{name}.txt").write_text(" one word \n two <unk> \n")
    output = tmp_path / "out" / "treebank.parquet"
    done = run(tmp_path, "--output", output)
    assert done.returncode == 0, done.stderr
    assert pq.read_table(output).num_rows == 6
    report = json.loads(output.with_suffix(".quality.json").read_text())
    assert report["splits"]["test"]["words"] == 6
    assert "| test | 2 | 0 | 6 |" in output.with_suffix(".quality.md").read_text()


def test_a_missing_file_is_one_line_and_leaves_nothing(tmp_path):
    output = tmp_path / "treebank.parquet"
    done = run(tmp_path, "--output", output)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
