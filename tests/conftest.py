"""Where tests find the licensed corpora, if anywhere; no test depends on how fast the machine is."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# a loaded machine is no failure, and what fails on one machine fails on every other
settings.register_profile("rnngen", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("rnngen")

# nohup and the background jobs of a shell ignore these, and the processes that tests send them to would inherit that
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent

CORPORA = ("penn-treebank", "iam-ondb", "enwik8", "wikipedia-dumps")


def _real_data() -> Path | None:
    candidates = [os.environ.get("RNNGEN_DATA"), ROOT / "data" / "raw"]
    return next((Path(c) for c in candidates if c and all((Path(c) / name).is_dir() for name in CORPORA)), None)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with iam-ondb/, penn-treebank/, enwik8/, wikipedia-dumps/; the test skips where there is none."""
    folder = _real_data()
    if folder is None:
        pytest.skip(f"no licensed corpora here: RNNGEN_DATA names the folder of {', '.join(CORPORA)}")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first, so that a worker is not left with one at the end while the others have nothing to do."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
