"""Write the tables of docs/reproduction.md from what the paper prints and results/published.

python -m tools.published_tables
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline._command import command
from pipeline._settings import ROOT
from pipeline.paper import CLAIMS, NUMBERS, TABLES
from pipeline.paper.verdict import verdict
from pipeline.report.render import format_printed, format_signed
from rnngen.artifacts import read_json_object, write_whole
from rnngen.errors import InputError

PAGE = ROOT / "docs" / "reproduction.md"
PUBLISHED = ROOT / "results" / "published"
BEGIN, END = "<!-- {}: by tools.published_tables -->\n", "<!-- end -->\n"
HEADER = "| network | row | evaluation | paper | ours | difference | verdict | epochs, paper | epochs, ours | hours |\n"
RULE = "|---" * (HEADER.count("|") - 1) + "|\n"
NOT_CONVERGED = "Not converged"
"""What the note of a result says of a training that was ended before it stopped by itself."""


def main() -> None:
    """Replaces what stands between the marks of every table; the rest of the page is left as it is."""
    with write_whole(PAGE) as partial:
        partial.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def with_tables(page: str, published: Path = PUBLISHED) -> str:
    """The page with every table as it follows from the published results."""
    for table in TABLES:
        begin = BEGIN.format(table)
        before, _, rest = page.partition(begin)
        old, _, after = rest.partition(END)
        if page.count(begin) != 1 or page.count(END) != len(TABLES) or "\n#" in old:
            raise InputError(f"{PAGE}: not one {begin!r} with its {END!r}; put them back")
        rows = "".join(f"| {' | '.join(row)} |\n" for row in rows_of(table, published))
        page = f"{before}{begin}{HEADER}{RULE}{rows}{END}{after}"
    return page


def rows_of(table: str, published: Path) -> Iterator[list[str]]:
    """The paper's rows in its order, then rows of ours that it does not have, then those that keep to the letter."""
    for experiment, printed in NUMBERS[table].items():
        for name, rows in ((experiment, printed), (f"{experiment}-literal", {})):
            own = sorted(path.stem for path in (published / name).glob("*.json"))
            for row in dict.fromkeys((*rows, *own)):
                path = published / name / f"{row}.json"
                found = read_json_object(path, "a published result") if path.exists() else None
                numbers = printed.get(row, {})
                kinds = [kind for kind, measures in numbers.items() if isinstance(measures, dict)]
                for kind in dict.fromkeys((*kinds, *(found["evaluations"] if found else ()))):
                    yield [name, row, kind, *cells(experiment, kind, numbers, found)]


def cells(experiment: str, kind: str, numbers: dict[str, Any], found: dict[str, Any] | None) -> Iterator[str]:
    """Paper, ours, difference, verdict, epochs and hours of one evaluation."""
    headline = CLAIMS[experiment]["headline"]
    digits, tolerance = headline["digits"], headline["tolerance"]
    paper = numbers.get(kind, {}).get(headline["paper"])
    yield format_printed(paper)
    measured = found and found["evaluations"].get(kind)
    if not found or not measured:
        yield from ("–", "–", "not trained yet", str(numbers.get("epochs", "–")), "–", "–")
        return
    ours = measured["measures"][headline["measure"]]
    yield format_printed(f"{ours:.{digits}f}")
    yield format_signed(None if paper is None else round(ours - float(paper), digits) + 0.0, digits)
    word, _ = verdict(ours, paper, tolerance, comparable=True, complete=True)
    if NOT_CONVERGED in found["note"]:
        yield "not converged"
    else:
        yield "–" if word == "unprinted" else f"{word} ±{tolerance:g}"
    yield str(numbers.get("epochs", "–"))
    yield f"{found['model']['epochs']:.3g}"
    yield f"{found['training']['wall_seconds'] / 3600:.1f}"


if __name__ == "__main__":
    command(main)
