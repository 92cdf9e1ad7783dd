"""IAM-OnDB to Parquet beside what its readers usually do: `python -m benchmarks.parse_iamondb FOLDER`.

The usual way unpacks the archive to disk, walks the tree and reads every file with ElementTree into lists and arrays;
it stops there, without transcripts, checks or Parquet. Each run is a process of its own and the two take turns; the
figures are processor seconds with imports, and the largest resident set. FOLDER holds lineStrokes-all.tar.gz,
ascii-all.tar.gz and the lists: the real ones, or those of `pipeline.generate_handwriting`.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from pipeline._command import command
from rnngen.artifacts import machine

USUAL = """
import os, sys, tarfile, tempfile
import xml.etree.ElementTree as ET
import numpy as np
archive, folder = sys.argv[1:]
with tarfile.open(archive) as tar:
    tar.extractall(folder, filter="data")
lines = {}
for root, _, names in os.walk(folder):
    for name in names:
        if not name.endswith(".xml"):
            continue
        points, strokes = [], []
        for stroke in ET.parse(os.path.join(root, name)).getroot().find("StrokeSet"):
            for point in stroke:
                points.append((int(point.attrib["x"]), int(point.attrib["y"]), float(point.attrib["time"])))
            strokes.append(len(stroke))
        lines[name[:-4]] = np.array(points), strokes
print(len(lines), sum(len(points) for points, _ in lines.values()))
"""


def run(arguments: list[str]) -> tuple[float, int]:
    """Processor seconds and largest resident set (bytes) of a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(
    folder: Annotated[Path, Argument(help="folder with lineStrokes-all.tar.gz, ascii-all.tar.gz and the lists")],
    rounds: Annotated[int, Option(min=1)] = 5,
) -> None:
    """Compare with extractall and ElementTree."""
    ways: dict[str, list[tuple[float, int]]] = {"rnngen": [], "extractall + ElementTree": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as scratch:
            output = str(Path(scratch) / "iam.parquet")
            ways["rnngen"].append(run(["-m", "pipeline.parse_iamondb", str(folder), "--output", output]))
            archive = str(folder / "lineStrokes-all.tar.gz")
            ways["extractall + ElementTree"].append(run(["-c", USUAL, archive, str(Path(scratch) / "tree")]))
    ratio = statistics.median(
        usual / ours for (ours, _), (usual, _) in zip(ways["rnngen"], ways["extractall + ElementTree"], strict=True)
    )
    print(f"{machine()}; medians of {rounds} interleaved runs")
    print("| | processor seconds | resident set, MB |\n| --- | --- | --- |")
    for way, runs in ways.items():
        seconds, rss = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"| {way} | {seconds:.1f} | {rss / 1e6:.0f} |")
    print(f"ratio of processor seconds: {ratio:.1f}")


if __name__ == "__main__":
    command(main)
