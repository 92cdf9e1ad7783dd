"""Verdicts: what is comparable, what is within tolerance, and which inequalities hold."""

from decimal import Decimal

import pytest

from pipeline.paper import CLAIMS, FIGURES, NUMBERS
from pipeline.paper.verdict import comparisons, orderings, verdict


@pytest.mark.parametrize(
    ("value", "paper", "comparable", "complete", "kind"),
    [
        (1.33, Decimal("1.32"), True, True, "within"),
        (1.25, Decimal("1.32"), True, True, "outside"),
        (1.39, Decimal("1.32"), True, True, "outside"),
        (1.32, Decimal("1.32"), False, True, "incomparable"),
        (1.32, Decimal("1.32"), True, False, "incomparable"),
        (1.32, None, True, True, "unprinted"),
    ],
)
def test_kinds(value, paper, comparable, complete, kind):
    assert verdict(value, paper, 0.02, comparable, complete)[0] == kind


def test_better_and_worse_are_told_apart():
    assert verdict(1.2, Decimal("1.32"), 0.02, True, True)[1].endswith("better")
    assert verdict(-1000.0, Decimal("-1041.0"), 15, True, True)[1].endswith("worse")


def evaluation(value, complete=True):
    measures = {"bits_per_character": value, "bits_per_character_exact": value}
    return {"measures": measures, "model": {"complete": complete}}


def test_comparisons_of_an_experiment():
    found = {
        "treebank-character": {
            "none.static": evaluation(1.33),
            "none.dynamic": evaluation(1.5),
            "mine.static": evaluation(1),
        }
    }
    first, second, own = comparisons("treebank-character", ["none", "mine"], found, True)
    assert (first["paper"], first["verdict"]) == (Decimal("1.32"), "within") and first["difference"] == pytest.approx(
        0.01
    )
    assert (second["paper"], second["verdict"]) == (Decimal("1.29"), "outside")
    assert (own["paper"], own["verdict"], own["difference"]) == (None, "unprinted", None)
    assert comparisons("of-my-own", ["none"], found, True) == []
    incomparable = comparisons("treebank-character", ["none"], found, False)
    assert [(entry["verdict"], entry["difference"]) for entry in incomparable] == [("incomparable", None)] * 2


def test_orderings_reach_into_other_experiments():
    found = {
        "treebank-word": {"none.static": evaluation(1.4), "none.dynamic": evaluation(1.3)},
        "treebank-character": {"none.static": evaluation(1.3)},
    }
    holds = {entry["statement"]: entry["holds"] for entry in orderings("treebank-word", found)}
    assert holds == {
        "words do better than characters": False,
        "weight noise helps": None,
        "dynamic evaluation helps": True,
        "dynamic evaluation helps the network with weight noise": None,
    }


@pytest.mark.parametrize(("control", "holds"), [(None, True), (-120.0, True), (-147.5, False)])
def test_a_claim_is_held_against_the_control_where_there_is_one(control, holds):
    losses = {"none.static": -130.0, "adaptive-weight-noise.static": -135.2, "continued.static": control}
    found = {"prediction-3-layer": {row: {"measures": {"loss": x}} for row, x in losses.items() if x is not None}}
    helps = orderings("prediction-3-layer", found)[-1]
    assert (helps["control"], helps["holds"]) == (control, holds)


def test_every_claim_of_a_regulariser_has_its_control():
    for claim in CLAIMS.values():
        for ordering in claim.get("orderings", []):
            assert ("control" in ordering) == ordering["lower"].endswith("noise.static")


def test_every_claim_has_its_printed_numbers():
    for name, claim in CLAIMS.items():
        printed = next(held[name] for held in NUMBERS.values() if name in held)
        assert any(claim["headline"]["paper"] in row.get("static", {}) for row in printed.values())
        for ordering in claim.get("orderings", []):
            for end in (ordering["lower"], ordering["higher"], ordering.get("control", "none.static")):
                experiment, _, row = end.rpartition("/")
                assert not experiment or experiment in CLAIMS
                assert row.partition(".")[2] in ("static", "dynamic")
    assert all(figure["experiment"] in CLAIMS for figure in FIGURES.values())


def of_seeds(*values):
    return {("none" if seed == 1 else f"none--seed-{seed}") + ".static": v for seed, v in enumerate(values, 1)}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((1.325, 1.326, 1.327), "within"),  # the mean to ±0.0012, 0.0152 from the edge of ±0.02
        ((1.30, 1.33, 1.36), "undecided"),  # the mean to ±0.035
        ((1.40, 1.41, 1.42), "outside"),
        ((1.335, 1.345), "undecided"),  # on the edge
        ((1.33,), "within"),  # one seed knows no spread
    ],
)
def test_a_verdict_uses_the_spread_over_seeds(values, kind):
    found = {"treebank-character": of_seeds(*map(evaluation, values))}
    (entry,) = comparisons("treebank-character", ["none"], found, True)
    assert (entry["verdict"], entry["n"]) == (kind, len(values))
    assert entry["ours"] == pytest.approx(sum(values) / len(values))
    assert (entry["deviation"] > 0) == (len(values) > 1)


def test_one_seed_that_was_cut_off_makes_the_row_incomparable():
    found = {"treebank-character": of_seeds(evaluation(1.32), evaluation(1.32, complete=False))}
    (entry,) = comparisons("treebank-character", ["none"], found, True)
    assert entry["verdict"] == "incomparable"


@pytest.mark.parametrize(("differences", "decided"), [((-0.1, -0.1, -0.11), True), ((-0.2, 0.3, -0.2), False)])
def test_an_ordering_is_decided_seed_by_seed(differences, decided):
    """Seeds far apart do no harm where each of them shows the same."""
    words = {}
    for seed, (value, difference) in enumerate(zip((1.0, 2.0, 3.0), differences, strict=True), 1):
        name = "none" if seed == 1 else f"none--seed-{seed}"
        words[f"{name}.dynamic"] = evaluation(value + difference)
        words[f"{name}.static"] = evaluation(value)
    entries = orderings("treebank-word", {"treebank-word": words})
    (entry,) = [e for e in entries if e["lower"] is not None and e["higher"] is not None]
    assert (entry["decided"], entry["n"]) == (decided, 3)
    assert entry["holds"] == (sum(differences) < 0)
