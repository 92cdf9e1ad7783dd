"""Let a handwriting network write the lines of one of the paper's figures, or any text.

    python -m pipeline.sample_handwriting --model results/models/synthesis/adaptive-weight-noise \\
        --corpus results/corpora/handwriting.parquet --figure 16 --output fig16.parquet
    python -m pipeline.sample_handwriting --model results/models/synthesis/none --text "any text" \\
        --bias 0.5 --bias 2 --output mine.parquet

Figures 11 and 15 to 21 take their texts, biases and primes from pipeline/paper/figures.toml; options replace them. If
the corpus lacks a line that the paper shows, or the alphabet a character, another takes its place and a line of output
says so.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from tqdm import tqdm

from pipeline._command import command
from pipeline.paper import FIGURES
from rnngen.corpora.handwriting.parquet import CorpusLine, CorpusLines
from rnngen.errors import InputError
from rnngen.ink.sampled_lines import WrittenLine, write_sampled_lines
from rnngen.models.handwriting_model import End, HandwritingModel, Prime

SHORTEST, LONGEST = 20, 40  # characters of lines that take the place of the paper's, as long as its own
OTHERS = 4  # such lines; `others` says which of them a figure takes


@dataclass(frozen=True)
class Job:
    """One line to be written in one block of a figure."""

    block: int
    text: str | None
    bias: float
    prime: CorpusLine | None = None


def main(
    model: Annotated[Path, typer.Option(help="Model directory.")],
    output: Annotated[Path, typer.Option(help="Parquet to write.")],
    corpus: Annotated[Path | None, typer.Option(help="Parquet of the corpus, for real lines and primes.")] = None,
    figure: Annotated[int | None, typer.Option(help="Figure of the paper: 11, or 15 to 21.")] = None,
    text: Annotated[list[str] | None, typer.Option(help="Write this; repeat for several.")] = None,
    bias: Annotated[list[float] | None, typer.Option(min=0, help="Bias of the samples; repeat for several.")] = None,
    prime: Annotated[
        list[str] | None, typer.Option(help="Line of the corpus to go on from; repeat for several.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="How many times to write each text with each bias.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, max=1_000_000, help="Points after which a line is cut.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed; line k is drawn with seed + k.")] = 1,
    separator: Annotated[str, typer.Option(help="What goes between the text of a prime and the new text.")] = " ",
    end: Annotated[End, typer.Option(help="What ends a line, as for rnngen write.")] = End.PAPER,
    tries: Annotated[
        int, typer.Option(min=1, help="Times that a line is drawn at most, as for rnngen write; 1: none is selected.")
    ] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Number of threads.")] = 1,
) -> None:
    """The Parquet file has the lines and how they came about: stops, window weights, seeds."""
    torch.set_num_threads(1)
    writer = HandwritingModel.load(model)
    plan = plan_of(figure, text, bias, prime, samples, steps)
    lines = None if corpus is None else CorpusLines(corpus)
    if writer.alphabet is None and "texts" in plan:
        raise InputError(f"{model}: a prediction network writes no text; give a synthesis network")
    real, jobs = blocks_of(plan, lines, *splits_of(writer), named_primes=bool(prime))
    primes = {
        job.prime.line: writer.prime(job.prime.ink, job.prime.text, job.prime.line)
        for job in jobs
        if job.prime is not None
    }
    jobs = [replace(job, text=job.text and adapt(writer, job.text)) for job in jobs]
    requests = [
        writer.request(
            job.text,
            bias=job.bias,
            seed=seed + k,
            prime=primes[job.prime.line] if job.prime else None,
            separator=separator,
            maximum_steps=plan.get("steps"),
            end=end,
        )
        for k, job in enumerate(jobs)
    ]
    with tqdm(total=len(jobs), unit="line", disable=not sys.stderr.isatty()) as bar:
        if tries == 1:
            written = writer.sample(requests, end, threads=threads, progress=bar.update)
        else:
            checked = writer.sample_whole([job.text or "" for job in jobs], requests, end, tries, threads)
            written = [one.line for one in checked]
            requests = [replace(request, seed=one.seed) for request, one in zip(requests, checked, strict=True)]
    found: list[WrittenLine] = [
        WrittenLine(line.line, "real", line.strokes, block, line.text, steps=sum(map(len, line.strokes)))
        for block, line in real
    ]
    for k, (job, request, line) in enumerate(zip(jobs, requests, written, strict=True)):
        used: Prime | None = primes[job.prime.line] if job.prime else None
        found.append(
            WrittenLine(
                f"sample-{k + 1:03d}",
                "sample",
                writer.strokes(line),
                job.block,
                job.text,
                job.bias,
                request.seed,
                None if used is None else used.name,
                None if used is None else used.text,
                line.prime_steps,
                line.stopped,
                len(line.new_t3),
                job.text and writer.window_text(job.text, used, separator),
                line.phi_su,
            )
        )
    found.sort(key=lambda line: line.block)  # stable: real lines stay above their samples
    write_sampled_lines(output, found, description(writer) | {"figure": figure, "end": end})
    report(written)


def plan_of(
    figure: int | None,
    text: list[str] | None,
    bias: list[float] | None,
    prime: list[str] | None,
    samples: int | None,
    steps: int | None,
) -> dict[str, Any]:
    """The figure's plan with the options on top of it."""
    plans = {number: about["lines"] for number, about in FIGURES.items() if "lines" in about}
    if figure is not None and str(figure) not in plans:
        raise InputError(f"--figure {figure}: no lines are written for it; figures are {', '.join(plans)}")
    plan: dict[str, Any] = dict(plans[str(figure)]) if figure is not None else {}
    options = {"texts": text, "biases": bias, "primes": prime, "samples": samples, "steps": steps}
    plan |= {key: value for key, value in options.items() if value is not None}
    if plan.get("pairs") and len(plan["texts"]) != len(plan["biases"]):
        plan["pairs"] = False
    return plan


