"""Text, one symbol at a time: each draw is the next input (§3, Figures 5–8).

Shapes: b batch (independent samples), k alphabet.
"""

import codecs
import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from rnngen.errors import InputError

NULL = -1


def sample_symbols(
    network: nn.Module,
    count: int,
    *,
    seeds: Sequence[int],
    prime: Sequence[int] = (),
    temperature: float = 1.0,
) -> Iterator[Tensor]:
    """Yield `count` draws of shape (b,), int64, from a `PredictionNetwork` with symbol inputs; b = len(seeds).

    Every sample starts from the null input and zero state, reads `prime`, then draws from softmax(ŷ / temperature)
    (eq 12; the paper samples at temperature 1). A row depends on its own seed only, not on the rest of the batch.
    Raises InputError at once for an impossible temperature or seed, and later for outputs that are not numbers.
    """
    if not 0 < temperature < math.inf:
        raise InputError(f"temperature {temperature}: a sampling temperature is above 0 (1 samples as the paper does)")
    for seed in seeds:
        if not 0 <= seed < 2**64:
            raise InputError(f"seed {seed}: expected an integer between 0 and 2^64 − 1")
    return _draws(network, count, [torch.Generator().manual_seed(seed) for seed in seeds], prime, temperature)


@torch.inference_mode()
def _draws(
    network: nn.Module, count: int, generators: list[torch.Generator], prime: Sequence[int], temperature: float
) -> Iterator[Tensor]:
    rows = len(generators)
    start_tb = torch.tensor([NULL, *prime]).unsqueeze(1).expand(-1, rows)
    device = next(network.parameters()).device
    y_tbk, state = network(start_tb.to(device))
    for number in range(count):
        probability_bk = torch.softmax(y_tbk[-1].double().cpu() / temperature, 1)
        if not torch.isfinite(probability_bk).all():
            raise InputError(
                f"symbol {number + 1}: the network's output is not a number; its training has diverged, or temperature "
                f"{temperature} is too low"
            )
        symbol_b = torch.stack(
            [torch.multinomial(row, 1, generator=g)[0] for row, g in zip(probability_bk, generators, strict=True)]
        )
        yield symbol_b
        y_tbk, state = network(symbol_b.unsqueeze(0).to(device), state)


def utf8(chunks: Iterable[bytes]) -> Iterator[str]:
    """Bytes to text as they come: a character split over two chunks is joined, what is not UTF-8 becomes U+FFFD."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for chunk in chunks:
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)
