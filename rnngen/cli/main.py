"""The command `rnngen`."""

import json
import math
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from tqdm import tqdm

import rnngen
from rnngen.cli.compare import compare
from rnngen.cli.inspect import inspect
from rnngen.cli.lines import lines as list_lines
from rnngen.cli.page import WriterModel
from rnngen.cli.page import page as writer_page
from rnngen.cli.text import text
from rnngen.cli.typed_text import read_typed
from rnngen.cli.watch import watch
from rnngen.corpora.alphabet import name_symbols
from rnngen.corpora.handwriting.parquet import CorpusLines
from rnngen.errors import InputError, leave_quietly_if_interrupted, make_interruptible, one_line, one_line_exits
from rnngen.ink.drawing import FORMATS, Pen, check_colour, check_format, write_drawings
from rnngen.ink.layout import CHARACTER_WIDTH, LINE_CHARACTERS, MARGIN, SIZES, Align, Layout, Sheet
from rnngen.ink.read_strokes import read_ink
from rnngen.models.handwriting import MOST_PIECES
from rnngen.models.handwriting_model import TRIES, End, HandwritingModel, Prime
from rnngen.models.shipped import load_handwriting
from rnngen.sampling.alignment import DOUBT

app = typer.Typer(
    help="Write handwriting and text with trained networks, and inspect models, runs and corpora.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"rnngen {rnngen.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Write handwriting and text with trained networks, and inspect models, runs and corpora."""


def _finite(value: float | None) -> float | None:
    """The value; refuses infinities and NaN, which the bounds of an option let through."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


@app.command()
@make_interruptible
def write(
    text: Annotated[str, typer.Argument(help="What to write; - reads it from standard input.")],
    output: Annotated[
        list[Path], typer.Option("--output", "-o", help=f"Picture to write ({', '.join(FORMATS)}); repeat for several.")
    ],
    model: WriterModel = None,
    bias: Annotated[
        float, typer.Option(min=0, callback=_finite, help="0: as people write; 1 and more: neater, less varied.")
    ] = 0.75,
    seed: Annotated[int, typer.Option(min=0, help="Each seed writes the same text in another way.")] = 1,
    hand: Annotated[
        int | None,
        typer.Option(min=0, help="Write in the hand of this number. Default: each line has a hand of its own."),
    ] = None,
    style: Annotated[
        str | None, typer.Option(help="Write like this line of --corpus; `rnngen lines` lists them.")
    ] = None,
    corpus: Annotated[Path | None, typer.Option(help="Parquet of the corpus that has the line of --style.")] = None,
    style_strokes: Annotated[
        Path | None,
        typer.Option(help="Write like your own strokes: .json, .inkml, .svg or .xopp; needs --style-text."),
    ] = None,
    style_text: Annotated[str | None, typer.Option(help="The text that --style-strokes shows, word for word.")] = None,
    style_as_recorded: Annotated[
        bool, typer.Option("--style-as-recorded", help="Use --style-strokes as they are, neither resampled nor scaled.")
    ] = False,
    separator: Annotated[str, typer.Option(help="What goes between the text of the style and the new text.")] = " ",
    width: Annotated[
        int, typer.Option(min=1, help="Most characters per line; longer text is wrapped between words.")
    ] = LINE_CHARACTERS,
    page: Annotated[
        str | None,
        typer.Option(
            help=f"Paper: {', '.join(SIZES)}, or WIDTHxHEIGHT in mm; several pages where needed. Default: one page as "
            "large as the writing."
        ),
    ] = None,
    margin: Annotated[
        str | None,
        typer.Option(
            help="Margins of --page in mm: one number, two (top and bottom, left and right) or four from the top "
            f"clockwise. Default: {MARGIN:g}."
        ),
    ] = None,
    align: Annotated[Align, typer.Option(help="How lines are aligned.")] = Align.LEFT,
    line_height: Annotated[
        float | None,
        typer.Option(
            min=0.1, max=1000, callback=_finite, help="Millimetres from line to line; default: 3.2 times --size."
        ),
    ] = None,
    straight: Annotated[bool, typer.Option("--straight", help="Make the baselines level.")] = False,
    size: Annotated[
        float, typer.Option(min=0.1, max=1000, callback=_finite, help="Average width of a character in millimetres.")
    ] = CHARACTER_WIDTH,
    pen_width: Annotated[
        float, typer.Option(min=0.01, max=100, callback=_finite, help="Width of the pen in millimetres.")
    ] = Pen.width,
    colour: Annotated[str, typer.Option(help="Colour of the ink: a name or #rrggbb.")] = Pen.colour,
    smooth: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST_PIECES, help="Draw each step as this many pieces of a curve; default: as the model needs."
        ),
    ] = None,
    animate: Annotated[bool, typer.Option("--animate", help="SVG that writes itself (GIF always does).")] = False,
    speed: Annotated[
        float,
        typer.Option(min=0.01, max=1000, callback=_finite, help="Speed of animations; 1: as fast as people write."),
    ] = 1.0,
    dpi: Annotated[float, typer.Option(min=10, max=2400, callback=_finite, help="Resolution of PNG.")] = 200.0,
    replace_unknown: Annotated[
        bool, typer.Option("--replace-unknown", help="Replace characters the model does not know instead of stopping.")
    ] = False,
    end: Annotated[
        End,
        typer.Option(
            help="When a line ends. paper: by the paper's rule. stroke: likewise, but the current stroke is finished. "
            "word: when the pen would begin the next word, so that late bars and dots are drawn."
        ),
    ] = End.WORD,
    steps: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help="Most points per line; default: four times what it should need."),
    ] = None,
    tries: Annotated[
        int,
        typer.Option(
            min=1,
            max=1000,
            help="Draw a line again, with other seeds, up to this many times in all, if letters seem to be malformed, "
            "missing or repeated or it does not end; 1 keeps the first.",
        ),
    ] = TRIES,
    precision: Annotated[
        Literal["float32", "bfloat16"],
        typer.Option(
            help="bfloat16: weights of half the size; single lines of large networks are drawn about twice as fast, "
            "and a little differently."
        ),
    ] = "float32",
    summary: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Write TEXT as handwriting, in plain strokes that suit a pen plotter.

    \b
    rnngen write "any text" -o note.svg
    rnngen write "neat" --bias 2 --seed 7 -o neat.svg -o neat.png
    rnngen write - --hand 7 --page a4 --straight -o letter.pdf < letter.txt

    \b
    With a model of your own (RNNGEN_MODEL stands in for --model), or in the hand of a recorded line or in yours:
    export RNNGEN_MODEL=results/models/synthesis/none
    rnngen write "like her" --style a00-000z-01 --corpus results/corpora/handwriting.parquet -o her.svg
    rnngen write "like me" --style-strokes me.svg --style-text "my own hand" -o me-too.svg
    rnngen write "watch" --animate -o watch.svg
    """
    for path in output:
        check_format(path, animate and path.suffix.lower() == ".svg")
    check_colour(colour)
    if margin is not None and page is None:
        raise InputError(f"--margin {margin}: margins belong to a sheet of paper; give --page as well")
    sheet = None if page is None else Sheet.parse(page, margin)
    writer = load_handwriting(model)
    if writer.alphabet is None:
        raise InputError(f"{model}: a prediction network writes no text; give a synthesis network")
    source = read_typed(text, "the text to write")
    with tqdm(unit="line", leave=False, disable=not sys.stderr.isatty()) as bar:

        def show(finished: int, lines: int) -> None:
            bar.total = lines
            bar.update(finished)

        written = writer.write(
            source,
            bias,
            seed,
            _prime(writer, hand, style, corpus, style_strokes, style_text, style_as_recorded),
            width=width,
            layout=Layout(size, sheet, align, line_height, straight),
            separator=separator,
            end=end,
            steps=steps,
            replace_unknown=replace_unknown,
            tries=tries,
            precision=precision,
            progress=show,
        )
    pages, pen, about = written.pages(smooth), written.pen(pen_width, colour, speed, smooth), written.about
    if written.replaced:
        said = ", ".join(
            f"{name_symbols([character])} by {instead!r}" for character, instead in written.replaced.items()
        )
        print(f"warning: replaced {one_line(said)}", file=sys.stderr)
    misfit = style_strokes is not None and written.misfit
    if misfit:
        print(f"warning: {misfit}: give --style-text word for word as it is written", file=sys.stderr)
    again = [line for line in written.written if line.tries > 1]
    if again:
        print(
            f"note: {len(again)} of {len(written.written)} lines drawn again, {sum(line.tries - 1 for line in again)} "
            "times in all: letters seemed to be malformed, missing or repeated, or they did not end (--tries 1 keeps "
            "the first)",
            file=sys.stderr,
        )
    faulty = [line for line in written.written if line.fault and line.stopped != "cap" and DOUBT not in line.fault]
    if faulty and tries > 1 and not misfit:
        more = f", and of {len(faulty) - 1} more lines" if len(faulty) > 1 else ""
        print(
            f"warning: {one_line(repr(faulty[0].text))}: {faulty[0].fault}{more}: "
            "try another --seed or a higher --bias",
            file=sys.stderr,
        )
    for line in written.written:
        if line.stopped == "cap":
            print(
                f"warning: {line.text!r} did not end within {line.steps} points and was cut: "
                "try another --seed, a higher --bias or more --steps",
                file=sys.stderr,
            )
    files = []
    for path in output:
        animated = animate and path.suffix.lower() == ".svg"
        files += write_drawings(path, pages, pen=pen, animate=animated, dpi=dpi, title=source, about=about)
    if summary:
        print(json.dumps({"files": [str(path) for path in files], **about}))


def _prime(
    writer: HandwritingModel,
    hand: int | None,
    style: str | None,
    corpus: Path | None,
    strokes: Path | None,
    text: str | None,
    as_recorded: bool,
) -> Prime | None:
    """What the options say about the style."""
    if sum(option is not None for option in (hand, style, strokes)) > 1:
        raise InputError("--hand, --style and --style-strokes exclude each other: give one of them")
    if strokes is None and (text is not None or as_recorded):
        raise InputError("--style-text and --style-as-recorded need --style-strokes: give the strokes too")
    if hand is not None:
        return writer.hand(hand)
    if style is not None:
        if corpus is None:
            raise InputError(f"--style {style}: --corpus must name the Parquet file that has this line")
        line = CorpusLines(corpus).line_named(style)
        return writer.prime(line.ink, line.text, line.line)
    if strokes is None:
        return None
    if text is None:
        raise InputError(f"--style-strokes {strokes}: --style-text must say what is written there")
    ink = read_ink(strokes)
    if as_recorded:
        return writer.prime(ink, text, strokes.name)
    return writer.prime_from_any(ink, text, strokes.name)


for command in (text, writer_page, list_lines, inspect, compare, watch):
    app.command(command.__name__)(make_interruptible(command))


def main() -> None:
    """Run the command line. Exit status: 0 done, 1 bad input (one line on stderr), 2 bad usage, 130 interrupted."""
    with one_line_exits():
        leave_quietly_if_interrupted()
        app()


if __name__ == "__main__":
    main()
