"""Bits per character, perplexity and the two conversions between them (§3)."""

import math

CHARACTERS_PER_WORD = 5.6
"""Mean length of a word of the Penn Treebank's test set as the paper prints it; its tables convert with this number."""


def bits(nats: float) -> float:
    """Nats to bits."""
    return nats / math.log(2)


def perplexity_of_words(bits_per_word: float) -> float:
    """2 to the mean bits per word (end-of-sentence tokens count as words); ∞ where that is beyond a float."""
    return 2.0**bits_per_word if bits_per_word < 1024 else math.inf


def perplexity_from_characters(bits_per_character: float, characters_per_word: float = CHARACTERS_PER_WORD) -> float:
    """The paper's conversion, perplexity ≈ 2^(5.6 · BPC).

    With `characters_per_word` = characters / words of the set in question, both counted with the end of each sentence,
    the conversion is exact: the same total number of bits, spread over words.
    """
    return perplexity_of_words(characters_per_word * bits_per_character)


def bits_per_character_from_words(bits_per_word: float, characters_per_word: float = CHARACTERS_PER_WORD) -> float:
    """The paper's conversion the other way: BPC ≈ log2(perplexity) / 5.6."""
    return bits_per_word / characters_per_word
