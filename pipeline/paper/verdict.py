"""What the paper claims, what was measured, and a plain verdict on it."""

from decimal import Decimal
from typing import Any

from pipeline.paper import CLAIMS, NUMBERS

Evaluations = dict[str, dict[str, dict[str, Any]]]
"""experiment → "row.static" → the evaluation's JSON."""


def verdict(
    value: float | None, paper: Decimal | None, tolerance: float, comparable: bool, complete: bool
) -> tuple[str, str]:
    """(kind, sentence): kind is within, outside, incomparable or unprinted."""
    if paper is None or value is None:
        return "unprinted", "not in the paper"
    if not comparable:
        return "incomparable", "not comparable"
    if not complete:
        return "incomparable", "not comparable: cut off"
    difference = value - float(paper)
    if abs(difference) <= tolerance:
        return "within", f"within tolerance (±{tolerance:g})"
    return "outside", f"outside tolerance (±{tolerance:g}): {'worse' if difference > 0 else 'better'}"


def comparisons(experiment: str, rows: list[str], found: Evaluations, comparable: bool) -> list[dict[str, Any]]:
    """One entry for every evaluation of an experiment: our headline number, the paper's, their difference, verdict.

    There is a difference only where the two are comparable.
    """
    claim = CLAIMS.get(experiment)
    if claim is None:
        return []
    headline = claim["headline"]
    printed = NUMBERS[claim["table"]].get(experiment, {})
    entries = []
    for row in rows:
        for kind in ("static", "dynamic"):
            evaluation = found.get(experiment, {}).get(f"{row}.{kind}")
            if evaluation is None:
                continue
            value = evaluation["measures"].get(headline["measure"])
            paper = printed.get(row, {}).get(kind, {}).get(headline["paper"])
            word, sentence = verdict(value, paper, headline["tolerance"], comparable, evaluation["model"]["complete"])
            entries.append(
                {
                    "row": row,
                    "evaluation": kind,
                    "ours": value,
                    "paper": paper,
                    "difference": value - float(paper) if word in ("within", "outside") else None,
                    "verdict": word,
                    "sentence": sentence,
                    "digits": headline["digits"],
                    "measure": headline["name"],
                }
            )
    return entries


def orderings(experiment: str, found: Evaluations) -> list[dict[str, Any]]:
    """The inequalities that the paper argues from, and whether ours point the same way; None where not measured.

    Where a control trained on for as long without the regulariser, the claim holds only if that is beaten too.
    """
    claim = CLAIMS.get(experiment, {})
    entries = []
    for ordering in claim.get("orderings", []):
        measure = ordering.get("measure", claim["headline"]["measure"])
        lower, higher, control = (
            _measure(ordering[end], experiment, found, measure) if end in ordering else None
            for end in ("lower", "higher", "control")
        )
        entries.append(
            {
                "statement": ordering["statement"],
                "lower": lower,
                "higher": higher,
                "control": control,
                "holds": None
                if lower is None or higher is None
                else lower < higher and (control is None or lower < control),
                "digits": claim["headline"]["digits"],
            }
        )
    return entries


def _measure(name: str, experiment: str, found: Evaluations, measure: str) -> float | None:
    """The measure of "row.kind", or of "experiment/row.kind"."""
    other, _, row = name.rpartition("/")
    return found.get(other or experiment, {}).get(row, {}).get("measures", {}).get(measure)
