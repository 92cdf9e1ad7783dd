"""Verdicts: what is comparable, what is within tolerance, and which inequalities hold."""

import pytest

from pipeline.report.verdict import CLAIMS, FIGURES, PAPER, comparisons, orderings, verdict


@pytest.mark.parametrize(
    ("value", "paper", "preset", "complete", "kind"),
    [
        (1.33, 1.32, "paper", True, "within"),
        (1.25, 1.32, "paper", True, "outside"),
        (1.39, 1.32, "paper", True, "outside"),
        (1.32, 1.32, "demo", True, "incomparable"),
        (1.32, 1.32, "smoke", True, "incomparable"),
        (1.32, 1.32, "paper", False, "incomparable"),
        (1.32, None, "paper", True, "unprinted"),
    ],
)
def test_kinds(value, paper, preset, complete, kind):
    assert verdict(value, paper, 0.02, preset, complete)[0] == kind


def test_better_and_worse_are_told_apart():
    assert verdict(1.2, 1.32, 0.02, "paper", True)[1].endswith("better")
    assert verdict(-1000.0, -1041.0, 15, "paper", True)[1].endswith("worse")


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
    first, second, own = comparisons("treebank-character", ["none", "mine"], found, "paper")
    assert (first["paper"], first["verdict"]) == (1.32, "within") and first["difference"] == pytest.approx(0.01)
    assert (second["paper"], second["verdict"]) == (1.29, "outside")
    assert (own["paper"], own["verdict"], own["difference"]) == (None, "unprinted", None)
    assert comparisons("of-my-own", ["none"], found, "paper") == []


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


def test_every_claim_has_its_printed_numbers():
    for name, claim in CLAIMS.items():
        printed = PAPER[claim["table"]][name]
        assert any(claim["headline"]["paper"] in row.get("static", {}) for row in printed.values())
        for low, high, *_ in claim.get("orderings", []):
            for end in (low, high):
                experiment, _, row = end.rpartition("/")
                assert not experiment or experiment in CLAIMS
                assert row.partition(".")[2] in ("static", "dynamic")
    assert all(figure["experiment"] in CLAIMS for figure in FIGURES.values())
