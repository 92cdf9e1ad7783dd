"""MediaWiki dumps to one Parquet file and a report of what was found in them."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rnngen.artifacts import parse_json, write_json, write_whole
from rnngen.checked_parquet import join_files, open_parquet, parquet_writer, refuse_damage
from rnngen.corpora.wikipedia.dump import LISTED, REVISIONS, Findings, Options, SeenRevisions, read_dumps
from rnngen.corpora.wikipedia.raw import RAW_COLUMNS
from rnngen.corpora.wikipedia.scan import offsets_of, values_of
from rnngen.errors import InputError

ROW_GROUP_BYTES = 8 << 20  # of the long columns
DICTIONARY = ["kind", "part", "ns", "restrictions", "model", "format", "other_slots"]
REPORT = "rnngen report"  # in the metadata of a part, for whoever joins the parts
LARGE = ("text", *RAW_COLUMNS)  # long values: no statistics, nobody asks for the least and the greatest article


def write_wikipedia(
    dumps: Sequence[str | Path], output: Path, options: Options, *, raw: bool = True, part: int | None = None
) -> dict[str, Any]:
    """Parse dump files into the Parquet file `output`; its report goes beside it as JSON and Markdown, and is returned.

    Two runs on equal input give equal bytes, whatever the input is compressed with and whichever parser reads it.
    Without `raw` the bytes around the texts are left out; that the rows give the dump back byte for byte is checked all
    the same. With `part` the one dump is that part of a corpus, which `gather_wikipedia` joins.

    Raises InputError at the first thing that cannot be read (see `Options`), and then writes nothing.
    """
    for dump in dumps:
        if not Path(dump).exists():
            raise InputError(f"{dump}: no such file; download the dump (fetch) or correct the path")
        if Path(dump).is_dir():
            raise InputError(f"{dump}: a folder; name the dump files in it")
    findings = Findings()
    counts = Counts()
    schema = pa.schema([column for column in REVISIONS if raw or column.name not in RAW_COLUMNS])
    with parquet_writer(
        output,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=DICTIONARY,
        write_statistics=[name for name in schema.names if name not in LARGE],
        store_schema=False,  # the types are Parquet's own; so the provenance is schema metadata for every reader
    ) as writer:
        for group in row_groups(counts.count(read_dumps(dumps, options, findings, part)), schema):
            writer.write_table(group, row_group_size=max(len(group), 1))
        report = counts.report(findings)
        about = {"rnngen": provenance_of(report)}
        writer.add_key_value_metadata(about if part is None else about | {REPORT: json.dumps(report)})
        write_reports(report, output)
    return report


def gather_wikipedia(parts: Sequence[Path], output: Path) -> dict[str, Any]:
    """Join the corpora of single dumps, written with `part` 0, 1, …, into the file `output`: row groups are copied.

    The file and its report are those that `write_wikipedia` makes of all the dumps. Raises InputError for parts that
    are damaged or out of order, and where a revision is in more than one of them.
    """
    seen: dict[str, SeenRevisions] = {}
    reports = [check_part(part, number, seen) for number, part in enumerate(parts)]
    report = join_reports(reports)
    if not report["pages"]:
        raise InputError(f"{', '.join(map(str, parts))}: no page with a revision in them; are they dumps of pages?")
    with write_whole(output) as partial:
        join_files(parts, partial, {"rnngen": provenance_of(report)})
        write_reports(report, output)
    return report


def check_part(part: Path, number: int, seen: dict[str, SeenRevisions]) -> dict[str, Any]:
    """The report in the corpus of a dump. InputError unless it is part `number` and its revisions are all new to
    `seen`.
    """
    columns = ("kind", "part", "page_id", "rev_id")
    what = "corpus of one dump (parse_wikipedia makes one, with `part`)"
    with open_parquet(part, {name: REVISIONS.field(name).type for name in columns}, what) as file, refuse_damage(part):
        try:
            report = parse_json((file.schema_arrow.metadata or {})[REPORT.encode()])
            of_wiki = seen.setdefault(report["parts"][0]["wiki"], SeenRevisions())
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise InputError(f"{part}: not written with `part`; expected: {what}") from error
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=columns)
            if table["part"][0].as_py() != number:
                raise InputError(f"{part}: written as part {table['part'][0]}, not {number}; give the parts in order")
            table = table.filter(pc.equal(table["kind"], "revision")).select(["page_id", "rev_id"]).drop_null()
            again = of_wiki.add(*(table[name].to_numpy() for name in ("page_id", "rev_id")))
            if again.any():
                page, revision = (column[int(np.flatnonzero(again)[0])].as_py() for column in table.columns)
                raise InputError(
                    f"{part}: revision {revision} of page {page} is in the corpus twice; leave out the dump that "
                    f"repeats it, or parse all dumps by one command with `keep_going`, which skips and records it"
                )
    return report


def join_reports(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The quality report of several dumps from those of each."""
    whole: dict[str, Any] = {}
    for name, first in reports[0].items():
        values = [report[name] for report in reports]
        if name.endswith("_timestamp"):
            known = [value for value in values if value is not None]
            whole[name] = (min if name.startswith("first") else max)(known, default=None)
        elif isinstance(first, int):
            whole[name] = sum(values)
        elif isinstance(first, dict):
            total = {key: sum(value.get(key, 0) for value in values) for value in values for key in value}
            if name in ("namespaces", "models"):
                total = sort_counts(total)
            elif name != "without_value":
                total = dict(sorted(total.items()))
            whole[name] = total
        elif isinstance(first, list):
            whole[name] = [item for value in values for item in value]
        else:
            whole[name] = first
    whole["sha1_mismatches"] = whole["sha1_mismatches"][:LISTED]
    before = 0
    whole["skipped"] = []
    for report in reports:
        # a file that could not be read to its end is listed in any case; it has no length
        listed = [item for at, item in enumerate(report["skipped"]) if before + at < LISTED or "bytes" not in item]
        whole["skipped"] += listed
        before += report["skipped_items"]
    return whole


