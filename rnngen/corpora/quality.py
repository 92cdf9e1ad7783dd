"""Quality reports: what a corpus holds and what is odd about it, as JSON for programs and as Markdown for people."""

from pathlib import Path
from typing import Any

from rnngen.artifacts import write_json, write_whole


def write_quality(corpus: str | Path, report: dict[str, Any]) -> tuple[Path, Path]:
    """Write `report` beside the Parquet file `corpus`: NAME.quality.json and NAME.quality.md; returns both paths.

    Nested mappings become sections; mappings of mappings with the same keys, and lists of such mappings, tables.
    """
    corpus = Path(corpus)
    json_path, markdown_path = corpus.with_suffix(".quality.json"), corpus.with_suffix(".quality.md")
    write_json(json_path, report)
    title = report.get("corpus", corpus.stem)
    text = "\n".join(_section(f"{title}: quality report", report, 1)).rstrip("\n") + "\n"
    with write_whole(markdown_path) as partial:
        partial.write_text(text, encoding="utf-8")
    return json_path, markdown_path


def _section(title: str, value: Any, level: int) -> list[str]:
    lines = [f"{'#' * level} {title}", ""]
    if isinstance(value, dict):
        if value and all(isinstance(row, dict) for row in value.values()) and _same_keys(list(value.values())):
            return lines + _table([{"": key} | row for key, row in value.items()])
        plain = {key: v for key, v in value.items() if not _nested(v)}
        lines += [f"- {_words(key)}: {_cell(v)}" for key, v in plain.items()]
        lines += [""] if plain else []
        for key, v in value.items():
            if _nested(v):
                lines += _section(_words(key), v, level + 1)
        return lines
    return lines + _table(value)


def _nested(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _same_keys(rows: list[dict[str, Any]]) -> bool:
    return all(row.keys() == rows[0].keys() and not any(map(_nested, row.values())) for row in rows)


def _table(rows: list[dict[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(map(_words, names)) + " |", "|" + " --- |" * len(names)]
    lines += ["| " + " | ".join(_cell(row.get(name, "")) for name in names) + " |" for row in rows]
    return [*lines, ""]


def _words(key: str) -> str:
    return key.replace("_", " ")


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.1f}"
    if isinstance(value, list):
        return ", ".join(map(_cell, value)) or "none"
    return "none" if value is None else str(value).replace("|", "\\|").replace("\n", " ")