def splits_of(writer: HandwritingModel) -> tuple[list[str], list[str]]:
    """The sets that trained and validated the model."""
    corpus = writer.about["provenance"]["settings"]["corpus"]
    return corpus["training"], corpus["validation"]


def blocks_of(
    plan: dict[str, Any],
    lines: CorpusLines | None,
    training: Sequence[str],
    validation: Sequence[str],
    named_primes: bool = False,
) -> tuple[list[tuple[int, CorpusLine]], list[Job]]:
    """The real lines with their blocks, and the lines to be written."""
    texts, biases, samples = plan.get("texts", [None]), plan.get("biases", [0.0]), plan.get("samples", 1)
    if ("primes" in plan or plan.get("real")) and lines is None:
        raise InputError("real lines and primes come from the corpus: give it with --corpus")
    if plan.get("pairs"):
        return [], [Job(0, text, bias) for text, bias in zip(texts, biases, strict=True)]
    if lines is not None and "primes" in plan:
        primes = (
            [lines.line_named(name) for name in plan["primes"]]
            if named_primes
            else choose_lines(lines, plan["primes"], training, plan["others"], "training")
        )
        jobs = [
            Job(k, text, bias, prime)
            for k, prime in enumerate(primes)
            for text in texts
            for bias in biases
            for _ in range(samples)
        ]
        return list(enumerate(primes)), jobs
    if lines is not None and plan.get("real"):
        real = choose_lines(lines, texts, validation, 0, "validation")
        jobs = [Job(k, line.text, bias) for k, line in enumerate(real) for bias in biases for _ in range(samples)]
        return list(enumerate(real)), jobs
    return [], [Job(k, text, bias) for k, text in enumerate(texts) for bias in biases for _ in range(samples)]


def choose_lines(
    lines: CorpusLines, texts: Sequence[str], splits: Sequence[str], first: int, kind: str
) -> list[CorpusLine]:
    """The lines that read `texts`; where one is missing, lines of similar length in various hands."""
    found = [lines.with_text(text, splits) for text in texts]
    if None not in found:
        return [line for line in found if line is not None]
    count = max(OTHERS, first + len(texts))
    others: list[CorpusLine] = []
    for shortest in range(SHORTEST, 0, -1):  # short lines only where there are no others
        others = lines.spread(count, splits, shortest, LONGEST)
        if len(others) >= count:
            break
    others = others[first : first + len(texts)]
    if len(others) < len(texts):
        raise InputError(
            f"{lines.path}: fewer than {first + len(texts)} {kind} lines ({', '.join(splits)}) with a text"
        )
    for text, line in zip(texts, others, strict=True):
        print(f"no {kind} line reads {text!r}; {line.line} takes its place: {line.text!r}", flush=True)
    return others


def adapt(writer: HandwritingModel, text: str) -> str:
    """`text` in the model's alphabet; what had to be replaced is printed."""
    readable = writer.readable(text, replace_unknown=True)
    if readable != text:
        print(f"outside the alphabet, so written otherwise: {text!r} as {readable!r}", flush=True)
    return readable


def description(writer: HandwritingModel) -> dict[str, Any]:
    """What a file of lines says of the model that wrote them."""
    return {
        "network": type(writer.network).__name__,
        "arguments": writer.network.arguments,
        "settings": writer.about["provenance"]["settings"],
        "mean": [float(value) for value in writer.normaliser.mean],
        "deviation": [float(value) for value in writer.normaliser.deviation],
        "every": writer.normaliser.every,
    }


def report(written: Sequence[Any]) -> None:
    """How many lines were ended by what."""
    cut = sum(line.stopped == "cap" for line in written)
    print(f"{len(written)} lines, {sum(len(line.new_t3) for line in written)} points; {cut} cut at the step limit")


if __name__ == "__main__":
    command(main)
