"""Do all faults and print the table of docs/reliability.md.

python -m tests.faults                      # all of it: half an hour on two cores
python -m tests.faults --kills 20 --workflow-kills 2 --disks 10 --torn 5 --mutations 50
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: forks of a process with threads hang

import importlib
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import torch
import typer

from pipeline._command import command
from tests.faults.damage import mutated, torn, try_readers
from tests.faults.kills import full_disks, kills, workflow_kills
from tests.faults.project import ROOT, make_project, run_undisturbed, sums
from tests.faults.readers import list_readers

TABLE2 = "results/smoke/tables/table2.md"
"""What the killed workflows make: parser, training, two evaluations, a table."""


def main(
    kill: Annotated[int, typer.Option("--kills", help="Kills of jobs.")] = 300,
    workflow_kill: Annotated[int, typer.Option("--workflow-kills", help="Kills of Snakemake with its jobs.")] = 20,
    disk: Annotated[int, typer.Option("--disks", help="Jobs that find no room.")] = 100,
    tear: Annotated[int, typer.Option("--torn", help="Torn files for every reader.")] = 200,
    mutation: Annotated[int, typer.Option("--mutations", help="Mutations for every reader.")] = 2500,
    target: Annotated[str, typer.Option(help="What the project makes.")] = "reproduce-all",
    seed: Annotated[int, typer.Option(help="Of moments, signals and changes.")] = 1,
) -> None:
    """Kill, fill, tear and mutate; exit status 1 if anything was lost, half, silent, or a traceback."""
    table: list[tuple[str, Counter[str]]] = []
    with tempfile.TemporaryDirectory(prefix="rnngen-faults-") as place:
        project = make_project(Path(place) / "project")
        torch.set_num_threads(1)
        for path in sorted((ROOT / "pipeline").glob("[a-z]*.py")):
            importlib.import_module(f"pipeline.{path.stem}")
        started = time.monotonic()
        jobs = run_undisturbed(project, target)
        print(f"{len(jobs)} jobs undisturbed, {time.monotonic() - started:.0f} s", flush=True)
        readers = list_readers(project, Path(place) / "copies")
        for what, count, outcomes in (
            ("killed", kill, kills),
            ("no room on the disk", disk, full_disks),
        ):
            stages: dict[str, Counter[str]] = {}
            for stage, outcome in outcomes(jobs, project, count, seed):
                stages.setdefault(stage, Counter())[outcome] += 1
            table += [(f"{what}: {stage}", found) for stage, found in sorted(stages.items())]
            print(f"{what}: {time.monotonic() - started:.0f} s", flush=True)
        if workflow_kill:
            expected = sums(project, [name for job in jobs for name in job.outputs if on_the_way_to_table2(name)])
            found = Counter(workflow_kills(Path(place) / "killed", TABLE2, expected, workflow_kill, seed))
            table.append(("killed: snakemake with its jobs", found))
            print(f"workflow kills: {time.monotonic() - started:.0f} s", flush=True)
        for what, count, change in (
            ("torn", tear, lambda path, data, random_: torn(data, random_)),
            ("mutated", mutation, mutated),
        ):
            found = try_readers(readers, count, seed, change) if count else {}
            table += [(f"{what}: {name}", outcomes) for name, outcomes in found.items()]
            print(f"{what}: {time.monotonic() - started:.0f} s", flush=True)
    print("\n".join(lines_of(table)))
    if any(is_fault(outcome) for _, found in table for outcome in found):
        raise typer.Exit(1)


def on_the_way_to_table2(name: Path) -> bool:
    """Whether a result is one of those that the killed workflows make."""
    ending = r"/(tables/table2\.\w+|corpora/wikipedia\.parquet|models/wikipedia/none/.*|evaluations/wikipedia/none\..*)"
    return re.search(f"{ending}$", str(name)) is not None


def is_fault(outcome: str) -> bool:
    """Whether an outcome is one that must not be."""
    return outcome not in ("equal", "refused", "other", "state before")


def lines_of(table: list[tuple[str, Counter[str]]]) -> Iterable[str]:
    """The table as Markdown: one row per stage or reader, and the sums."""
    good = ("equal", "refused", "state before", "other")
    yield "| fault | tried | equal | refused | state before | other value | must not be |"
    yield "|---|---|---|---|---|---|---|"
    total: Counter[str] = Counter()
    for name, found in [*table, ("all", total)]:
        bad = "; ".join(f"{count} {outcome}" for outcome, count in found.items() if is_fault(outcome))
        yield f"| {name} | {found.total()} | {' | '.join(str(found[o]) for o in good)} | {bad or 0} |"
        total += found


if __name__ == "__main__":
    command(main)
