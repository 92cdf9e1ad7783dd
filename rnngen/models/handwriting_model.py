"""A trained handwriting network with what it needs to write: its alphabet and the normalisation of its pen offsets.

Shapes: t points; offsets are (T, 3), Δx, Δy and the end-of-stroke bit.
"""

import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rnngen.corpora.alphabet import Alphabet, name_symbols, show_symbols
from rnngen.corpora.handwriting.lines import Normaliser
from rnngen.errors import InputError
from rnngen.handwriting_generator.choose_texts import TYPOGRAPHIC
from rnngen.handwriting_generator.corpus import draw_writers, write_numbered_line
from rnngen.handwriting_generator.glyphs import load_letterforms
from rnngen.ink.layout import LINE_CHARACTERS, Layout
from rnngen.ink.strokes import Ink, Stroke, resample, strokes_from_offsets, transform
from rnngen.models.checkpoint import load_network
from rnngen.models.handwriting import Handwriting, HandwrittenLine
from rnngen.models.model_directory import check_file, read_config
from rnngen.networks import Network, PredictionNetwork
from rnngen.sampling.alignment import Alignment, check_alignment
from rnngen.sampling.handwriting import sample
from rnngen.sampling.lines import LineRequest, NextWord, SampledLine

POINTS_PER_CHARACTER = 25.0  # §4.2, where a model does not say
HAND_TEXT = (
    "Five quacking zephyrs jolt my wax bed"  # every small letter; no dot or bar waits for the end of the last word
)
RECORDED_HERTZ = 100.0  # points per second in the corpora, before any are left out
TRIES = 4
RETRY = 2**32  # from the seed of a line to that of its next try
LONGEST_LINE = 1_000  # characters; the window's weights of every step are kept
PLAIN = {chr(sign): plain for sign, plain in TYPOGRAPHIC.items()} | {
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D",
    "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ł": "l", "Ł": "L", "ħ": "h", "Ħ": "H", "ı": "i", "ŋ": "n", "Ŋ": "N",
    "€": "EUR", "£": "GBP",
}  # fmt: skip
"""Plain forms of typographic signs, and of letters that are not a base with a mark."""
UNSEEN = {"Mn", "Me", "Cf"}  # Unicode's categories of accents and of signs without a width


class End(StrEnum):
    """What ends a line: the paper's rule; the rule, with the current stroke finished; the beginning of a next word."""

    PAPER = "paper"
    STROKE = "stroke"
    WORD = "word"


MISFIT, MISFIT_SHARE = 3.0, 0.2  # by how much the window may miss a prime's end: characters, and share of its text
STROKE_SECONDS = 0.5  # to finish the current stroke in
WORD_SECONDS = 1.0  # to make delayed strokes and begin the next word in
WORD_GAP = 0.5  # widths of a character to the right of all ink, where a next word may begin


@dataclass(frozen=True)
class Prime:
    """Writing that a line goes on from: offsets in the network's units and, for a synthesis network, their text."""

    offsets_t3: np.ndarray
    text: str | None
    name: str = ""
    hand: int | None = None  # of the generator, if it wrote this


@dataclass(frozen=True)
class CheckedLine:
    """The line that was kept, how many were drawn, and how its window went along the text."""

    line: SampledLine
    seed: int
    tries: int
    alignment: Alignment


