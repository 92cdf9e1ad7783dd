"""A line of handwriting to be drawn from a network, and what came of it (sections 4.2, 5.3 to 5.5).

Shapes: t steps, u characters of the whole text, k window components, o = 6M + 1 outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnngen.errors import InputError
from rnngen.networks import Network, SynthesisNetwork

MOST_BIAS = 1_000_000  # at 10 hardly anything is left to chance; far beyond, single precision overflows


@dataclass(frozen=True)
class NextWord:
    """The word that would follow a line, and how to tell that the pen begins it. Lengths are in the network's units.

    Once the rule has fired for a place past the text, the line ends before the first lift of the pen that leads more
    than `gap` to the right of all ink. Failing that, within `points`, it ends before the lift that led furthest to the
    right of all ink; and if none did, where the rule ends it.
    """

    symbols: int  # how many of the request's last symbols are not to be written: a blank and the word
    points: int  # after the rule has fired
    gap: float
    mean_dx: float  # what the normalisation took from every Δx

    def end(self, offsets_t3: np.ndarray, fired: int) -> int:
        """The first of `offsets_t3` that is not part of the line."""
        x_t = np.cumsum(offsets_t3[:, 0].astype(np.float64) + self.mean_dx)
        first = max(fired, 1)
        lifts = np.flatnonzero(offsets_t3[first - 1 : -1, 2] > 0.5) + first
        beyond = np.array([x_t[t] - x_t[:t].max(initial=0.0) for t in lifts])
        if (beyond > self.gap).any():
            return int(lifts[beyond > self.gap][0])
        return int(lifts[beyond.argmax()]) if beyond.max(initial=0.0) > 0 else fired


@dataclass(frozen=True)
class LineRequest:
    """One line to be written. Offsets are in the network's units."""

    symbols_u: np.ndarray | None = None  # int64, the prime's text, the new one, the next word; None: prediction network
    bias: float = 0.0
    seed: int = 0
    prime_t3: np.ndarray | None = None  # offsets and end-of-stroke bits that the first inputs are clamped to
    maximum_steps: int = 1000  # new points after which the line is cut
    next_word: NextWord | None = None  # at the end of the symbols; None: the line ends by the rule

    @property
    def characters(self) -> int:
        """Symbols of the whole text."""
        return 0 if self.symbols_u is None else len(self.symbols_u)

    @property
    def following(self) -> int:
        """Symbols that are not to be written."""
        return 0 if self.next_word is None else self.next_word.symbols

    @property
    def prime_steps(self) -> int:
        """Points of the prime."""
        return 0 if self.prime_t3 is None else len(self.prime_t3)

    @property
    def limit(self) -> int:
        """The greatest number of points, the prime's included."""
        return self.prime_steps + self.maximum_steps


@dataclass(frozen=True)
class SampledLine:
    """What came of a request. The network ran one step for each point, and one more where the rule ended the line."""

    offsets_t3: np.ndarray  # float32, the prime's included
    prime_steps: int
    stopped: str  # "rule": the stop rule; "cap": maximum_steps
    fired: int | None  # step (0-based) at which the stop rule fired
    phi_su: np.ndarray | None  # window weights φ(s, 1 … U + 1), U characters without those of a next word
    kappa_sk: np.ndarray | None
    outputs_so: np.ndarray | None  # ŷ, where asked for

    @property
    def new_t3(self) -> np.ndarray:
        """The offsets drawn by the network."""
        return self.offsets_t3[self.prime_steps :]


def stops(phi_u: np.ndarray) -> bool:
    """Section 5.3: whether φ(t, U+1) > φ(t, u) for all 1 ≤ u ≤ U, given φ(t, 1 … U+1).

    The plain form that the samplers, which have their own for many lines at once, are tested against.
    """
    return bool(phi_u[-1] > phi_u[:-1].max(initial=0.0))


def drop_next_word(line: SampledLine, request: LineRequest) -> SampledLine:
    """The line without what belongs to the next word; `request` is what it was drawn for."""
    if request.next_word is None or request.symbols_u is None or line.phi_su is None or line.kappa_sk is None:
        return line
    phi_su = line.phi_su[:, : len(request.symbols_u) - request.following + 1]
    if line.fired is None:
        return replace(line, phi_su=phi_su)
    end = request.next_word.end(line.offsets_t3, line.fired)
    return replace(
        line,
        offsets_t3=line.offsets_t3[:end],
        stopped="rule",
        phi_su=phi_su[: end + 1],
        kappa_sk=line.kappa_sk[: end + 1],
        outputs_so=None if line.outputs_so is None else line.outputs_so[: end + 1],
    )


def check_requests(network: Network, requests: Sequence[LineRequest]) -> None:
    """InputError for requests that do not fit the network, and for a network that reads no pen offsets."""
    text = isinstance(network, SynthesisNetwork)
    if not text and (network.arguments["symbols"] or network.arguments["input_size"] != 3):
        raise InputError("the network reads symbols, not pen offsets: give one trained on handwriting")
    for k, request in enumerate(requests):
        where = f"line {k + 1}"
        if text != (request.symbols_u is not None):
            raise InputError(f"{where}: {'a synthesis network needs a text' if text else 'this network takes no text'}")
        if text:
            size = network.arguments["alphabet_size"]
            symbols = np.asarray(request.symbols_u)
            if symbols.ndim != 1 or len(symbols) == 0 or symbols.min() < 0 or symbols.max() >= size:
                raise InputError(f"{where}: expected at least one symbol between 0 and {size - 1}")
            if request.next_word is not None and not 0 < request.following < len(symbols):
                raise InputError(f"{where}: a next word of {request.following} symbols, of {len(symbols)} in all")
        if not 0 <= request.bias <= MOST_BIAS:
            raise InputError(f"{where}: bias {request.bias}, expected a number from 0 to {MOST_BIAS:,}")
        if request.maximum_steps < 1:
            raise InputError(f"{where}: maximum_steps {request.maximum_steps}, expected at least 1")
        if not 0 <= request.seed < 2**64:
            raise InputError(f"{where}: seed {request.seed}, expected an integer between 0 and 2^64 − 1")
        if request.prime_t3 is not None:
            prime = np.asarray(request.prime_t3)
            if prime.ndim != 2 or prime.shape[1] != 3 or not np.isfinite(prime).all():
                raise InputError(f"{where}: the prime must be offsets (T, 3) that are numbers, not {prime.shape}")


def require_finite(k: int, offsets_t3: np.ndarray) -> None:
    """InputError if an offset of line k is not a number."""
    if not np.isfinite(offsets_t3).all():
        step = int(np.argmin(np.isfinite(offsets_t3).all(1)))
        raise InputError(
            f"line {k + 1}: the network's output is not a number at step {step + 1}; its training has diverged or the "
            "prime is far outside what it was trained on"
        )
