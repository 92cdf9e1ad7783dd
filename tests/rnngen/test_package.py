"""What `import rnngen` brings and what it leaves alone."""

import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import metadata
from pathlib import Path

import pytest

import rnngen


def test_every_public_name_is_there():
    for name in rnngen.__all__:
        assert getattr(rnngen, name).__name__ == name


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="rnngen.*Perceptron"):
        _ = rnngen.Perceptron


def test_importing_the_package_does_not_wait_for_torch():
    subprocess.run([sys.executable, "-c", "import rnngen, sys; sys.exit('torch' in sys.modules)"], check=True)


def test_importing_every_public_name_writes_nothing(tmp_path):
    root = Path(rnngen.__file__).resolve().parent.parent
    code = f"import sys; sys.path.insert(0, {str(root)!r}); from rnngen import *"
    result = subprocess.run([sys.executable, "-B", "-c", code], cwd=tmp_path, capture_output=True, check=True)
    assert not list(tmp_path.iterdir()) and not result.stdout and not result.stderr


def test_the_version_is_the_same_everywhere():
    command = [sys.executable, "-c", "from rnngen.cli.main import main; main()", "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == f"rnngen {rnngen.__version__}\n"
    assert metadata("rnngen")["Version"] == rnngen.__version__
    assert f"\nversion: {rnngen.__version__}\n" in (ROOT / "CITATION.cff").read_text()


ROOT = Path(__file__).resolve().parents[2]


def test_an_installed_pipeline_finds_what_it_reads(tmp_path):
    """Laid out as in the wheel: what is forced into it is named in pyproject.toml."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    places = {package: package for package in wheel["packages"]} | wheel["force-include"]
    for source, place in places.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        copy(ROOT / source, tmp_path / place)
    code = "from pipeline._settings import ROOT, load_config; print(load_config([ROOT / 'config.yaml'])['preset'])"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout == "demo\n"
