"""A corpus of generated handwriting: many hands, each writing forms of several lines; the hands of the sets differ."""

from collections.abc import Iterator, Sequence

import numpy as np

from rnngen.corpora.handwriting.iam_ondb import SPLITS
from rnngen.errors import InputError
from rnngen.handwriting_generator.glyphs import Letterforms
from rnngen.handwriting_generator.hands import Writer, draw_writer
from rnngen.handwriting_generator.iam_ondb_files import Form, form_id
from rnngen.handwriting_generator.write_line import RecordedLine, write_line

FIRST_WRITER = 10_001  # five digits, as in IAM-OnDB
LINES, WRITERS = 1, 2  # streams of random numbers; 0 chooses the text
TEST_SHARE = 0.1  # of the hands (or forms) in each of the three test sets; at least one


def draw_writers(
    alphabet: Letterforms, count: int, seed: int, variety: float = 1.0, joining: float | None = None
) -> list[Writer]:
    """The corpus's hands; hand k is the same however many there are."""
    return [draw_writer(alphabet, np.random.default_rng([seed, WRITERS, k]), variety, joining) for k in range(count)]


def write_numbered_line(text: str, writer: Writer, seed: int, number: int, uneven_clock: bool = False) -> RecordedLine:
    """Write the line of that number; it depends on text, hand, seed and number and on nothing written before."""
    return write_line(text, writer, np.random.default_rng([seed, LINES, number]), uneven_clock)


def write_forms(
    lines: Sequence[str], writers: Sequence[Writer], seed: int, per_form: int = 8, uneven_clock: bool = False
) -> Iterator[Form]:
    """Write the lines, `per_form` to a form, hands taking turns.

    With at least ten hands no hand appears in two sets, as in IAM-OnDB; with fewer the sets divide the forms instead.
    """
    forms = -(-len(lines) // per_form)
    if forms > 260_000:
        raise InputError(f"{len(lines)} lines need more than 260,000 forms: ask for fewer lines or more per form")
    by_writer = len(writers) >= 10
    units = min(len(writers), forms) if by_writer else forms
    if units < len(SPLITS):
        raise InputError(
            f"{len(lines)} lines make {forms} forms, too few for four sets: ask for at least {4 * per_form}"
        )
    tested = max(1, round(TEST_SHARE * units))
    edges = units - tested * np.arange(len(SPLITS) - 1, -1, -1)
    for form in range(forms):
        writer = form % len(writers)
        split = SPLITS[int(np.searchsorted(edges, writer if by_writer else form, side="right"))]
        first = form * per_form
        yield Form(
            id=form_id(form),
            writer=FIRST_WRITER + writer,
            split=split,
            lines=tuple(
                write_numbered_line(text, writers[writer], seed, number, uneven_clock)
                for number, text in enumerate(lines[first : first + per_form], start=first)
            ),
        )
