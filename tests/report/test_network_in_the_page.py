"""The network of the page, run by node, against the library: same seed, same line.

Both sides have the weights rounded to half precision, as the page embeds them. The page computes in single precision
where it can use SIMD, else in double: then it agrees with the library's float64 as far as offsets are kept (float32).
Both agree with the float32 that `rnngen write` computes in to `TOLERANCE`, in the network's units (standard deviations
of a pen step).
"""

import base64
import json
import math
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.report.render import SCRIPTS
from rnngen.corpora.alphabet import Alphabet
from rnngen.corpora.handwriting.lines import Cleaning, Normaliser
from rnngen.corpora.handwriting.parquet import CorpusLines
from rnngen.ink.read_strokes import read_ink
from rnngen.losses.mixture_density import Mixture
from rnngen.models.handwriting_model import End, HandwritingModel
from rnngen.networks.synthesis_network import SynthesisNetwork
from rnngen.sampling.handwriting import sample
from rnngen.sampling.philox import philox4x32, uniforms
from rnngen.web import one_file
from rnngen.web.embedding import network_json, prime_json
from rnngen.web.one_file import one_script
from rnngen.web.writer_page import WRITER_SCRIPTS, worker_script
from tests.tiny_handwriting import ALPHABET, NORMALISER, POINTS_PER_CHARACTER, write_corpus, write_model

