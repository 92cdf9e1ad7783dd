"""Every reader of the program with a file it reads: what it makes of a torn or a mutated one."""

import bz2
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from pipeline._settings import check_config, read_settings, read_yaml
from pipeline.make_table import line, read_evaluations
from pipeline.paper import TABLES
from rnngen.cli.facts import facts
from rnngen.corpora.handwriting.iam_ondb import parse_iam_ondb
from rnngen.corpora.handwriting.lines import load_handwriting
from rnngen.corpora.handwriting.own_files import read_own_handwriting
from rnngen.corpora.handwriting.parquet import CorpusLines
from rnngen.corpora.treebank import load_treebank, parse_treebank
from rnngen.corpora.wikipedia.byte_stream import load_wikipedia
from rnngen.corpora.wikipedia.dump import Options
from rnngen.corpora.wikipedia.parquet import write_wikipedia
from rnngen.ink.read_strokes import read_ink
from rnngen.ink.sampled_lines import read_sampled_lines
from rnngen.models.checkpoint import load_network, load_training_state, save_training_state
from rnngen.models.handwriting_model import HandwritingModel
from rnngen.models.model_directory import CONFIG, LOG, OPTIMISER, WEIGHTS, check_file, read_config
from rnngen.models.text_model import TextModel
from rnngen.training.log import read_log
from tests.faults.project import DUMP, RESULTS, ROOT
from tools.shards import join, split

Read = Callable[[Path], Any]


@dataclasses.dataclass(frozen=True)
class Reader:
    """A reader and the file that is damaged for it. Sealed: there is a checksum, so no other value may come of it."""

    name: str
    file: Path
    read: Read
    sealed: bool = False


INK = {
    "ink.json": '{"strokes": [[[0, 1, 0.0], [2, 3, 0.01], [4, 2, 0.02]], [[5, 5, 0.1], [6, 7, 0.11]]]}',
    "ink.inkml": '<ink xmlns="http://www.w3.org/2003/InkML"><trace>0 1, 2 3, 4 2</trace><trace>5 5, 6 7</trace></ink>',
    "ink.svg": '<svg xmlns="http://www.w3.org/2000/svg"><g fill="none" stroke="black" transform="rotate(9)">'
    '<path d="M0 0 L1 2 C3 4 5 6 7 8 Z"/><polyline points="1,2 3,4"/></g></svg>',
}


def list_readers(project: Path, folder: Path) -> list[Reader]:
    """Readers of copies, in `folder`, of what an undisturbed run has made in `project`, as far as it is there."""
    shutil.copytree(project / RESULTS, folder)
    found = [
        *_model_readers(folder),
        *_state_readers(folder / "a-state"),
        *_source_readers(project, folder / "sources"),
    ]

    def add(name: str, pattern: str, read: Read, most: int = 1) -> None:
        paths = sorted(folder.glob(pattern))[:most]
        sealed = pattern.endswith(".parquet")
        found.extend(Reader(name if most == 1 else f"{name}, {path.name}", path, read, sealed) for path in paths)

    add("corpus of bytes", "corpora/wikipedia.parquet", lambda path: load_wikipedia(path, 9000, 500))
    add("corpus of sentences", "corpora/treebank.parquet", load_treebank)
    add("corpus of handwriting", "corpora/handwriting.parquet", lambda path: load_handwriting(path, every=3))
    add("lines of a corpus", "corpora/handwriting.parquet", lambda path: CorpusLines(path).spread(4, ["testset_v"]))
    add("sentences", "raw/treebank/*.txt", lambda path: parse_treebank(path.parent))
    add("IAM-OnDB", "raw/handwriting/*", lambda path: parse_iam_ondb(path.parent), most=20)
    add("written lines", "samples/handwriting/fig15.parquet", read_sampled_lines)
    add("facts of a Parquet file", "evaluations/*/*.surprisal.parquet", facts)
    add("evaluation", "evaluations/wikipedia/none.static.json", _table_line)
    return found


