"""Pack a trained synthesis network for the package: weights in half precision, description, where it comes from.

    python -m pipeline.pack_writer results/writer/models/synthesis/none \\
        --corpus results/writer/corpora/handwriting.parquet \\
        --legibility results/writer/evaluations/legibility.json --output rnngen/writer

The loss of precision is measured on the validation lines and recorded in config.json, beside the reader's errors.
"""

from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from pipeline._command import command
from pipeline._settings import Settings, check_settings
from pipeline._setup import PenData, pen_objective
from pipeline.evaluate import require_same
from rnngen.artifacts import read_json_object, sha256, write_result
from rnngen.errors import InputError
from rnngen.models.checkpoint import save_network
from rnngen.models.model_directory import CONFIG, WEIGHTS, read_config
from rnngen.models.text_model import load_described_network, settings_of

LARGEST = 8_000_000  # bytes of the weights in the package
KEPT = (
    *("experiment", "regularisation", "kind", "network", "arguments", "weights", "complete", "epochs", "best_epoch"),
    *("updates", "best", "alphabet", "normaliser", "rule"),
)


def main(
    model: Annotated[Path, typer.Argument(help="Directory of a trained synthesis model.")],
    corpus: Annotated[Path, typer.Option(help="Parquet of the corpus that it was trained on.")],
    output: Annotated[Path, typer.Option(help="Folder of the packed model.")],
    legibility: Annotated[
        Path | None, typer.Option(help="JSON of pipeline.measure_legibility on the model's samples.")
    ] = None,
) -> None:
    """The packed model is a model directory like others, without the optimiser's memory and the log."""
    about = read_config(model, *KEPT, "provenance")
    if about["kind"] != "synthesis":
        raise InputError(f"{model}: a model of {about['kind']} writes no text by hand; give a synthesis model")
    settings: Settings = check_settings(settings_of(model, about), str(model / CONFIG))
    network = load_described_network(model, about)
    torch.set_num_threads(settings["threads"])
    data = PenData(settings, corpus)
    require_same(data.describe(), about, corpus)

    def nats_per_point() -> float:
        batches = data.batches("validation", data.EVALUATED_AT_ONCE)
        return pen_objective(network, settings).evaluate(batches.epoch(0))["nats_per_point"]

    trained = nats_per_point()
    weights = network.state_dict()
    halves = {name: tensor.half() for name, tensor in weights.items()}
    change = max(float((half.float() - weights[name]).abs().max()) for name, half in halves.items())
    network.load_state_dict(halves)  # copied into float32, in which they are used
    packed: dict[str, Any] = {
        "type": "float16",
        "largest_change_of_a_weight": change,
        "nats_per_point": {"trained": trained, "packed": nats_per_point()},
    }
    size = sum(half.nbytes for half in halves.values())
    if size > LARGEST:
        raise InputError(f"{model}: {size:,} bytes of weights, over the {LARGEST:,} of the package; train fewer cells")
    save_network(network, output / WEIGHTS, halves)
    description = {key: about[key] for key in KEPT} | {"packed": packed}
    if about.get("initial"):  # what it went on from, a row of the same experiment
        before = read_config(model.parent / about["initial"], "updates", "epochs", "best", "provenance")
        description["initial"] = {key: before[key] for key in ("updates", "epochs", "best", "provenance")}
    if legibility is not None:
        measured = read_json_object(legibility, "the errors of a reader")
        rows = [{key: row[key] for key in row if key != "readings"} for row in measured["measured"]]
        description["legibility"] = {"reader": measured["reader"], "measured": rows}
    description["sha256"] = {WEIGHTS: sha256(output / WEIGHTS)}
    write_result(output / CONFIG, description, about["provenance"])
    nats = packed["nats_per_point"]
    print(f"{output}: {size:,} bytes; {nats['trained']:.4f} nats per point, {nats['packed']:.4f} as packed")


if __name__ == "__main__":
    command(main)