@dataclass(frozen=True)
class HandwritingModel:
    """Network, normalisation and, for a synthesis network, alphabet; `about` is the whole config.json."""

    network: Network
    normaliser: Normaliser
    alphabet: Alphabet | None
    about: dict[str, Any]

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> "HandwritingModel":
        """The model of a directory with weights.safetensors and config.json."""
        folder = Path(folder)
        config = folder / "config.json"
        about = read_config(folder)
        if "normaliser" not in about:
            raise InputError(f"{config}: no normaliser in it; this model is not one of handwriting")
        network = load_network(check_file(folder, about), device=device)
        if next(network.parameters()).dtype == torch.float16:
            network.float()  # a packed model: half precision to store, not to compute with
        alphabet = None
        if not isinstance(network, PredictionNetwork):
            if "alphabet" not in about:
                raise InputError(f"{config}: no alphabet in it; train the model again")
            alphabet = Alphabet.from_json(about["alphabet"])
            if len(alphabet) != network.arguments["alphabet_size"]:
                raise InputError(
                    f"{config}: an alphabet of {len(alphabet)} symbols, but the network reads "
                    f"{network.arguments['alphabet_size']}; config.json and weights.safetensors belong to two models"
                )
        normaliser = Normaliser.from_json(about["normaliser"])
        units = np.concatenate([normaliser.mean, normaliser.deviation])
        if units.shape != (4,) or not np.isfinite(units).all() or (normaliser.deviation <= 0).any():
            raise InputError(
                f"{config}: normaliser: expected two means that are numbers and two deviations above 0, not "
                f"{normaliser.mean.tolist()} and {normaliser.deviation.tolist()}; train the model again"
            )
        for name, weight in network.named_parameters():
            if not weight.isfinite().all():
                raise InputError(
                    f"{folder / 'weights.safetensors'}: {name} has values that are not finite numbers; its training "
                    "diverged: train it again"
                )
        return cls(network, normaliser, alphabet, about)

    @property
    def points_per_character(self) -> float:
        """How many points the network was set up to write a character with."""
        window_bias = self.network.arguments.get("window_bias")
        return POINTS_PER_CHARACTER if window_bias is None else math.exp(-window_bias)

    @property
    def character_width(self) -> float:
        """Average width of a character, in units of the corpus."""
        return self.points_per_character * float(self.normaliser.mean[0])

    @property
    def points_per_second(self) -> float:
        """Rate of the points that the network writes."""
        return RECORDED_HERTZ / self.normaliser.every

    def write(
        self,
        text: str,
        bias: float = 0.75,
        seed: int = 1,
        style: Prime | None = None,
        *,
        width: int = LINE_CHARACTERS,
        layout: Layout | None = None,
        separator: str = " ",
        end: End = End.WORD,
        steps: int | None = None,
        replace_unknown: bool = False,
        tries: int = TRIES,
        precision: str = "float32",
        threads: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Handwriting:
        """Write `text` by hand (sections 5.3 to 5.5).

        bias             0: as people write; 1 and more: neater, less varied (eq 61–62).
        seed             of the first line; the next has seed + 1, and so on. Equal arguments, equal ink.
        style            writing that every line goes on from: `prime`, `prime_from_any`.
        width            most characters per line; longer text is wrapped between words. On a sheet no more than fit.
        layout           how the lines stand on paper.
        separator        between the text of the style and the new text.
        end              what ends a line.
        steps            most points per line; by default four times what it should need.
        replace_unknown  whether a character that the model does not know is replaced, as `replacements` says.
        tries            how often a line is drawn at most, if its window shows letters malformed, missing or repeated,
                         or it does not end; 1 keeps the first (`sample_whole`).
        precision        of the network's weights, as for `rnngen.sampling.handwriting.sample`.
        threads          by default as many as PyTorch uses.
        progress         is called with the number of lines drawn since the last call, and of all to be drawn so far.

        Raises InputError for an empty text, too long a line, and characters that the model does not know.
        """
        if self.alphabet is None:
            raise InputError("a prediction network writes no text; give a synthesis network")
        layout = layout or Layout()
        wanted = layout.wrap(text, width)
        lines = [self.readable(line, replace_unknown).strip() for line in wanted]
        texts = [line for line in lines if line]  # a blank line is a distance on the page
        if not texts:
            raise InputError("there is no text to write")
        longest = max(map(len, texts))
        if longest > LONGEST_LINE:
            raise InputError(f"a line of {longest:,} characters, over the limit of {LONGEST_LINE:,}: break it")
        requests = [
            self.request(line, bias=bias, seed=seed + k, prime=style, separator=separator, maximum_steps=steps, end=end)
            for k, line in enumerate(texts)
        ]
        drawn = self.sample_whole(
            texts, requests, end, tries, threads or torch.get_num_threads(), progress, precision=precision
        )
        misfit = None if style is None else self.misfit(drawn[0].line, style)
        if not all(len(line.line.new_t3) for line in drawn):
            remedy = "give it word for word as it is written" if misfit else "try another seed"
            raise InputError(f"{misfit or 'the network ended a line before it wrote anything'}: {remedy}")
        written = iter(
            HandwrittenLine(
                text=line,
                strokes=self.strokes(found.line),
                bias=bias,
                seed=found.seed,
                style=None if style is None else style.name,
                stopped=found.line.stopped,
                steps=len(found.line.new_t3),
                tries=found.tries,
                fault=found.alignment.fault,
            )
            for line, found in zip(texts, drawn, strict=True)
        )
        return Handwriting(
            [next(written) if line else HandwrittenLine("", []) for line in lines],
            self.character_width,
            self.points_per_second,
            self.normaliser.every,
            end,
            self.replacements("".join(wanted)) if replace_unknown else {},
            layout,
            misfit,
        )

    def sample_whole(
        self,
        texts: Sequence[str],
        requests: Sequence[LineRequest],
        end: End = End.STROKE,
        tries: int = TRIES,
        threads: int = 1,
        progress: Callable[[int, int], None] | None = None,
        precision: str = "float32",
    ) -> list[CheckedLine]:
        """Draw the lines of `requests`, which write `texts`; one that seems not to say its text is drawn again.

        Try n, from 0, has the seed of the request plus n · 2³², modulo 2⁶⁴. The first line without a fault
        (`check_alignment`) is kept; after `tries` of them the clearest. `progress` is called with the number of lines
        drawn since the last call, and of all that are to be drawn so far.
        """
        if tries < 1:
            raise InputError(f"{tries} tries: expected at least 1")
        if self.alphabet is None:
            raise InputError("a network without text has no window that tells whether a line is whole: draw it once")
        kept: dict[int, CheckedLine] = {}
        waiting, total = list(range(len(requests))), 0
        for number in range(tries):
            total += len(waiting)
            report = None if progress is None else lambda finished, total=total: progress(finished, total)
            again = [replace(requests[k], seed=(requests[k].seed + number * RETRY) % 2**64) for k in waiting]
            lines = self.sample(again, end, precision=precision, threads=threads, progress=report)
            for k, request, line in zip(waiting, again, lines, strict=True):
                checked = CheckedLine(line, request.seed, number + 1, check_alignment(line, texts[k]))
                best = max(kept.get(k, checked), checked, key=lambda one: one.alignment.rank)
                kept[k] = replace(best, tries=number + 1)
            waiting = [k for k in waiting if kept[k].alignment.fault]
            if not waiting:
                break
        return [kept[k] for k in range(len(requests))]

    def sample(self, requests: Sequence[LineRequest], end: End = End.STROKE, **options: Any) -> list[SampledLine]:
        """Draw the lines of `requests`, made with the same `end`; `options` are those of the function `sample`."""
        finish_stroke = 0 if end == End.PAPER else round(STROKE_SECONDS * self.points_per_second)
        return sample(self.network, requests, finish_stroke=finish_stroke, **options)

    def readable(self, text: str, replace_unknown: bool = False) -> str:
        """`text` in characters of the alphabet.

        A character outside it is an InputError that names it; or, with `replace_unknown`, it is replaced as
        `replacements` says. One that goes to the alphabet's class of other characters stays as it is.
        """
        letters = self._letters
        text = self._compose(text)
        instead = self.replacements(text)
        if instead and not replace_unknown:
            near = {c: plain for c, plain in instead.items() if plain not in (" ", letters.other)}
            nearest = ", ".join(f"{plain!r} for {c!r}" for c, plain in list(near.items())[:8])
            raise InputError(
                f"{name_symbols(list(instead))} outside the model's alphabet of {len(letters)} symbols "
                f"{show_symbols(letters.symbols)}; the nearest it can write: {nearest or 'a blank'}; "
                "change the text or allow `replace_unknown`"
            )
        return "".join(c if instead.get(c) == letters.other else instead.get(c, c) for c in text)

    def replacements(self, text: str) -> dict[str, str]:
        """What takes the place of each character of `text` that the alphabet lacks.

        The plain form of a typographic sign or of a letter, the letter without its accents or in the other case,
        nothing for an invisible sign, the class of other characters, or a blank.
        """
        return {c: self._replacement(c) for c in self._letters.find_unknown(self._compose(text))}

    @property
    def _letters(self) -> Alphabet:
        if self.alphabet is None:
            raise InputError("this model takes no text: give one of a synthesis network")
        return self.alphabet

    def _compose(self, text: str) -> str:
        """`text` with each accent and its letter as one character, unless the alphabet has all of it as it is."""
        return unicodedata.normalize("NFC", text) if self._letters.find_unknown(text) else text

    def _replacement(self, character: str) -> str:
        base = "".join(c for c in unicodedata.normalize("NFKD", character) if unicodedata.category(c) not in UNSEEN)
        plain = "".join(PLAIN.get(c, c) for c in base)
        for candidate in (base, plain, plain.swapcase()):
            if not self._letters.find_unknown(candidate):
                return candidate
        return " " if self._letters.other is None else self._letters.other

    def request(
        self,
        text: str | None,
        *,
        bias: float = 0.0,
        seed: int = 0,
        prime: Prime | None = None,
        separator: str = " ",
        maximum_steps: int | None = None,
        end: End = End.STROKE,
    ) -> LineRequest:
        """A line to write: `text` after that of the prime, joined by `separator` (section 5.5: c' = c + s).

        `maximum_steps` defaults to four times what the text should need. With End.WORD a blank and the text's first
        character follow as the next word; an alphabet without a blank has no words, and the line ends as End.STROKE.
        Raises InputError for a character that the alphabet neither has nor has a class for.
        """
        symbols = next_word = None
        if self.alphabet is not None:
            if not text:
                raise InputError("there is no text to write")
            symbols = self.alphabet.encode(self.window_text(text, prime, separator))
            if end == End.WORD and " " in self.alphabet.index:
                following = self.alphabet.encode(f" {text.strip()[:1]}")
                symbols = np.concatenate([symbols, following])
                next_word = self._next_word(len(following))
        if maximum_steps is None:
            if not text or self.alphabet is None:
                raise InputError("a network without text does not end by itself: say how many steps it is to write")
            maximum_steps = round(4 * self.points_per_character * len(text)) + 50
        return LineRequest(symbols, bias, seed, None if prime is None else prime.offsets_t3, maximum_steps, next_word)

    def _next_word(self, symbols: int) -> NextWord:
        deviation = float(self.normaliser.deviation[0])
        return NextWord(
            symbols,
            points=round(WORD_SECONDS * self.points_per_second),
            gap=WORD_GAP * self.character_width / deviation,
            mean_dx=float(self.normaliser.mean[0]) / deviation,
        )

    @staticmethod
    def window_text(text: str, prime: Prime | None, separator: str = " ") -> str:
        """What the window moves along."""
        return text if prime is None else f"{prime.text}{separator}{text}"

    def strokes(self, line: SampledLine) -> list[Stroke]:
        """What the network wrote (without a prime), in the units of the corpus, counted from where it began."""
        return strokes_from_offsets(self.normaliser.to_corpus(line.new_t3), from_start=line.prime_steps == 0)

    @staticmethod
    def misfit(line: SampledLine, prime: Prime) -> str | None:
        """What is wrong with the text of a line's prime, as the window shows it; None where it fits.

        When the pen is done with the prime, the window is at the end of its text, within MISFIT of it, and certainly
        not past the whole line.
        """
        characters = len(prime.text or "")
        if line.phi_su is None:
            return None
        phi_u = line.phi_su[line.prime_steps]
        total = float(phi_u.sum())
        place = float(phi_u @ np.arange(len(phi_u))) / total if total > 0 else math.inf
        off = math.inf if line.fired == line.prime_steps else place - characters
        if abs(off) <= max(MISFIT, MISFIT_SHARE * characters):
            return None
        where = "far" if off == math.inf else f"{abs(off):.0f} characters"
        where += " past" if off > 0 else " before"
        return f"{prime.name}: the text does not fit the strokes: as they end, the network is {where} its end"

    def prime(self, ink: Ink, text: str | None, name: str = "") -> Prime:
        """A prime from a line of the corpus, or from strokes recorded as the corpus was."""
        offsets_t3 = self.normaliser.to_network(ink.strokes, ink.times)
        if len(offsets_t3) == 0:
            raise InputError(f"{name}: a single point is too little to go on from")
        return Prime(offsets_t3, self._prime_text(text, name), name)

    def prime_from_any(self, ink: Ink, text: str | None, name: str = "") -> Prime:
        """A prime from anybody's strokes, of any size and recorded at any rate.

        The ink gets as many points as its text should have, evenly in time where times are known, else along the
        path; then it is scaled so that its normalised offsets spread as the training data's do (mean square 1 in each
        direction), and goes through the model's normalisation like any line.
        """
        characters = len(text.strip()) if text else max(1, round(sum(map(len, ink.strokes)) / POINTS_PER_CHARACTER))
        # as many as were recorded, so that as many are left when the normalisation has thinned them out
        points = max(2, round(characters * self.points_per_character * self.normaliser.every))
        strokes = resample(ink, points)
        offsets_t3 = self.normaliser.thin_offsets(strokes)
        if len(offsets_t3) == 0:
            raise InputError(f"{name}: a single point is too little to go on from")
        scale = fit_scale(offsets_t3[:, :2], self.normaliser.mean, self.normaliser.deviation)
        return self.prime(Ink(transform(strokes, scale)), text, name)

    def hand(self, number: int) -> Prime:
        """A prime in hand `number` of the generator: every number is another hand, for lines that are all in one.

        For networks that were trained on generated handwriting, whose units the prime has.
        """
        if not 0 <= number < 2**64:
            raise InputError(f"hand {number}: expected an integer between 0 and 2^64 − 1")
        [writer] = draw_writers(load_letterforms(), 1, number)
        line = write_numbered_line(HAND_TEXT, writer, number, 0)
        points = np.stack([line.x, line.y], axis=1).astype(float)
        ink = Ink(np.split(points, np.cumsum(line.stroke_len)[:-1]))
        return replace(self.prime(ink, HAND_TEXT, f"hand {number}"), hand=number)

    def _prime_text(self, text: str | None, name: str) -> str | None:
        if self.alphabet is None:
            return None
        if not text or not text.strip():
            raise InputError(f"{name}: a prime needs its text, so that the window can move along it")
        self.alphabet.encode(text, name or "the prime's text")
        return text.strip()


def fit_scale(offsets_tc: np.ndarray, mean_c: np.ndarray, deviation_c: np.ndarray) -> float:
    """The factor s that makes the mean of ((s·Δ − mean) / deviation)² over all points and both directions 1."""
    a = np.square(offsets_tc / deviation_c).mean()
    b = (offsets_tc * mean_c / np.square(deviation_c)).mean()
    c = np.square(np.asarray(mean_c) / deviation_c).mean()
    if a == 0:
        raise InputError("the strokes of the prime are all one point: there is no size to scale them by")
    return float((b + math.sqrt(b * b + a * max(1 - c, 0))) / a)