TOLERANCE = 1e-4
FOLDER = one_file.FOLDER
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
import { FastNetwork } from 'FOLDER/fast_network.js';
import { SynthesisNetwork } from 'FOLDER/synthesis_network.js';
const writer = new Writer(given.network, { FastNetwork, SynthesisNetwork }[given.arithmetic]);
console.log(JSON.stringify(given.jobs.map(({text, bias, seed, prime, finishStroke}) => {
  Object.assign(writer, { finishStroke, nextWord: null });
  const line = writer.line(text, {bias, seed, prime: prime ? given.prime : null, tries: 1});
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


@pytest.fixture(scope="module", params=["SynthesisNetwork", "FastNetwork"])
def written(request, model, prime):
    given = {"network": network_json(model), "prime": prime_json(prime), "jobs": JOBS}
    return run(WRITE, given | {"arithmetic": request.param})


@pytest.fixture(scope="module")
def written_in_double(model, prime):
    given = {"network": network_json(model), "prime": prime_json(prime), "jobs": JOBS}
    return run(WRITE, given | {"arithmetic": "SynthesisNetwork"})


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
def test_in_double_precision_nothing_differs(model, prime, written_in_double, number):
    double = HandwritingModel(
        SynthesisNetwork(**model.network.arguments).double(), model.normaliser, model.alphabet, model.about
    )
    double.network.load_state_dict(model.network.state_dict())
    line = by_the_library(double, prime, JOBS[number], backend="torch", keep_outputs=True)
    skipped = line.prime_steps + (1 if JOBS[number]["prime"] else 0)
    steps = written_in_double[number]["next"]
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
    assert np.abs(np.array(phi) - [step["phi"] for step in line["next"]]).max() < TOLERANCE
    assert np.abs(np.array(y) - [step["y"] for step in line["next"]]).max() < TOLERANCE


def test_the_kernels_are_what_their_source_makes(tmp_path):
    if shutil.which("wat2wasm") is None:
        pytest.skip("wat2wasm is not installed: npm install --global wabt")
    subprocess.run(["wat2wasm", str(FOLDER / "kernels.wat"), "-o", str(tmp_path / "kernels.wasm")], check=True)
    embedded = run("import { KERNELS } from 'FOLDER/kernels.js'; console.log(JSON.stringify(KERNELS))")
    assert base64.b64decode(embedded) == (tmp_path / "kernels.wasm").read_bytes()


@pytest.mark.parametrize("cells", [1, 3, 8, 33])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_networks_of_all_sizes_are_the_same_in_both_arithmetics(cells, layers):
    generator = torch.Generator().manual_seed(cells)
    network = SynthesisNetwork(
        cells, layers, len(ALPHABET), 3, 7, init_range=0.4, window_bias=-1.5, generator=generator
    )
    model = HandwritingModel(network, NORMALISER, ALPHABET, {})
    steps = np.random.default_rng(layers).normal(size=(40, 3)).tolist()
    differences = run(
        "import { Writer } from 'FOLDER/lines.js'; import { FastNetwork } from 'FOLDER/fast_network.js';"
        "import { SynthesisNetwork } from 'FOLDER/synthesis_network.js';"
        "const [a, b] = [FastNetwork, SynthesisNetwork].map((N) => new Writer(given.network, N).network);"
        "const text = [1, 5, 0, 3, 1]; const found = [];"
        "for (let again = 0; again < 2; ++again) {"
        "  const s = a.start(text), t = b.start(text);"
        "  for (const x of given.steps) { a.step(s, x); b.step(t, x);"
        "    found.push(Math.max(...['y', 'phi', 'window', 'kappa'].map((k) =>"
        "      Math.max(...Array.from(s[k], (v, n) => Math.abs(v - t[k][n])))))); } }"
        "console.log(JSON.stringify(found))",
        {"network": network_json(model), "steps": steps},
    )
    assert len(differences) == 80 and max(differences) < 2e-5


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


def pointed(random, strokes):
    """Strokes as a pointer draws them: tenths of a unit, times that never fall and often stand still; some dots."""
    drawn, now = [], 12.5
    for k in range(strokes):
        n = int(random.integers(1, 40)) if k % 5 else 1
        points = np.cumsum(random.normal((2.0, 0.0), 4.0, (n, 2)), axis=0) + np.array([30 * k, 60])
        times = now + np.cumsum(random.choice([0.0, 0.004, 0.0163], n))
        now = times[-1] + 0.2
        drawn.append([[round(x, 1), round(y, 1), float(t)] for (x, y), t in zip(points, times, strict=True)])
    return drawn


@pytest.mark.parametrize("threshold", [None, 90.0])
@pytest.mark.parametrize("every", [1, 2, 3])
def test_a_style_drawn_in_the_page_is_that_of_the_command(model, tmp_path, every, threshold):
    cleaning = Cleaning(every=every, step_threshold=threshold)
    model = replace(model, normaliser=Normaliser(NORMALISER.mean, NORMALISER.deviation, cleaning))
    random = np.random.default_rng(every)
    texts = ["hello", "a", "under the sun", "so slow", "lines and lines", "rod"]
    drawn = [pointed(random, n) for n in (2, 3, 4, 7, 12, 6)]
    drawn[0] = drawn[0][1:]  # one stroke, with an extent
    drawn[5][2:4] = [[[x, y, stroke[0][2]] for x, y, _ in stroke] for stroke in drawn[5][2:4]]  # a clock that stood
    found = run(
        "import { Writer } from 'FOLDER/lines.js'; import { primeFromInk } from 'FOLDER/live.js';"
        "const writer = new Writer(given.network);"
        "console.log(JSON.stringify(given.drawn.map((strokes, n) => {"
        "  const prime = primeFromInk(writer, strokes, given.texts[n]);"
        "  const line = writer.line('sun', { bias: 1, seed: 3, prime, tries: 1 });"
        "  return [prime.text, prime.offsets, line.steps, line.points];"
        "})))",
        {"network": network_json(model), "drawn": drawn, "texts": texts},
    )
    for strokes, text, (page_text, offsets, steps, points) in zip(drawn, texts, found, strict=True):
        saved = tmp_path / "strokes.json"
        saved.write_text(json.dumps({"strokes": strokes}), encoding="utf-8")
        prime = model.prime_from_any(read_ink(saved), text, "mine")
        assert page_text == prime.text and len(offsets) == len(prime.offsets_t3)
        np.testing.assert_allclose(offsets, prime.offsets_t3, atol=1e-5)
        request = model.request("sun", bias=1.0, seed=3, prime=prime, end=End.WORD)
        line = model.sample([request], End.WORD)[0]
        ink = np.concatenate(model.strokes(line))
        assert steps == len(line.new_t3)
        assert np.abs(ink - ink[0] - (np.array(points) - points[0])).max() < TOLERANCE * 60 * len(ink)


@pytest.mark.parametrize("arithmetic", ["SynthesisNetwork", "FastNetwork"])
def test_lines_are_drawn_again_as_by_the_command(model, arithmetic):
    """Of the same seeds the same try is kept, with the same end and the same fault."""
    texts = ["hello", "under the sun", "a", "so slow", "lines and lines", "the end is near", "red", "noon"]
    found = run(
        "import { Writer } from 'FOLDER/lines.js'; import { FastNetwork } from 'FOLDER/fast_network.js';"
        "import { SynthesisNetwork } from 'FOLDER/synthesis_network.js';"
        "const writer = new Writer(given.network, { FastNetwork, SynthesisNetwork }[given.arithmetic]);"
        "console.log(JSON.stringify(given.texts.map((text, n) => {"
        "  const line = writer.line(text, { bias: 1, seed: n });"
        "  return [line.seed, line.tries, line.steps, line.fault, line.clarity, line.points]; })))",
        {"network": network_json(model), "texts": texts, "arithmetic": arithmetic},
    )
    requests = [model.request(text, bias=1.0, seed=n, end=End.WORD) for n, text in enumerate(texts)]
    kept = model.sample_whole(texts, requests, End.WORD)
    assert {one.tries for one in kept} != {1}
    for one, (seed, tries, steps, fault, clarity, points) in zip(kept, found, strict=True):
        assert (seed, tries, steps) == (one.seed, one.tries, len(one.line.new_t3))
        assert (fault is None) == (one.alignment.fault is None)
        assert clarity == pytest.approx(one.alignment.clarity, abs=1e-3)
        ink = np.concatenate(model.strokes(one.line))
        assert np.abs(ink - ink[0] - (np.array(points) - points[0])).max() < TOLERANCE * 60 * len(ink)


@pytest.mark.parametrize("script", ["report", "writer", "worker"])
def test_the_modules_fit_into_one_script(tmp_path, script):
    """No two of them have a name in common."""
    whole = {
        "report": lambda: one_script(SCRIPTS),
        "writer": lambda: one_script([*WRITER_SCRIPTS, FOLDER / "alone.js"]),
        "worker": worker_script,
    }
    (tmp_path / "whole.mjs").write_text(whole[script](), encoding="utf-8")
    done = subprocess.run([NODE, "--check", tmp_path / "whole.mjs"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_mixture_and_stop_rule():
    y = torch.randn(31, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = run(
        "import { mixture, stops } from 'FOLDER/handwriting_sampling.js';"
        "const m = mixture(Float64Array.from(given.y), 0.5);"
        "const plain = Object.fromEntries(Object.entries(m).map(([k, v]) => [k, v.length ? [...v] : v]));"
        "console.log(JSON.stringify([plain, given.phi.map((phi) => stops(phi))]))",
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
    from rnngen.ink.page import wrap

    texts = ["one two three four", "  a   b ", "extraordinarily long", "ab cd ef gh ij"]
    found = run(
        "import { wrapped } from 'FOLDER/live.js'; console.log(JSON.stringify(given.map((t) => wrapped(t, 8))))", texts
    )
    assert found == [wrap(" ".join(text.split()), 8) for text in texts]


@pytest.mark.parametrize("scripts", [SCRIPTS, (*WRITER_SCRIPTS, FOLDER / "alone.js")], ids=["report", "writer"])
def test_all_modules_together_are_one_script(tmp_path, scripts):
    script = tmp_path / "page.mjs"
    script.write_text(one_script(scripts), encoding="utf-8")
    done = subprocess.run([NODE, "--check", str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "\nimport " not in one_script(scripts) and "\nexport " not in one_script(scripts)
