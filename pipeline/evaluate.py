"""Evaluate a trained network on held-out data: static, or dynamic (the weights go on learning, §3.1).

    python -m pipeline.evaluate --model results/models/treebank-character/none \\
        --corpus results/corpora/treebank.parquet --output static.json
"""

import json
import math
import time
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import torch
import typer
from torch import nn

from pipeline._command import command
from pipeline._settings import Settings, check_settings
from pipeline._setup import PenData, TextData, device_of, pen_objective, take_leading
from rnngen.artifacts import provenance, write_result
from rnngen.checked_parquet import parquet_writer
from rnngen.errors import InputError
from rnngen.losses.bits_per_character import bits
from rnngen.losses.softmax import surprisal
from rnngen.models.model_directory import read_config
from rnngen.models.text_model import load_described_network, settings_of
from rnngen.training.dynamic_evaluation import evaluate_dynamically
from rnngen.training.objectives import NextSymbol


def main(
    model: Annotated[Path, typer.Option(help="Model directory.")],
    corpus: Annotated[Path, typer.Option(help="Parquet of the corpus.")],
    output: Annotated[Path, typer.Option(help="JSON to write.")],
    dynamic: Annotated[str, typer.Option(help="JSON of learning_rate, momentum and interval; null: static.")] = "null",
    split: Annotated[
        str | None, typer.Option(help="Split; default: test for a treebank, otherwise validation.")
    ] = None,
    extract: Annotated[
        int, typer.Option(help="Keep the surprisal of the first symbols, this many, in OUTPUT.surprisal.parquet.")
    ] = 0,
) -> None:
    """The measures are written as JSON, with the rule they follow."""
    started = time.perf_counter()
    description = read_config(
        model, "experiment", "regularisation", "kind", "weights", "complete", "epochs", "best_epoch", "best", "rule"
    )
    settings: Settings = check_settings(settings_of(model, description), str(model / "config.json"))
    device = device_of(settings["device"])
    torch.set_num_threads(settings["threads"])
    backend = settings["training"].get("backend", "auto")
    network = load_described_network(model, description, backend=backend, device=device)
    adaptation = adaptation_of(dynamic)
    data: TextData | PenData
    if settings["kind"] == "text":
        text = data = TextData(settings, corpus)
        require_same(text.describe(), description, corpus)
        chosen = split or text.reported
        measures, scored = text_measures(network, text, chosen, adaptation, extract, device)
    else:
        if adaptation is not None:
            raise InputError("--dynamic: the paper evaluates handwriting networks statically; leave it out")
        pen = data = PenData(settings, corpus)
        require_same(pen.describe(), description, corpus)
        chosen, scored = split or "validation", []
        batches = pen.batches(chosen, pen.EVALUATED_AT_ONCE, device=device)
        measures = pen_objective(network, settings).evaluate(batches.epoch(0))
    for name, value in measures.items():
        if not math.isfinite(value):
            remedy = "its training has diverged" if adaptation is None else "lower the learning rate of --dynamic"
            raise InputError(f"{model}: {name} on {chosen} is {value}; {remedy}")
    seconds = round(time.perf_counter() - started, 1)
    write_result(
        output,
        {
            "evaluation": "static" if adaptation is None else "dynamic",
            "split": chosen,
            "rule": data.rule,
            "measures": measures,
            "model": {
                key: description[key]
                for key in ("experiment", "regularisation", "kind", "weights", "complete", "epochs", "best_epoch")
            }
            | {
                "seed": settings["seed"],
                # the running mean up to the best validation; the paper does not say how it measured its training loss
                "train_nats_per_prediction": description["best"].get("train_nats_per_prediction"),
            },
        },
        provenance({"dynamic": adaptation, "split": chosen}, settings["seed"], str(device), seconds),
    )
    if extract > 0:  # empty for handwriting: the workflow knows the names of all files before it makes them
        table = pa.Table.from_pylist(scored, pa.schema([("symbol", pa.string()), ("bits", pa.float64())]))
        with parquet_writer(output.with_suffix(".surprisal.parquet"), table.schema) as writer:
            writer.write_table(table)


def text_measures(
    network: nn.Module,
    data: TextData,
    split: str,
    adaptation: dict[str, Any] | None,
    extract: int,
    device: torch.device,
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Bits per character, perplexities, error rate, and the surprisal of the first symbols."""
    scored: list[dict[str, Any]] = []

    def keep(symbols: list[str], nats: torch.Tensor) -> None:
        wanted = symbols[: extract - len(scored)]
        if wanted:  # looking at the numbers waits for the device, after every sequence
            scored.extend({"symbol": s, "bits": bits(value)} for s, value in zip(wanted, nats.tolist(), strict=False))

    in_order = data.batches(split, 1, device=device)
    one_by_one = list(take_leading(in_order, extract))
    if adaptation is None:
        measures = NextSymbol(network).evaluate(data.batches(split, data.EVALUATED_AT_ONCE, device=device).epoch(0))
        objective, state = NextSymbol(network), None
        with torch.inference_mode():
            for batch in one_by_one:
                y_tbk, state = objective.predict(batch, state)
                keep(data.names(batch.targets_tb[:, 0]), surprisal(y_tbk, batch.targets_tb)[:, 0])
    else:
        names = iter([data.names(batch.targets_tb[:, 0]) for batch in one_by_one])
        measures = evaluate_dynamically(
            network,
            in_order.epoch(0),
            **adaptation,
            on_sequence=lambda nats: keep(next(names, []), nats),
        )
    return data.measures(measures, split), scored


def adaptation_of(text: str) -> dict[str, Any] | None:
    """The settings of dynamic evaluation in JSON; None for `null`."""
    try:
        settings = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"--dynamic: not JSON at column {error.colno}: {error.msg}") from error
    keys = ("learning_rate", "momentum", "interval")
    if settings is not None and not (
        isinstance(settings, dict) and "learning_rate" in settings and settings.keys() <= {*keys}
    ):
        raise InputError(f"--dynamic {text}: expected null or an object of {', '.join(keys)}, the first at least")
    for key, value in (settings or {}).items():
        kind, most = (int, math.inf) if key == "interval" else (int | float, 1 if key == "momentum" else math.inf)
        if not isinstance(value, kind) or isinstance(value, bool) or not (key == "interval") <= value < most:
            raise InputError(
                f"--dynamic {text}: {key} is {json.dumps(value)}; expected learning_rate from 0, momentum from 0 to "
                "below 1, interval a whole number from 1"
            )
    return settings


def require_same(found: dict[str, Any], description: dict[str, Any], corpus: Path) -> None:
    """The corpus must have the alphabet (or normalisation) the network was trained with."""
    for key, value in found.items():
        if description.get(key) != value:
            raise InputError(
                f"{corpus}: its {key} differs from that of the network, which was trained on another corpus; "
                "evaluate on the corpus it was trained on, or train again"
            )


if __name__ == "__main__":
    command(main)
