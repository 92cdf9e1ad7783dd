"""The network of the page, run by node, against the library: same seed, same line.

Both sides have the weights rounded to half precision, as the page embeds them. The page computes in double precision:
it agrees with the library's float64 as far as offsets are kept (float32), and with the float32 that `rnngen write`
computes in to `TOLERANCE`, in the network's units (standard deviations of a pen step).
"""

import json
import math
import shutil
import subprocess

import numpy as np
import pytest
import torch

from pipeline.report import render
from pipeline.report.embedding import network_json, prime_json
from rnngen.corpora.alphabet import Alphabet
from rnngen.corpora.handwriting.table import CorpusLines
from rnngen.losses.mixture_density import Mixture
from rnngen.models.handwriting_model import HandwritingModel
from rnngen.networks.synthesis_network import SynthesisNetwork
from rnngen.sampling.handwriting import sample
from rnngen.sampling.philox import philox4x32, uniforms
from tests.tiny_handwriting import ALPHABET, NORMALISER, POINTS_PER_CHARACTER, write_corpus, write_model

TOLERANCE = 1e-4
FOLDER = render.FOLDER
NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed: the page's scripts cannot run here")


def run(script: str, given: object = None):
    """What a module that may import from the report's folder prints as JSON; `given` is its variable of that name."""
    text = f"const given = JSON.parse((await import('node:fs')).readFileSync(0));\n{script}"
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", text.replace("FOLDER", FOLDER.as_uri())],
        input=json.dumps(given),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def model():
    """A network with weights large enough that a wrong gate, peephole or window would show at once."""
    network = SynthesisNetwork(
        20,
        3,
        len(ALPHABET),
        4,
        5,
        init_range=0.4,
        window_bias=-math.log(POINTS_PER_CHARACTER),
        generator=torch.Generator().manual_seed(2),
    )
    for parameter in network.parameters():
        parameter.data = parameter.data.half().float()
    return HandwritingModel(network, NORMALISER, ALPHABET, {})


@pytest.fixture(scope="module")
def prime(model, tmp_path_factory):
    corpus = CorpusLines(write_corpus(tmp_path_factory.mktemp("corpus") / "hw.parquet"))
    line = corpus.spread(1, ["trainset"])[0]
    return model.prime(line.ink, line.text, line.line)


def test_random_numbers():
    counters = [[0, 0, 0, 0], [0xFFFFFFFF] * 4, [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]]
    keys = [[0, 0], [0xFFFFFFFF] * 2, [0xA4093822, 0x299F31D0]]
    seeds = [0, 1, 2**32 + 5, 2**53 - 1]
    words, draws = run(
        "import { philox4x32, uniforms } from 'FOLDER/philox.js';"
        "console.log(JSON.stringify([given[0].map((c, n) => philox4x32(c, given[1][n])),"
        " given[2].map((seed) => [0, 1, 2, 3, 70000].map((t) => uniforms(seed, t)))]))",
        [counters, keys, seeds],
    )
    for counter, key, word in zip(counters, keys, words, strict=True):
        assert philox4x32(np.array([counter]), tuple(key)).tolist() == [word]
    for seed, drawn in zip(seeds, draws, strict=True):
        assert (uniforms(seed, 70_001)[[0, 1, 2, 3, 70_000]] == np.array(drawn)).all()


def test_half_precision():
    values = np.arange(2**16, dtype=np.uint16).view("<f2")
    finite = np.isfinite(values)
    found = run(
        "import { floatsFromHalves } from 'FOLDER/synthesis_network.js';"
        "const floats = floatsFromHalves(Uint16Array.from({length: 65536}, (_, n) => n));"
        "console.log(JSON.stringify(Array.from(floats, (x) => Number.isFinite(x) ? x : String(x))))"
    )
    assert (np.array([x for x, ok in zip(found, finite, strict=True) if ok]) == values[finite].astype(float)).all()
    assert {x for x, ok in zip(found, finite, strict=True) if not ok} == {"NaN", "Infinity", "-Infinity"}


WRITE = """
import { Writer } from 'FOLDER/lines.js';
const writer = new Writer(given.network);
console.log(JSON.stringify(given.jobs.map(({text, bias, seed, prime, finishStroke}) => {
  const line = writer.line(text, {bias, seed, prime: prime ? given.prime : null, finishStroke});
  const placed = prime ? line.points.length : line.points.length - 1;
  return {steps: line.steps, placed, points: line.points, ends: line.ends,
          next: line.next.map((step) => ({x: step.x, phi: [...step.phi], y: [...step.y]}))};
})));
"""
JOBS = [
    {"text": "hello", "bias": 0.0, "seed": 1, "prime": False, "finishStroke": 0},
    {"text": "under the sun", "bias": 0.75, "seed": 2, "prime": False, "finishStroke": 25},
    {"text": "a b", "bias": 5.0, "seed": 2**40 + 3, "prime": False, "finishStroke": 25},
    {"text": "the sun", "bias": 0.5, "seed": 9, "prime": True, "finishStroke": 25},
]


@pytest.fixture(scope="module")
def written(model, prime):
    return run(WRITE, {"network": network_json(model), "prime": prime_json(prime), "jobs": JOBS})


def by_the_library(model, prime, job, **options):
    request = model.request(job["text"], bias=job["bias"], seed=job["seed"], prime=prime if job["prime"] else None)
    return sample(model.network, [request], finish_stroke=job["finishStroke"], **options)[0]


