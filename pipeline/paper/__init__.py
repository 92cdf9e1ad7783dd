"""What the paper prints, claims and shows, once: read by rules, tables, figures and report."""

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

FILES = {name: Path(__file__).with_name(f"{name}.toml") for name in ("numbers", "claims", "tables", "figures")}


def _read(name: str, **options: Any) -> dict[str, Any]:
    return tomllib.loads(FILES[name].read_text(encoding="utf-8"), **options)


NUMBERS = _read("numbers", parse_float=Decimal)
"""Table → experiment → row → what the paper prints of it, with its digits."""
CLAIMS = _read("claims")
"""Experiment → what the paper says of it, and what decides whether our numbers bear it out."""
TABLES = _read("tables")
"""Table → its title, its experiments and its columns."""
_MEASURES = TABLES.pop("measures")
for _about in TABLES.values():
    _about["measures"] = _MEASURES[_about["measures"]]
FIGURES = _read("figures")
"""Number of a figure → what it shows, what draws it from what, and the lines written for it."""


def holds(table: str, experiment: str, kind: str) -> bool:
    """Whether a table is about an experiment of that name and kind."""
    about = TABLES[table]
    return experiment in about.get("experiments", ()) or kind == about.get("kind")


def name_of_figure(number: str) -> str:
    """Its file in the results."""
    return f"fig{int(number):02}"
