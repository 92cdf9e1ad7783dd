"""What the paper claims, what was measured, and a plain verdict on it."""

import tomllib
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
CLAIMS = tomllib.loads((FOLDER / "claims.toml").read_text(encoding="utf-8"))
FIGURES = CLAIMS.pop("figures")
PAPER = tomllib.loads((FOLDER.parent / "paper.toml").read_text(encoding="utf-8"))

Evaluations = dict[str, dict[str, dict[str, Any]]]
"""experiment → "row.static" → the evaluation's JSON."""


def verdict(value: float | None, paper: float | None, tolerance: float, preset: str, complete: bool) -> tuple[str, str]:
    """(kind, sentence): kind is within, outside, incomparable or unprinted."""
    if paper is None or value is None:
        return "unprinted", "not in the paper"
    if preset != "paper":
        return "incomparable", "not comparable"
    if not complete:
        return "incomparable", "not comparable: cut off"
    difference = value - paper
    if abs(difference) <= tolerance:
        return "within", f"within tolerance (±{tolerance:g})"
    return "outside", f"outside tolerance (±{tolerance:g}): {'worse' if difference > 0 else 'better'}"


def comparisons(experiment: str, rows: list[str], found: Evaluations, preset: str) -> list[dict[str, Any]]:
    """One entry for every evaluation of an experiment: our headline number, the paper's, difference, verdict."""
    claim = CLAIMS.get(experiment)
    if claim is None:
        return []
    headline = claim["headline"]
    printed = PAPER[claim["table"]].get(experiment, {})
    entries = []
    for row in rows:
        for kind in ("static", "dynamic"):
            evaluation = found.get(experiment, {}).get(f"{row}.{kind}")
            if evaluation is None:
                continue
            value = evaluation["measures"].get(headline["measure"])
            paper = printed.get(row, {}).get(kind, {}).get(headline["paper"])
            known = value is not None and paper is not None
            word, sentence = verdict(value, paper, headline["tolerance"], preset, evaluation["model"]["complete"])
            entries.append(
                {
                    "row": row,
                    "evaluation": kind,
                    "ours": value,
                    "paper": paper,
                    "difference": value - paper if known else None,
                    "verdict": word,
                    "sentence": sentence,
                    "digits": headline["digits"],
                    "measure": headline["name"],
                }
            )
    return entries


def orderings(experiment: str, found: Evaluations) -> list[dict[str, Any]]:
    """The inequalities that the paper argues from, and whether ours point the same way; None where not measured."""
    claim = CLAIMS.get(experiment, {})
    entries = []
    for low, high, statement, *other in claim.get("orderings", []):
        measure = other[0] if other else claim["headline"]["measure"]
        values = [_measure(name, experiment, found, measure) for name in (low, high)]
        known = None not in values
        entries.append(
            {
                "statement": statement,
                "lower": values[0],
                "higher": values[1],
                "holds": values[0] < values[1] if known else None,
                "digits": claim["headline"]["digits"],
            }
        )
    return entries


def _measure(name: str, experiment: str, found: Evaluations, measure: str) -> float | None:
    """The measure of "row.kind", or of "experiment/row.kind"."""
    other, _, row = name.rpartition("/")
    return found.get(other or experiment, {}).get(row, {}).get("measures", {}).get(measure)
