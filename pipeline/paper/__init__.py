"""What the paper prints, claims and shows, once: read by rules, tables, figures and report."""

import tomllib
from decimal import Decimal
from pathlib import Path

_FOLDER = Path(__file__).parent
NUMBERS = tomllib.loads((_FOLDER / "numbers.toml").read_text(encoding="utf-8"), parse_float=Decimal)
"""Table → experiment → row → what the paper prints of it, with its digits."""
CLAIMS = tomllib.loads((_FOLDER / "claims.toml").read_text(encoding="utf-8"))
FIGURES = CLAIMS.pop("figures")
LINES = tomllib.loads((_FOLDER / "lines.toml").read_text(encoding="utf-8"))
"""Figure → the lines of handwriting it shows."""
