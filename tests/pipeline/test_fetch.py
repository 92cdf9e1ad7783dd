"""The command that downloads data sources."""

import subprocess
import sys


def run(*arguments, **environment):
    command = [sys.executable, "-m", "pipeline.fetch", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_wrong_name_is_one_line(tmp_path):
    result = run("nothing", "--folder", tmp_path)
    assert result.returncode == 1 and result.stderr.startswith("error: no data source 'nothing'")
    assert result.stderr.count("\n") == 1


def test_registration_is_explained(tmp_path):
    result = run("iam-ondb", "--folder", tmp_path)
    assert result.returncode == 1 and "register at https://" in result.stderr and str(tmp_path) in result.stderr