def _model_readers(folder: Path) -> list[Reader]:
    found: dict[str, Reader] = {}

    def add(name: str, path: Path, read: Read, sealed: bool = False) -> None:
        found.setdefault(name, Reader(name, path, read, sealed))

    for config in sorted((folder / "models").glob("*/none/config.json")):
        model, about = config.parent, json.loads(config.read_bytes())
        kind = about["kind"]
        load = TextModel.load if kind == "text" else HandwritingModel.load
        add(f"{kind} model, {WEIGHTS}", model / WEIGHTS, lambda path, load=load: load(path.parent), sealed=True)
        # config.json has the checksums and is itself sealed by nothing
        add(f"{kind} model, {CONFIG}", config, lambda path, load=load: load(path.parent))
        for name in (OPTIMISER, LOG):
            add(f"model, {name}", model / name, _read_checked, sealed=True)
        add("model, run.json", model / "run.json", lambda path: read_config(path.parent))
        add("facts of a model", config, lambda path: facts(path.parent))
        add("weights alone", model / WEIGHTS, load_network)
        add("log", model / LOG, read_log, sealed=True)
        settings = folder / f"{kind}.settings.json"
        settings.write_text(json.dumps(about["provenance"]["settings"]), encoding="utf-8")
        add(f"settings, {kind}", settings, lambda path: read_settings(str(path)))
    return list(found.values())


def _read_checked(path: Path) -> bytes:
    return check_file(path.parent, read_config(path.parent), path.name).read_bytes()


def _table_line(path: Path) -> dict[str, Any]:
    static = read_evaluations(path.parents[1], path.parent.name, ["none"])[-1]
    return line(TABLES["table2"]["measures"], static, {}, False)


def _read_state(path: Path) -> Any:
    return load_training_state(path.parent)


def _state_readers(folder: Path) -> list[Reader]:
    for step in range(2):
        tensors = {"w": torch.full((40,), float(step)), "g": torch.Generator().manual_seed(step).get_state()}
        save_training_state(folder / "newest", tensors, {"step": step, "history": [{"loss": 1.5}] * 9})
    shutil.copytree(folder / "newest", folder / "only")
    for name in ("state.before.json", "tensors-0.safetensors"):
        (folder / "only" / name).unlink()
    found = [
        Reader(
            f"state, {kind}, {name}", folder / kind / name, lambda path: load_training_state(path.parent), sealed=True
        )
        for kind in ("newest", "only")
        for name in ("state.json", "tensors-1.safetensors")
    ]
    split(folder, [folder / "only"], folder / "shards", 4096, 9)
    for name in ("shards.json", "shard-00.tar"):
        path = folder / "shards" / name
        found.append(Reader(f"shards, {name}", path, lambda path: sorted(join(path.parent, folder / "joined"))))
    return found


def _source_readers(project: Path, folder: Path) -> list[Reader]:
    own = folder / "own"
    own.mkdir(parents=True)
    for number in range(2):
        (own / f"{number}.json").write_text(INK["ink.json"], encoding="utf-8")
        (own / f"{number}.txt").write_text("no\n", encoding="utf-8")
    for name, text in INK.items():
        (folder / name).write_text(text, encoding="utf-8")
    dump, config = (Path(shutil.copy(path, folder)) for path in (project / DUMP, ROOT / "config.yaml"))
    plain = folder / "dump.xml"
    plain.write_bytes(bz2.decompress(dump.read_bytes())[:20_000].rpartition(b"</page>")[0] + b"</page>\n</mediawiki>\n")
    return [
        *(Reader(f"strokes, {name}", folder / name, read_ink) for name in INK),
        Reader("transcript", own / "0.txt", lambda path: read_own_handwriting(path.parent, 0.5)),
        Reader("configuration", config, _configuration),
        Reader("dump, compressed", dump, _parsed_dump),
        Reader("dump", plain, _parsed_dump),
    ]


def _configuration(path: Path) -> dict[str, Any]:
    config = read_yaml(path)
    check_config(config)
    return config


def _parsed_dump(path: Path) -> bytes:
    output = path.with_suffix(".parquet")
    write_wikipedia([path], output, Options(columnar=True), raw=True)
    return output.read_bytes()


def digest(value: Any) -> str:
    """A checksum of what a reader returned."""
    found = hashlib.sha256()
    _feed(found, value)
    return found.hexdigest()


def _feed(found: Any, value: Any) -> None:
    found.update(type(value).__name__.encode())
    match value:
        case torch.nn.Module():
            _feed(found, dict(value.state_dict()))
        case torch.Tensor():
            _feed(found, value.detach().cpu().numpy())
        case np.ndarray():
            found.update(f"{value.shape}{value.dtype}".encode())
            found.update(np.ascontiguousarray(value).tobytes())
        case pa.Table():
            _feed(found, value.to_pylist())
        case dict():
            for key, item in value.items():
                found.update(repr(key).encode())
                _feed(found, item)
        case list() | tuple():
            for item in value:
                _feed(found, item)
        case _ if dataclasses.is_dataclass(value):
            for part in dataclasses.fields(value):
                _feed(found, getattr(value, part.name))
        case _:
            found.update(repr(value).encode(errors="surrogatepass"))
