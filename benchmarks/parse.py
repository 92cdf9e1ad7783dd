"""How fast dumps become Parquet, beside gensim, mwxml and wikiextractor: `python -m benchmarks.parse --help`.

Every run is a process of its own; contestants take turns, so that what else the machine does falls on all of them.
Time is processor time after the imports. The dump is the real sample's text, cut into pages as long as those of the
English Wikipedia (45 % redirects, 4.3 kB a page).
"""

import bz2
import hashlib
import json
import math
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from pipeline._command import command
from rnngen.artifacts import machine
from rnngen.corpora.sources import fetch

MEASURE = """
import json, resource, sys, time
import pyarrow
pyarrow.array([b"x"])  # imports pandas where there is one: not part of the work
def measure(work):
    wall, cpu = time.perf_counter(), time.process_time()
    pages = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    scale = 1 if sys.platform == "darwin" else 1024
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    print(json.dumps({"wall": wall, "cpu": cpu, "rss": rss, "pages": pages}))
"""
PARQUET = """
import bz2, pyarrow as pa, pyarrow.parquet as pq
open_dump = lambda path: bz2.open(path) if path.endswith("bz2") else open(path, "rb")
def write(rows, path):
    "rows of (title, id, text) to Parquet, 32 MB of text a row group"
    schema = pa.schema([("title", pa.string()), ("id", pa.string()), ("text", pa.string())])
    pages = size = 0
    waiting = []
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1, use_dictionary=False) as writer:
        def flush():
            columns = [pa.array(column, pa.string()) for column in zip(*waiting)]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
        for row in rows:
            waiting.append(row); pages += 1; size += len(row[2] or "")
            if size > 32 << 20:
                flush(); waiting.clear(); size = 0
        if waiting:
            flush()
    return pages
"""
OURS = """
from pathlib import Path
from rnngen.corpora.wikipedia.dump import Options
from rnngen.corpora.wikipedia.parquet import write_wikipedia
dump, output, columnar, workers, raw = sys.argv[1:]
options = Options(columnar=columnar == "columnar", workers=int(workers))
measure(lambda: write_wikipedia([dump], Path(output), options, raw=raw == "raw")["pages"])
"""
GENSIM = """
from gensim.corpora.wikicorpus import extract_pages
rows = lambda: ((title, page, text) for title, text, page in extract_pages(open_dump(sys.argv[1])))
measure(lambda: write(rows(), sys.argv[2]))
"""
MWXML = """
import mwxml
def rows():
    for page in mwxml.Dump.from_file(open_dump(sys.argv[1])):
        for revision in page:
            yield page.title, str(page.id), revision.text
measure(lambda: write(rows(), sys.argv[2]))
"""
WIKIEXTRACTOR = """
import wikiextractor.WikiExtractor as wikiextractor
wikiextractor.templateNamespace = "Template:"  # it finds out by reading the whole dump once before
lines = lambda: (line.decode() for line in open_dump(sys.argv[1]))
rows = lambda: ((title, page, "".join(text)) for page, _, title, text in wikiextractor.collect_pages(lines()))
measure(lambda: write(rows(), sys.argv[2]))
"""
DECODER = """
from rnngen.corpora.decompression import CompressedFile
measure(lambda: sum(len(block) for block in CompressedFile(sys.argv[1], workers=int(sys.argv[2])).blocks()))
"""


def make_dump(sample: Path, path: Path, megabytes: int) -> None:
    """Write a dump of real text and made-up pages, and beside it the same as multistream bzip2 (100 pages a stream)."""
    source = bz2.decompress(sample.read_bytes())
    header = source[: source.index(b"  <page>")]
    texts = re.findall(rb"<text[^>]*>([^<]{5000,})</text>", source)
    lines = b"\n".join(texts).split(b"\n")
    choose = random.Random(1)
    streams, stream, size, number, line = [header], [], 0, 0, 0
    while size < megabytes * 10**6:
        number += 1
        redirect = b""
        if choose.random() < 0.45:
            redirect = b'    <redirect title="Title %d" />\n' % (number + 1)
            text = b"#REDIRECT [[Title %d]]\n\n{{Redr|move|from CamelCase|up}}" % (number + 1)
        else:
            wanted = min(400_000, choose.lognormvariate(math.log(3200), 1.15))
            chosen = [b"%d" % number]
            while sum(map(len, chosen)) < wanted and len(chosen) < 4000:
                chosen.append(lines[line % len(lines)])
                line += 1
            text = b"\n".join(chosen)
        stream.append(page(number, redirect, text))
        size += len(stream[-1])
        if len(stream) == 100:
            streams.append(b"".join(stream))
            stream = []
    streams += [b"".join(stream), b"</mediawiki>\n"]
    path.write_bytes(b"".join(streams))
    path.with_suffix(".xml.bz2").write_bytes(b"".join(map(bz2.compress, streams)))


