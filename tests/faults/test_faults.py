"""A short form of `python -m tests.faults`: nothing half, lost or silent, and no traceback."""

import subprocess
import sys

import pytest

from tests.faults.project import ROOT

SHORT = {"kills": 6, "workflow-kills": 0, "disks": 3, "torn": 4, "mutations": 12, "seed": 7}


@pytest.mark.slow
def test_a_few_of_every_fault():
    options = [f"--{name}={value}" for name, value in SHORT.items()]
    command = [sys.executable, "-m", "tests.faults", "--target=results/smoke/tables/table2.md", *options]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.rstrip().splitlines()[-1].startswith("| all | ")
