"""What `python -m pipeline.NAME --help` says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_help_says_what_the_module_does_and_keeps_the_lines_of_its_example() -> None:
    arguments = [sys.executable, "-m", "pipeline.evaluate", "--help"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    said = done.stdout
    assert "Evaluate a trained network on held-out data" in said
    assert "with the rule they follow" in said
    assert "--model results/models/treebank-character/none \\\n" in said
    assert "\b" not in said
