"""A folder of one's own strokes takes the place of IAM-OnDB in the graph."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SNAKEMAKE = Path(sys.executable).with_name("snakemake")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project with two lines of strokes and a configuration that names their folder."""
    for name in ("pipeline", "rnngen", "workflow"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    folder = tmp_path / "data" / "my-hand"
    folder.mkdir(parents=True)
    for name in ("one", "two"):
        (folder / f"{name}.txt").write_text(name, encoding="utf-8")
        (folder / f"{name}.json").write_text(json.dumps([[[0, 0], [30, 40], [70, 10]]]), encoding="utf-8")
    (tmp_path / "my-hand.yaml").write_text("corpora: {handwriting: {folder: data/my-hand}}", encoding="utf-8")
    return tmp_path


def test_strokes_are_imported(project: Path) -> None:
    result = subprocess.run(
        [str(SNAKEMAKE), "--cores", "1", "results/corpora/handwriting.parquet", "--configfile", "my-hand.yaml"],
        cwd=project,
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": f"{SNAKEMAKE.parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr
    report = json.loads((project / "results/corpora/handwriting.quality.json").read_text(encoding="utf-8"))
    assert (report["corpus"], report["lines"], report["points"]) == ("own handwriting", 2, 6)


def test_a_run_in_another_folder_needs_only_its_data(project: Path, tmp_path_factory) -> None:
    """With --directory, from a third folder, in an environment that is not activated."""
    folder = tmp_path_factory.mktemp("runs") / "another's folder"
    shutil.copytree(project / "data", folder / "data")
    command = [SNAKEMAKE, "--cores", "1", "results/corpora/handwriting.parquet", "--snakefile", project / "Snakefile"]
    result = subprocess.run(
        [*map(str, command), "--directory", str(folder), "--configfile", str(project / "my-hand.yaml")],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"} | {"PATH": "/usr/bin:/bin"},
    )
    assert result.returncode == 0, result.stderr
    assert (folder / "results/corpora/handwriting.parquet").is_file()
    assert not (project / "results").exists()
