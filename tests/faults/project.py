"""A project of the smoke preset's kind on a dump of its own, and its jobs, run in forks of this process.

Starting Python and torch anew would take longer than most of these jobs, so everything is imported once and every job
is a fork. What a job does, its arguments and its order are Snakemake's own, from a dry run.
"""

import hashlib
import importlib
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from pipeline._command import command
from tests.workflow.test_workflow import DUMP, write_dump

ROOT = Path(__file__).resolve().parents[2]
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
PRESET = "workflow/presets/smoke.yaml"
RESULTS = Path("results/smoke")
TIMED = re.compile(r"(^|/|\.)run\.json$|^logs/|^benchmarks/|^state/")
"""Below RESULTS: what may differ between two equal runs."""


def make_project(folder: Path) -> Path:
    """The workflow in a folder of its own, with a dump of the English that Python brings along."""
    folder.mkdir(parents=True)
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder)
    for name in ("workflow", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    preset = folder / PRESET
    text = preset.read_text(encoding="utf-8")
    preset.write_text(text.replace("wikipedia: {train_bytes", f"wikipedia: {{dumps: [{DUMP}], train_bytes"), "utf-8")
    write_dump(folder / DUMP)
    return folder


def environment() -> dict[str, str]:
    """For Snakemake and its jobs: this checkout, this Python, one thread each."""
    path = f"{SNAKEMAKE.parent}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@dataclass
class Job:
    """A command of the workflow; outputs and seconds are those of an undisturbed run."""

    module: str
    arguments: list[str]
    outputs: dict[Path, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def state(self) -> Path | None:
        """The state folder of a training."""
        return Path(self.arguments[self.arguments.index("--state") + 1]) if "--state" in self.arguments else None


def list_jobs(folder: Path, target: str) -> list[Job]:
    """The jobs that make `target`, each after those it needs."""
    arguments = [str(SNAKEMAKE), target, "--dry-run", "--printshellcmds", "--configfile", PRESET]
    said = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, env=environment(), check=True)
    jobs = []
    for text in re.findall(r"^Shell command: (.*(?:\n(?!\n|\[|Job).+)*)", said.stdout + said.stderr, re.MULTILINE):
        # a file beside the rules is copied into a cache, and the copy of a dry run is gone
        words = shlex.split(re.sub(r"\S*/snakemake-runtime-cache/[^/]+/file(?=/)", "", text))
        if "-m" not in words:
            continue  # reproduce-all itself, whose command is "None"
        start = words.index("-m") + 1
        end = next((n for n, word in enumerate(words) if word.startswith(("|", ">", "2>", "&>"))), len(words))
        jobs.append(Job(words[start], words[start + 1 : end]))
    return jobs


@dataclass
class Ended:
    """How a job ended: exit status (negative: the signal), what it said on standard error, seconds."""

    status: int
    said: str
    seconds: float


def run(
    job: Job, folder: Path, *, kill: int | None = None, after: float = 0.0, largest_file: int | None = None
) -> Ended:
    """Run a job in a fork; send it the signal `kill` after so many seconds; let no file grow beyond `largest_file`."""
    module = importlib.import_module(job.module)
    with tempfile.TemporaryFile() as errors:
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            _become(job, module, folder, errors.fileno(), largest_file)
        if kill is not None:
            time.sleep(after)
            os.kill(child, kill)
        _, status = os.waitpid(child, 0)
        errors.seek(0)
        said = errors.read().decode(errors="replace")
    return Ended(os.waitstatus_to_exitcode(status), said, time.monotonic() - started)


def _become(job: Job, module: object, folder: Path, errors: int, largest_file: int | None) -> None:
    status = 70
    try:
        os.chdir(folder)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for target, source in ((0, nowhere), (1, nowhere), (2, errors)):
            os.dup2(source, target)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", encoding="utf-8", errors="backslashreplace") for n in (1, 2))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python itself does when it starts
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
        sys.argv = [job.module, *job.arguments]
        command(module.main)
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:  # noqa: BLE001  # what escapes a command is what is looked for
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def files_of(folder: Path) -> dict[Path, float]:
    """Every file of the results with its time of change, relative to the project."""
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.glob("results/**/*") if path.is_file()}


def sums(folder: Path, names: list[Path] | None = None) -> dict[Path, str]:
    """sha256 of the results that two equal runs have in common; of those `names` that are there."""
    chosen = files_of(folder) if names is None else names
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in chosen
        if not TIMED.search(str(name.relative_to(RESULTS))) and (folder / name).is_file()
    }


def leftovers(folder: Path) -> list[str]:
    """Partial files, locks, states set aside: what no run may leave behind."""
    found = [*folder.rglob(".*.partial"), *folder.glob("results/*/state/**/lock"), *folder.rglob("aside-*")]
    return [str(path.relative_to(folder)) for path in found]


def run_undisturbed(folder: Path, target: str) -> list[Job]:
    """Run every job once; its outputs are what is new or changed then."""
    jobs = list_jobs(folder, target)
    for job in jobs:
        before = files_of(folder)
        ended = run(job, folder)
        if ended.status:
            raise SystemExit(f"{job.module} fails without a fault: {ended.said}")
        changed = [name for name, at in files_of(folder).items() if before.get(name) != at]
        job.outputs, job.seconds = sums(folder, changed), ended.seconds
    return jobs
