"""Jobs that are killed at seeded moments, or find no room, and are run again with the same command."""

import itertools
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.project import PRESET, SNAKEMAKE, Job, environment, leftovers, make_project, run, sums

SIGNALS = (signal.SIGKILL,) * 4 + (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def prepare(job: Job, folder: Path, random_: random.Random) -> None:
    """Half of the time nothing is there yet; a training always begins, for a finished one would only be written."""
    if job.state is not None:
        shutil.rmtree(folder / job.state, ignore_errors=True)
    if job.state is not None or random_.random() < 0.5:
        for name in job.outputs:
            (folder / name).unlink(missing_ok=True)


def judge(job: Job, folder: Path) -> str:
    """What the same command, undisturbed, makes of a project after a fault."""
    half = [name for name, found in sums(folder, list(job.outputs)).items() if found != job.outputs[name]]
    if half:
        return f"half a file: {half[0]}"
    ended = run(job, folder)
    if ended.status:
        return f"does not go on: {ended.said.strip()[-200:]}"
    if sums(folder, list(job.outputs)) != job.outputs:
        return "other results"
    return f"left behind: {left[0]}" if (left := leftovers(folder)) else "equal"


def kills(jobs: list[Job], folder: Path, count: int, seed: int) -> Iterator[tuple[str, str]]:
    """(stage, outcome) of `count` kills, the stages in turns."""
    random_ = random.Random(seed)
    done = 0
    for job in itertools.cycle(random_.sample(jobs, len(jobs))):
        if done >= count:
            return
        prepare(job, folder, random_)
        said, times = "", random_.choice((1, 1, 2, 3))
        for _ in range(times):
            ended = run(job, folder, kill=random_.choice(SIGNALS), after=random_.uniform(0, job.seconds))
            said += ended.said if "Traceback" in ended.said else ""
        done += times
        outcome = f"traceback: {said[-200:]}" if said else judge(job, folder)
        yield from [(job.module.removeprefix("pipeline."), outcome)] * times


def full_disks(jobs: list[Job], folder: Path, count: int, seed: int) -> Iterator[tuple[str, str]]:
    """(stage, outcome) of jobs whose files cannot grow beyond a part of what they need."""
    random_ = random.Random(seed)
    for job in itertools.islice(itertools.cycle(random_.sample(jobs, len(jobs))), count):
        largest = max((folder / name).stat().st_size for name in job.outputs)
        prepare(job, folder, random_)
        # a page for the line on standard error, which goes to a file too
        ended = run(job, folder, largest_file=max(4096, int(largest * random_.random())))
        lines = [line for line in ended.said.splitlines() if line.startswith("error: ")]
        stage = job.module.removeprefix("pipeline.")
        if ended.status not in (0, 1) or "Traceback" in ended.said or (ended.status == 1 and len(lines) != 1):
            yield stage, f"not one line: {ended.said.strip()[-200:]}"
        else:
            yield stage, judge(job, folder)


def workflow_kills(folder: Path, target: str, expected: dict[Path, str], count: int, seed: int) -> Iterator[str]:
    """Outcomes of `count` kills of Snakemake and all its jobs; a run that came to its end is begun anew.

    SIGKILL stands for a power cut; SIGINT and SIGHUP go to the whole group, as a terminal sends them.
    """
    random_ = random.Random(seed)
    arguments = [str(SNAKEMAKE), target, "--configfile", PRESET]
    number, seconds, since = 0, 40.0, 0
    make_project(folder)
    for _ in range(10 * count + 10):
        started = time.monotonic()
        process = subprocess.Popen(
            arguments,
            cwd=folder,
            env=environment(),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if number < count:
            try:
                process.wait(timeout=random_.uniform(0, seconds))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, random_.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGHUP)))
                number, since = number + 1, since + 1
                process.communicate()
                wait_for_group(process.pid)
                continue
        _, said = process.communicate()
        if "LockException" in said:
            yield "wants --unlock"
            subprocess.run([*arguments, "--unlock"], cwd=folder, env=environment(), capture_output=True, check=True)
            continue
        seconds = max(20.0, time.monotonic() - started)
        if process.returncode:
            outcome = f"does not go on: {said.strip()[-300:]}"
        elif sums(folder, list(expected)) != expected:
            outcome = "other results"
        else:
            left = leftovers(folder)
            outcome = f"left behind: {left[0]}" if left else "equal"
        yield from [outcome] * since
        since = 0
        if number >= count:
            return
        shutil.rmtree(folder / "results")


def wait_for_group(group: int) -> None:
    """Until no process of a group is left."""
    while True:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.2)
