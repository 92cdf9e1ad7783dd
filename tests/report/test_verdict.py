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
        printed = NUMBERS[claim["table"]][name]
        assert any(claim["headline"]["paper"] in row.get("static", {}) for row in printed.values())
        for ordering in claim.get("orderings", []):
            for end in (ordering["lower"], ordering["higher"], ordering.get("control", "none.static")):
                experiment, _, row = end.rpartition("/")
                assert not experiment or experiment in CLAIMS
                assert row.partition(".")[2] in ("static", "dynamic")
    assert all(figure["experiment"] in CLAIMS for figure in FIGURES.values())