def provenance_of(report: dict[str, Any]) -> str:
    """What the corpus itself says about its origin, as JSON."""
    keys = ("bytes", "sha256", "encoding", "schema")
    parts = [{key: part[key] for key in keys} for part in report["parts"]]
    about = {"corpus": "wikipedia", "bytes": report["raw_bytes"], "rows": report["rows"], "parts": parts}
    return json.dumps(about, sort_keys=True)


def write_reports(report: dict[str, Any], output: Path) -> None:
    """The quality report beside a corpus, as JSON and Markdown."""
    write_json(output.with_suffix(".quality.json"), report)
    with write_whole(output.with_suffix(".quality.md")) as markdown:
        markdown.write_text(as_markdown(report), encoding="utf-8")


def row_groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Tables of whole rows, ROW_GROUP_BYTES of long values or a little more, however the rows arrive.

    Each has rows of one dump, so that a corpus is the same whichever job parsed which dump, and the columns of
    `schema`. A table is valid until the next one is asked for: its long columns lie in memory that is reused.
    """
    memory: dict[str, np.ndarray] = {}
    waiting: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        if waiting and batch["part"][0] != waiting[-1]["part"][0]:
            yield contiguous(waiting, schema, memory)
            waiting, size = [], 0
        lengths = np.sum([lengths_of(batch.column(name)) for name in LARGE], axis=0)
        ends = size + np.cumsum(lengths)
        start = 0
        while size + int(lengths[start:].sum()) >= ROW_GROUP_BYTES:
            stop = int(np.searchsorted(ends, ROW_GROUP_BYTES)) + 1
            yield contiguous([*waiting, batch.slice(start, stop - start)], schema, memory)
            ends = ends - ends[stop - 1]
            waiting, size, start = [], 0, stop
        if start < len(batch):
            waiting.append(batch.slice(start))
            size += int(lengths[start:].sum())
    if waiting:
        yield contiguous(waiting, schema, memory)


def contiguous(batches: list[pa.RecordBatch], schema: pa.Schema, memory: dict[str, np.ndarray]) -> pa.Table:
    """One table with one chunk per column: what Parquet pages hold then depends on the rows alone.

    New memory would cost a page fault for every 4 kB, so the long columns are copied into `memory`.
    """
    columns = []
    for name in schema.names:
        chunks = [batch.column(name) for batch in batches]
        if name not in LARGE:
            columns.append(pa.concat_arrays(chunks))
            continue
        values = [values_of(chunk) for chunk in chunks]  # Arrow gives null values no bytes
        size = sum(map(len, values))
        if name not in memory or len(memory[name]) < size:
            memory[name] = np.empty(size + size // 4, np.uint8)
        at = 0
        for value in values:
            memory[name][at : at + len(value)] = np.frombuffer(value, np.uint8)
            at += len(value)
        lengths = np.concatenate([lengths_of(chunk) for chunk in chunks])
        offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
        present = None
        if any(chunk.null_count for chunk in chunks):
            valid = np.concatenate([chunk.is_valid().to_numpy(zero_copy_only=False) for chunk in chunks])
            present = pa.py_buffer(np.packbits(valid, bitorder="little"))
        buffers = [present, pa.py_buffer(offsets), pa.py_buffer(memory[name])]
        columns.append(pa.Array.from_buffers(REVISIONS.field(name).type, len(lengths), buffers))
    return pa.Table.from_arrays(columns, schema=schema)


def lengths_of(column: pa.Array) -> np.ndarray:
    """Bytes of each value; null has none."""
    return np.diff(offsets_of(column))


class Counts:
    """Adds up, over batches, what the report says of the columns."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.namespaces: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self.nulls: Counter[str] = Counter()
        self.true: Counter[str] = Counter()
        self.false_sha1 = 0
        self.redirects = 0
        self.empty_texts = 0
        self.text_bytes = 0
        self.first: int | None = None
        self.last: int | None = None

    def count(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            self.kinds.update(tally(batch.column("kind")))
            revisions = batch
            if batch.num_rows != self._revisions(batch):
                revisions = batch.filter(pc.equal(batch.column("kind"), "revision"))
            self._add(revisions)
            yield batch

    @staticmethod
    def _revisions(batch: pa.RecordBatch) -> int:
        return pc.sum(pc.equal(batch.column("kind"), "revision")).as_py() or 0

    def _add(self, batch: pa.RecordBatch) -> None:
        self.namespaces.update(tally(batch.column("ns")))
        self.models.update(tally(batch.column("model")))
        for name in REVISIONS.names:
            self.nulls[name] += batch.column(name).null_count
        for name in ("contributor_deleted", "comment_deleted", "text_deleted", "minor"):
            self.true[name] += batch.column(name).true_count
        checked = batch.column("sha1_ok")
        self.true["sha1_ok"] += checked.true_count
        self.false_sha1 += checked.false_count
        self.redirects += len(batch) - batch.column("redirect").null_count
        lengths = pc.binary_length(batch.column("text"))
        self.text_bytes += pc.sum(lengths).as_py() or 0
        self.empty_texts += pc.sum(pc.equal(lengths, 0)).as_py() or 0
        least, most = (value.as_py() for value in pc.min_max(batch.column("timestamp").cast(pa.int64())).values())
        if least is not None:
            self.first = least if self.first is None else min(self.first, least)
            self.last = most if self.last is None else max(self.last, most)

    def report(self, findings: Findings) -> dict[str, Any]:
        """The quality report: the same for equal input, whatever the machine."""
        first, last = (
            None if value is None else np.datetime_as_string(np.datetime64(value, "ms"), "s") + "Z"
            for value in (self.first, self.last)
        )
        return {
            "corpus": "wikipedia",
            "parts": [asdict(part) for part in findings.parts],
            "rows": dict(sorted(self.kinds.items())),
            "pages": findings.pages,
            "pages_read_by_lxml": findings.pages_read_by_lxml,
            "raw_bytes": findings.raw_bytes,
            "text_bytes": self.text_bytes,
            "texts_empty": self.empty_texts,
            "texts_deleted": self.true["text_deleted"],
            "texts_absent": self.nulls["text"] - self.true["text_deleted"],
            "sha1_equal": self.true["sha1_ok"],
            "sha1_equal_with_carriage_returns": findings.sha1_with_carriage_returns,
            "sha1_different": self.false_sha1,
            "sha1_not_checked": self.nulls["sha1_ok"],
            "redirects": self.redirects,
            "contributors_deleted": self.true["contributor_deleted"],
            "comments_deleted": self.true["comment_deleted"],
            "minor_edits": self.true["minor"],
            "first_timestamp": first,
            "last_timestamp": last,
            "namespaces": sort_counts(self.namespaces),
            "models": sort_counts(self.models),
            "without_value": {name: self.nulls[name] for name in ("page_id", "ns", "rev_id", "timestamp", "sha1")},
            "tags_without_column": dict(sorted(findings.tags_without_column.items())),
            "skipped_items": findings.skipped_items,
            "sha1_mismatches": findings.mismatches,
            "skipped": findings.skipped,
        }


def sort_counts(counts: Mapping[str, int]) -> dict[str, int]:
    """The most frequent first."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def tally(column: pa.Array) -> dict[str, int]:
    return {str(item["values"]): item["counts"] for item in pc.value_counts(column).to_pylist()}


def as_markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [
        "# Wikipedia corpus: quality report",
        "",
        "| file | format | schema | bytes | sha256 of the dump |",
        "|---|---|---|---|---|",
    ]
    for part in report["parts"]:
        sha256 = f"`{part['sha256']}`" if part["sha256"] else "not read to its end"
        lines.append(f"| {cell(part['file'])} | {part['format']} | {part['schema']} | {part['bytes']:,} | {sha256} |")
    failed = [cell(part["file"]) for part in report["parts"] if part["failed"]]
    lines += [
        "",
        "The rows joined give each file back byte for byte (compared in the run)"
        + (f", except {', '.join(failed)}: what follows where reading ended is in no row." if failed else "."),
        "",
        "| what | number |",
        "|---|---|",
    ]
    for name, value in report.items():
        if isinstance(value, int):
            lines.append(f"| {name.replace('_', ' ')} | {value:,} |")
        elif isinstance(value, str) or value is None:
            lines.append(f"| {name.replace('_', ' ')} | {value} |")
    for name in ("rows", "namespaces", "models", "without_value", "tags_without_column"):
        lines += ["", f"## {name.replace('_', ' ').capitalize()}", ""]
        lines += [f"- {cell(key)}: {value:,}" for key, value in report[name].items()] or ["none"]
    lines += ["", "## Oddities", ""]
    oddities = [
        f"- {cell(part['file'])}: {cell(text)}"
        for part in report["parts"]
        for text in (*part["warnings"], *([part["truncated"]] if part["truncated"] else []))
    ]
    lines += oddities or ["none"]
    for name, number in (("sha1_mismatches", report["sha1_different"]), ("skipped", report["skipped_items"])):
        lines += ["", f"## {name.replace('_', ' ').capitalize()}", ""]
        lines += [
            f"- {cell(item['file'])}, byte {item['offset']:,}: "
            + cell(": ".join(filter(None, (item.get("title"), item["reason"]))))
            for item in report[name][:100]
        ] or ["none"]
        if number > 100:
            lines.append(f"- and {number - 100:,} more, the first of them in the JSON")
    return "\n".join(lines) + "\n"


def cell(text: object) -> str:
    """Text that cannot break out of a table cell or list item."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")
