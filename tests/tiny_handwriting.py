"""A corpus of scribbles and untrained models of a few cells, for tests of what surrounds the networks."""

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from rnngen.corpora.alphabet import Alphabet
from rnngen.corpora.handwriting.lines import Cleaning, Normaliser
from rnngen.corpora.handwriting.parquet import CORPUS_LINES
from rnngen.models.checkpoint import save_network
from rnngen.networks.prediction_network import PredictionNetwork
from rnngen.networks.synthesis_network import SynthesisNetwork

ALPHABET = Alphabet((" ", *"abcdehilnorstuw"))
NORMALISER = Normaliser(np.array([11.0, 1.0]), np.array([60.0, 50.0]), Cleaning(every=2))
POINTS_PER_CHARACTER = 6
SPLITS = ("trainset", "testset_v", "testset_t", "testset_f")
TEXTS = ("this is a line", "under the sun", "not so slow", "an old road", "a test", "hello")


def write_corpus(path: Path, lines: int = 24) -> Path:
    """Lines of two texts after another, of six hands, split in turns."""
    random = np.random.default_rng(0)
    rows = []
    for k in range(lines):
        text = TEXTS[k % len(TEXTS)]
        stroke_len = random.integers(2, 12, len(text))
        steps = random.normal((11 / 2, 0), 30, (int(stroke_len.sum()), 2))
        x, y = np.rint(np.cumsum(steps, axis=0)).astype(int).T
        rows.append(
            {
                "line": f"a00-{k:03d}z-01",
                "form": f"a00-{k:03d}z",
                "writer": None if k % 7 == 6 else str(k % 6),
                "split": SPLITS[k // 2 % 4],
                "text": text,
                "t0": 100.0,
                "x": x,
                "y": y,
                "t": np.arange(len(x)),
                "stroke_len": stroke_len,
            }
        )
    pq.write_table(pa.Table.from_pylist(rows, CORPUS_LINES), path, row_group_size=10)
    return path


def write_model(folder: Path, kind: str = "synthesis", alphabet: Alphabet = ALPHABET) -> Path:
    """An untrained model; its window moves at the right pace, so lines end."""
    generator = torch.Generator().manual_seed(4)
    window_bias = -math.log(POINTS_PER_CHARACTER)
    network = (
        SynthesisNetwork(8, 2, len(alphabet), 3, 2, window_bias=window_bias, generator=generator)
        if kind == "synthesis"
        else PredictionNetwork(3, 8, 2, 13, generator=generator)
    )
    folder.mkdir(parents=True)
    save_network(network, folder / "weights.safetensors")
    sets = {"training": ["trainset", "testset_t", "testset_f"], "validation": ["testset_v"]}
    about = {
        "kind": kind,
        "normaliser": NORMALISER.as_json(),
        "alphabet": alphabet.as_json(),
        "provenance": {"settings": {"corpus": {"name": "handwriting", **sets}, "kind": kind}},
    }
    (folder / "config.json").write_text(json.dumps(about), encoding="utf-8")
    return folder