@pytest.mark.parametrize("number", range(len(JOBS)))
def test_the_page_writes_the_line_of_rnngen_write(model, prime, written, number):
    line = by_the_library(model, prime, JOBS[number])
    page_line = written[number]
    assert page_line["steps"] == len(line.new_t3) > 10
    steps = line.new_t3[1:] if JOBS[number]["prime"] else line.new_t3
    assert np.abs(np.array([step["x"] for step in page_line["next"]]) - steps).max() < TOLERANCE
    ink = np.concatenate(model.strokes(line))
    points = np.array(page_line["points"])
    assert points.shape == ink.shape
    moved = ink - ink[0] - (points - points[0])
    assert np.abs(moved).max() < TOLERANCE * NORMALISER.deviation.max() * len(ink)
    assert sum(page_line["ends"]) == line.new_t3[:, 2].sum()


@pytest.mark.parametrize("number", range(len(JOBS)))
def test_in_double_precision_nothing_differs(model, prime, written, number):
    double = HandwritingModel(
        SynthesisNetwork(**model.network.arguments).double(), model.normaliser, model.alphabet, model.about
    )
    double.network.load_state_dict(model.network.state_dict())
    line = by_the_library(double, prime, JOBS[number], backend="torch", keep_outputs=True)
    skipped = line.prime_steps + (1 if JOBS[number]["prime"] else 0)
    steps = written[number]["next"]
    reached = len(steps)
    assert np.abs(np.array([s["x"] for s in steps]) - line.offsets_t3[skipped:]).max() < 1e-6
    assert np.abs(np.array([s["y"] for s in steps]) - line.outputs_so[skipped : skipped + reached]).max() < 1e-9
    assert np.abs(np.array([s["phi"] for s in steps]) - line.phi_su[skipped : skipped + reached]).max() < 1e-9


def test_reading_a_line_gives_what_writing_it_did(model, written):
    line = written[1]
    text = JOBS[1]["text"]
    phi, y = run(
        "import { Writer } from 'FOLDER/lines.js'; const writer = new Writer(given.network);"
        "const steps = writer.read(given.line);"
        "console.log(JSON.stringify([steps.map((s) => [...s.phi]), steps.map((s) => [...s.y])]))",
        {"network": network_json(model), "line": {"points": line["points"], "ends": line["ends"], "text": text}},
    )
    assert np.abs(np.array(phi) - [step["phi"] for step in line["next"]]).max() < 1e-6
    assert np.abs(np.array(y) - [step["y"] for step in line["next"]]).max() < 1e-6


@pytest.mark.parametrize("symbols", ["abehs '-.\"", "eé ", "e\u0301 a"])
def test_the_page_reads_what_is_typed_as_the_command_does(tmp_path, symbols):
    model = HandwritingModel.load(write_model(tmp_path / "typed", alphabet=Alphabet(tuple(symbols))))
    texts = ["a’s “b” – a…", "e\u0301 e\u0300", "a\u200bs\u00ad\u202eb", "日 ½ ﬁ é\ufe0f", "ba", "ßABEæøX Ł"]
    found = run(
        "import { Writer } from 'FOLDER/lines.js'; const writer = new Writer(given.network);"
        "console.log(JSON.stringify(given.texts.map((text) => [writer.readable(text), writer.unknown(text)])))",
        {"network": network_json(model), "texts": texts},
    )
    assert [read for read, _ in found] == [model.readable(text, replace_unknown=True) for text in texts]
    assert [sorted(unknown) for _, unknown in found] == [sorted(model.replacements(text)) for text in texts]


def test_mixture_and_stop_rule():
    y = torch.randn(31, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = run(
        "import { mixture, stops } from 'FOLDER/handwriting_sampling.js';"
        "const m = mixture(Float64Array.from(given.y), 0.5);"
        "const plain = Object.fromEntries(Object.entries(m).map(([k, v]) => [k, v.length ? [...v] : v]));"
        "console.log(JSON.stringify([plain, given.phi.map(stops)]))",
        {"y": y.tolist(), "phi": [[0.1, 0.2], [0.2, 0.2], [0, 0], [0.5, 0.1, 0.4], [0.1, 0.3, 0.4]]},
    )
    expected = Mixture(y, 0.5)
    for name, value in {
        "weights": expected.weights,
        "mean1": expected.mean1,
        "deviation1": expected.deviations[0],
        "deviation2": expected.deviations[1],
        "correlation": expected.correlations,
        "endOfStroke": expected.end_of_stroke,
    }.items():
        assert np.abs(np.array(found[0][name]) - value.numpy()).max() < 1e-12, name
    assert found[1] == [True, False, False, False, True]


def test_text_is_wrapped_as_the_command_wraps_it():
    from rnngen.ink.page import wrapped

    texts = ["one two three four", "  a   b ", "extraordinarily long", "ab cd ef gh ij"]
    found = run(
        "import { wrapped } from 'FOLDER/live.js'; console.log(JSON.stringify(given.map((t) => wrapped(t, 8))))", texts
    )
    assert found == [wrapped(" ".join(text.split()), 8) for text in texts]


def test_all_modules_together_are_one_script(tmp_path):
    script = tmp_path / "page.mjs"
    script.write_text(render.one_script(), encoding="utf-8")
    done = subprocess.run([NODE, "--check", str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "import " not in render.one_script().split("startLiveWriting")[0]
