"""What `import rnngen` brings and what it leaves alone."""

import subprocess
import sys
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