def page(number: int, redirect: bytes, text: bytes) -> bytes:
    plain = text.replace(b"&lt;", b"<").replace(b"&gt;", b">").replace(b"&quot;", b'"').replace(b"&amp;", b"&")
    return (
        b"  <page>\n    <title>Title %d</title>\n    <ns>0</ns>\n    <id>%d</id>\n%s    <revision>\n      <id>%d</id>\n"
        b"      <timestamp>2016-04-22T10:19:33Z</timestamp>\n      <contributor>\n        <username>User</username>\n"
        b"        <id>7</id>\n      </contributor>\n      <comment>a better word -&gt; [[WP:MOS]]</comment>\n"
        b"      <model>wikitext</model>\n      <format>text/x-wiki</format>\n"
        b'      <text xml:space="preserve">%s</text>\n      <sha1>%s</sha1>\n    </revision>\n  </page>\n'
    ) % (number, number, redirect, number, text, base36(hashlib.sha1(plain).digest()))


def base36(digest: bytes) -> bytes:
    """A SHA-1 as MediaWiki writes it."""
    number, digits = int.from_bytes(digest, "big"), b"0123456789abcdefghijklmnopqrstuvwxyz"
    return bytes(digits[number // 36**place % 36] for place in reversed(range(31)))


def main(
    megabytes: Annotated[int, typer.Option(min=1, help="Size of the dump.")] = 60,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each contestant, in turn.")] = 5,
    peers: Annotated[
        Path, typer.Option(help="Python with gensim, mwxml and wikiextractor (the extra `peers`).")
    ] = Path(sys.executable),
    folder: Annotated[Path, typer.Option(help="Folder of downloads.")] = Path("data/raw"),
) -> None:
    """Measure parsers of MediaWiki dumps in turn and print a table in Markdown."""
    with tempfile.TemporaryDirectory() as temporary:
        plain = Path(temporary) / "dump.xml"
        make_dump(fetch("enwiki-sample", folder), plain, megabytes)
        packed, output = plain.with_suffix(".xml.bz2"), Path(temporary) / "out.parquet"
        us, them = [sys.executable, "-c"], [str(peers), "-c"]
        contestants: dict[str, list[str]] = {
            "rnngen, with the raw bytes": [*us, MEASURE + OURS, plain, output, "columnar", 1, "raw"],
            "rnngen": [*us, MEASURE + OURS, plain, output, "columnar", 1, "-"],
            "rnngen, lxml": [*us, MEASURE + OURS, plain, output, "lxml", 1, "-"],
            "gensim": [*them, MEASURE + PARQUET + GENSIM, plain, output],
            "mwxml": [*them, MEASURE + PARQUET + MWXML, plain, output],
            "wikiextractor, pages": [*them, MEASURE + PARQUET + WIKIEXTRACTOR, plain, output],
            "bz2: decoder alone, 2 threads": [*us, MEASURE + DECODER, packed, 2],
            "bz2: rnngen with the raw bytes, 2 threads": [*us, MEASURE + OURS, packed, output, "columnar", 2, "raw"],
            "bz2: rnngen, 2 threads": [*us, MEASURE + OURS, packed, output, "columnar", 2, "-"],
            "bz2: gensim": [*them, MEASURE + PARQUET + GENSIM, packed, output],
        }
        results: dict[str, list[dict]] = {name: [] for name in contestants}
        environment = os.environ | {"OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
        for _ in range(rounds):
            for name, arguments in contestants.items():
                done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, env=environment)
                if done.returncode:
                    reason = done.stderr.strip().splitlines()[-1]
                    print(f"{name}: {reason}; pip install 'rnngen[peers]', or --peers PYTHON", file=sys.stderr)
                    continue
                results[name].append(json.loads(done.stdout.strip().splitlines()[-1]))
        print(table(results, plain.stat().st_size))


def table(results: dict[str, list[dict]], size: int) -> str:
    """Medians, and ratios to gensim in the same rounds."""
    lines = [
        f"{machine()}; {size / 1e6:.0f} MB; medians of {max(map(len, results.values()))} rounds in turn",
        "",
        "| | pages | MB / CPU-s | × gensim | MB / s | × gensim | peak RSS, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, runs in results.items():
        if not runs:
            continue
        rates = []
        gensim = results["bz2: gensim" if name.startswith("bz2") else "gensim"]
        for kind in ("cpu", "wall"):
            rates.append(f"{size / 1e6 / statistics.median(run[kind] for run in runs):.0f}")
            pairs = [theirs[kind] / ours[kind] for ours, theirs in zip(runs, gensim, strict=False)]
            rates.append(f"{statistics.median(pairs):.2f}" if pairs else "")
        rss = statistics.median(run["rss"] for run in runs) / 1e6
        pages = "" if "decoder" in name else f"{runs[0]['pages']:,}"
        lines.append(f"| {name} | {pages} | {' | '.join(rates)} | {rss:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    command(main)
