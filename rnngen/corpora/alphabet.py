"""Alphabets: symbols to the integers a network reads, and back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rnngen.errors import InputError


@dataclass(frozen=True)
class Alphabet:
    """An ordered set of symbols; a symbol is a character, a word, or the name of a class of characters.

    The integer of a symbol is its place. With `other`, everything outside the alphabet is encoded as the symbol of
    that name (the "non-letter" class of §5.2); without it, such a symbol is an error.
    """

    symbols: tuple[str, ...]
    other: str | None = None

    def __post_init__(self) -> None:
        if len(set(self.symbols)) != len(self.symbols):
            twice = sorted({s for s in self.symbols if self.symbols.count(s) > 1})
            raise InputError(f"alphabet: {', '.join(map(repr, twice))} listed twice; list every symbol once")
        if self.other is not None and self.other not in self.symbols:
            raise InputError(f"alphabet: the class {self.other!r} of all other characters is not among its symbols")

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def index(self) -> dict[str, int]:
        """Symbol to integer."""
        return {symbol: i for i, symbol in enumerate(self.symbols)}

    def find_unknown(self, symbols: Iterable[str]) -> list[str]:
        """Those of `symbols` that the alphabet lacks, each once, sorted."""
        return sorted(set(symbols) - self.index.keys())

    def encode(self, symbols: Iterable[str], where: str = "the text") -> np.ndarray:
        """Integers (n,), int64, of a string's characters or of a list of symbols.

        Raises InputError naming the symbols outside the alphabet, unless the alphabet has a class for them; `where`
        is what the message blames.
        """
        symbols = list(symbols)
        index, other = self.index, None if self.other is None else self.index[self.other]
        codes = [index.get(symbol, other) for symbol in symbols]
        if None in codes:
            missing = self.find_unknown(symbols)
            raise InputError(
                f"{where}: {name_symbols(missing)} outside the alphabet of {len(self)} symbols "
                f"{show_symbols(self.symbols)}; replace what is outside or use the alphabet of this text"
            )
        return np.array(codes, dtype=np.int64)

    def decode(self, codes: Iterable[int]) -> list[str]:
        """The symbols of integers."""
        return [self.symbols[code] for code in codes]

    def as_json(self) -> dict[str, Any]:
        """Plain values that `from_json` takes back."""
        return {"symbols": list(self.symbols), "other": self.other}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Alphabet":
        """The inverse of `as_json`."""
        return cls(tuple(values["symbols"]), values["other"])


def name_symbols(symbols: Sequence[str]) -> str:
    """At most eight symbols with their code points, for a message."""
    first = [f"{s!r} (U+{ord(s):04X})" if len(s) == 1 else repr(s) for s in symbols[:8]]
    return ", ".join(first) + (f" and {len(symbols) - 8} more" if len(symbols) > 8 else "")


def show_symbols(symbols: Sequence[str]) -> str:
    """The alphabet on one line, cut after a hundred symbols."""
    text = "".join(symbols) if all(len(s) == 1 for s in symbols) else " ".join(symbols[:100])
    return repr(text if len(symbols) <= 100 or len(text) <= 300 else text[:300] + "…")
