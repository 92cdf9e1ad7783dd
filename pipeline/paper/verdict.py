"""What the paper claims, what was measured, and a plain verdict on it.

Where a row was trained with several seeds, what is judged is the mean over them, give or take two standard errors.
Where the verdict would change within that range, it is undecided.
"""

import math
import statistics
from decimal import Decimal
from typing import Any, NamedTuple

from pipeline._settings import SEED
from pipeline.paper import CLAIMS, NUMBERS

Evaluations = dict[str, dict[str, dict[str, Any]]]
"""experiment → "row.static" → the evaluation's JSON."""


class Estimate(NamedTuple):
    """A measure over the seeds of a row."""

    mean: float
    deviation: float
    """Of a single seed; 0 where there is one."""
    n: int

    @property
    def doubt(self) -> float:
        """Two standard errors of the mean: 0 where one seed says nothing about it."""
        return 2 * self.deviation / math.sqrt(self.n)


def estimate(values: list[float]) -> Estimate | None:
    """Mean, deviation and number of values; None where there are none."""
    if not values:
        return None
    return Estimate(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0, len(values))


def verdict(
    value: float | None, paper: Decimal | None, tolerance: float, comparable: bool, complete: bool, doubt: float = 0.0
) -> tuple[str, str]:
    """(kind, sentence): kind is within, outside, undecided, incomparable or unprinted."""
    if paper is None or value is None:
        return "unprinted", "not in the paper"
    if not comparable:
        return "incomparable", "not comparable"
    if not complete:
        return "incomparable", "not comparable: cut off"
    difference = value - float(paper)
    if doubt > 0 and abs(abs(difference) - tolerance) < doubt:
        return "undecided", f"undecided (±{tolerance:g}): with these seeds the mean is known to ±{doubt:.2g}"
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
    printed: dict[str, Any] = next((held[experiment] for held in NUMBERS.values() if experiment in held), {})
    entries = []
    for row in rows:
        for kind in ("static", "dynamic"):
            evaluations = of_all_seeds(found, experiment, row, kind)
            if not evaluations:
                continue
            ours = estimate(measured(evaluations, headline["measure"]))
            value, doubt = (ours.mean, ours.doubt) if ours else (None, 0.0)
            paper = printed.get(row, {}).get(kind, {}).get(headline["paper"])
            complete = all(evaluation["model"]["complete"] for evaluation in evaluations.values())
            word, sentence = verdict(value, paper, headline["tolerance"], comparable, complete, doubt)
            entries.append(
                {
                    "row": row,
                    "evaluation": kind,
                    "ours": value,
                    "deviation": ours.deviation if ours else None,
                    "n": len(evaluations),
                    "paper": paper,
                    "difference": None
                    if value is None or paper is None or word == "incomparable"
                    else value - float(paper),
                    "verdict": word,
                    "sentence": sentence,
                    "digits": headline["digits"],
                    "measure": headline["name"],
                }
            )
    return entries


def orderings(experiment: str, found: Evaluations) -> list[dict[str, Any]]:
    """The inequalities that the paper argues from, and whether ours point the same way; None where not measured.

    Where a control trained on for as long without the regulariser, the claim holds only if that is beaten too. It is
    `decided` where the differences, seed by seed, are larger than two standard errors of their mean.
    """
    claim = CLAIMS.get(experiment, {})
    entries = []
    for ordering in claim.get("orderings", []):
        measure = ordering.get("measure", claim["headline"]["measure"])
        ends = {
            end: of_all_seeds(found, *_place(experiment, ordering[end])) if end in ordering else {}
            for end in ("lower", "higher", "control")
        }
        lower, higher, control = (estimate(measured(evaluations, measure)) for evaluations in ends.values())
        entries.append(
            {
                "statement": ordering["statement"],
                "lower": lower and lower.mean,
                "higher": higher and higher.mean,
                "control": control and control.mean,
                "n": lower.n if lower else 0,
                "holds": lower.mean < higher.mean and (control is None or lower.mean < control.mean)
                if lower and higher
                else None,
                "decided": all(_apart(ends["lower"], ends[end], measure) for end in ("higher", "control")),
                "digits": claim["headline"]["digits"],
            }
        )
    return entries


def of_all_seeds(found: Evaluations, experiment: str, row: str, kind: str) -> dict[str, dict[str, Any]]:
    """Seed → the evaluation of a row; the training that is named like its row has the seed ""."""
    named = {}
    for key, evaluation in found.get(experiment, {}).items():
        name, _, evaluated = key.rpartition(".")
        base, _, seed = name.partition(SEED)
        if (base, evaluated) == (row, kind):
            named[seed] = evaluation
    return named


def measured(evaluations: dict[str, dict[str, Any]], measure: str) -> list[float]:
    """A measure of all seeds that have it."""
    return [e["measures"][measure] for e in evaluations.values() if measure in e["measures"]]


def _apart(some: dict[str, dict[str, Any]], others: dict[str, dict[str, Any]], measure: str) -> bool:
    """Whether two rows differ by more than two standard errors of the differences, seed by seed; true for one seed."""
    pairs = [(some[s]["measures"].get(measure), others[s]["measures"].get(measure)) for s in some if s in others]
    difference = estimate([a - b for a, b in pairs if a is not None and b is not None])
    return difference is None or abs(difference.mean) >= difference.doubt


def _place(experiment: str, name: str) -> tuple[str, str, str]:
    """Experiment, row and kind of "row.kind", or of "experiment/row.kind"."""
    other, _, place = name.rpartition("/")
    row, _, kind = place.rpartition(".")
    return other or experiment, row, kind
