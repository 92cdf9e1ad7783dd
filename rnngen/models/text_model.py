"""A trained text network with what it needs to write: its symbols, and how they become text."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from rnngen.corpora.alphabet import Alphabet
from rnngen.corpora.treebank import END, Treebank
from rnngen.errors import InputError
from rnngen.models.checkpoint import load_network
from rnngen.models.model_directory import check_file, read_config
from rnngen.networks import Network
from rnngen.sampling.text import sample_symbols, utf8


@dataclass(frozen=True)
class TextModel:
    """Network and alphabet; `unit` is character, word or byte; `about` is the whole config.json."""

    network: nn.Module
    alphabet: Alphabet
    unit: str
    about: dict[str, Any]

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> "TextModel":
        """The model of a directory with weights.safetensors and config.json."""
        folder = Path(folder)
        about = read_config(folder)
        if about.get("kind") != "text":
            raise InputError(f"{folder}: a model of {about.get('kind', 'another kind')}, not of text; see rnngen write")
        settings = settings_of(folder, about)
        if "alphabet" not in about:
            raise InputError(f"{folder / 'config.json'}: no alphabet in it; train the model again")
        network = load_described_network(folder, about, device=device)
        return cls(network, Alphabet.from_json(about["alphabet"]), settings["unit"], about)

    def encode(self, text: str) -> list[int]:
        """The symbols of a text; InputError names what the alphabet lacks."""
        if self.unit == "byte":
            codes = {byte_of_name(name): code for code, name in enumerate(self.alphabet.symbols)}
            strange = sorted({byte for byte in text.encode() if byte not in codes})
            if strange:
                raise InputError(f"{text!r} has bytes that the model never read: {', '.join(map(hex, strange))}")
            return [codes[byte] for byte in text.encode()]
        return Treebank(self.unit, self.alphabet, {}, {}, {}, "").encode(text).tolist()

    def text(self, codes: Iterable[int], after: str = "") -> Iterator[str]:
        """Symbols as the text that follows `after`, piece by piece as they come; words stand a blank apart."""
        symbols = self.alphabet.symbols
        if self.unit == "byte":
            yield from utf8(bytes([byte_of_name(symbols[code])]) for code in codes)
            return
        for code in codes:
            symbol = symbols[code]
            apart = self.unit == "word" and symbol != END and after and not after[-1].isspace()
            yield f" {symbol}" if apart else symbol
            after = symbol

    def generate(self, prime: str = "", n: int = 500, temperature: float = 1.0, seed: int = 1) -> str:
        """`prime` and `n` symbols more (section 3); temperature 1 samples as the paper does. Equal seed, equal text."""
        return prime + "".join(self.stream(prime, n, temperature, seed))

    def stream(self, prime: str = "", n: int = 500, temperature: float = 1.0, seed: int = 1) -> Iterator[str]:
        """What `generate` puts behind `prime`, piece by piece as it is drawn."""
        codes = self.encode(prime)
        draws = sample_symbols(self.network, n, seeds=[seed], prime=codes, temperature=temperature)
        return self.text((int(symbol_b[0]) for symbol_b in draws), after=prime)


def byte_of_name(name: str) -> int:
    """The byte that a symbol of a byte alphabet stands for: an ASCII character, or \\xNN."""
    return ord(name) if len(name) == 1 else int(name[2:], 16)


def settings_of(folder: Path, about: dict[str, Any]) -> dict[str, Any]:
    """The settings that config.json says a model was trained with."""
    try:
        settings = about["provenance"]["settings"]
    except KeyError as error:
        raise InputError(f"{folder / 'config.json'}: no settings of a training in it; train the model again") from error
    if not isinstance(settings, dict) or "unit" not in settings:
        raise InputError(f"{folder / 'config.json'}: no settings of a training in it; train the model again")
    return settings


def load_described_network(folder: Path, about: dict[str, Any], **options: Any) -> Network:
    """The network of a model directory, loaded with `options`; InputError unless it is the one config.json is about."""
    network = load_network(check_file(folder, about), **options)
    described = {"network": about.get("network"), **(about.get("arguments") or {})}
    found = {"network": type(network).__name__, **network.arguments}
    for name in {**described, **found}:
        if described.get(name) != found.get(name):
            raise InputError(
                f"{folder}: config.json and weights.safetensors belong to two models: {name} is "
                f"{described.get(name)!r} in the one and {found.get(name)!r} in the other"
            )
    return network
