"""Every command that README, docs, `--help` and comments print works as it is typed.

They run in a folder that a reader may have after the default run: its results, at the size of the smoke preset, and
files under the names that the pages use. What cannot be run here is listed with its reason, and its arguments are read
by the program's own parser; what Snakemake would do is planned by Snakemake, from the configuration that is named.
"""

import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from snakemake.cli import main as snakemake_main
from snakemake.cli import parse_args as parse_snakemake
from typer.testing import CliRunner

from pipeline import make_report
from pipeline._settings import load_config
from rnngen.cli.main import app
from rnngen.handwriting_generator.glyphs import load_letterforms
from tests.docs.printed_commands import PAGES, ROOT, blocks, commands, of_comments, of_docstrings, of_page, printed
from tests.tiny_handwriting import TEXTS
from tests.workflow.test_workflow import SNAKEMAKE, snakemake, write_dump

pytestmark = pytest.mark.slow

# all of them before a test puts another ROOT into them: one that is imported later would keep it
MODULES = [
    importlib.import_module(f"pipeline.{path.stem}")
    for path in sorted((ROOT / "pipeline").glob("*.py"))
    if path.stem != "__init__"
]

COMMANDS = printed()

NOT_RUN = {
    r"git clone": "the address of the repository is the reader's to fill in",
    r"pip (download|install)": "installs packages",
    r"make ": "installs, or runs everything: the targets are looked up",
    r"head -c 4154399": "wants enwik8",
    r"python -m pipeline.parse_wikipedia data/raw/enwik8": "wants enwik8",
    r"python -m pipeline.train --config workflow/presets/paper": "takes hours",
    r"python -m pipeline.measure_likeness": "wants real handwriting",
    r"python -m pipeline.pack_writer": "wants the model of the preset writer",
    r"python -m pipeline.measure_cost": "measures trainings of the paper's size on licensed data",
    r"python -m tools.lease": "wants a GPU and licensed data",
    r"python -m pipeline.publish": "wants a network of the paper's size",
    r"python -m benchmarks": "takes minutes, and its numbers mean nothing on a machine at work",
    r"rnngen watch( results/state/wikipedia/none --every 10)?$": "goes on until Ctrl-C",
    r"snakemake reproduce-all --profile profiles/slurm": "wants a cluster, and the plugin named beside it",
    r"snakemake reproduce-all --profile profiles/s3": "wants a bucket, and the plugin named beside it",
    r"torchrun": "starts processes of its own; tests/pipeline/test_train_on_several_processes.py has it",
    r"snakemake --report": "wants the whole run; tests/workflow/test_workflow.py has it",
}

NO_COMMANDS = ("import pyarrow", "dump = b", "j cursive", "layer n:", "data/my-hand/")
"""How the blocks of the pages begin that hold no command."""


def demo_characters() -> str:
    """What the generator writes where `diacritics` is off."""
    return "".join(filter(str.isascii, load_letterforms().characters))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the reader is."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("workflow", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "Snakefile", folder)
    config = load_config([ROOT / "config.yaml", ROOT / "workflow" / "presets" / "smoke.yaml"])
    config["results"] = "results"
    # a network of the demo knows all that the generator writes without marks; the few lines of smoke have not all of it
    config["corpora"]["handwriting"] |= {"alphabet": demo_characters(), "non_letter": None}
    config["corpora"]["handwriting"]["lines"] = 256  # of 64 there may be none with the word that an example looks for
    config["corpora"]["wikipedia"]["dumps"] = ["data/dump.xml.bz2"]
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    write_dump(folder / "data" / "dump.xml.bz2")
    made = snakemake(
        folder,
        *(
            f"results/models/{name}/weights.safetensors"
            for name in ("synthesis/adaptive-weight-noise", "treebank-character/none")
        ),
        *(f"results/evaluations/{row}.json" for row in ("treebank-character/none.static", "wikipedia/none.static")),
        "results/evaluations/wikipedia/none.dynamic.json",
        "results/models/prediction-3-layer/none/weights.safetensors",
        *(f"results/samples/handwriting/{name}.parquet" for name in ("fig16", "trace.synthesis")),
    )
    assert made.returncode == 0, (made.stdout + made.stderr)[-6000:]
    add_files_of_the_reader(folder)
    return folder


def add_files_of_the_reader(folder: Path) -> None:
    """What the pages take for granted, under the names they use."""
    results = folder / "results"
    for name in ("DUMP.xml.bz2", "DUMP…"):
        shutil.copy(folder / "data" / "dump.xml.bz2", folder / name)
    shutil.copytree(results / "raw" / "handwriting", folder / "data" / "raw" / "iam-ondb")
    shutil.copytree(results / "raw" / "treebank", folder / "data" / "raw" / "penn-treebank")
    for name in ("results-of-yesterday", "results/before", "results/after", "results/mine", "results/my-hand"):
        for kind in ("models", "evaluations"):
            shutil.copytree(results / kind, folder / name / kind)
    for name in ("before", "after"):
        shutil.copy(results / "evaluations" / "wikipedia" / "none.static.json", folder / f"{name}.static.json")
    paths = '<path d="M0 0 L20 30 L30 5 L50 30"/><path d="M60 10 C70 40 80 0 95 20"/>'
    (folder / "me.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg" fill="none" stroke="black">{paths}</svg>')
    prose = " ".join(
        f"The {word} of the old road is not so slow as the {word} was under the sun." for word in "abcdefghij" * 900
    )
    (folder / "texts").mkdir()
    for path in ("essay.txt", "letters.txt", "texts/one.txt", "texts/two.txt"):
        (folder / path).write_text(prose.replace(". ", ".\n"), encoding="utf-8")
    (folder / "letter.txt").write_text("Dear reader,\n\nthe pen moves by itself.\n", encoding="utf-8")
    for page in ("monday", "tuesday", "."):
        for number, text in enumerate(TEXTS):
            line = folder / "data" / "my-hand" / page / f"line{number}"
            line.parent.mkdir(parents=True, exist_ok=True)
            line.with_suffix(".txt").write_text(text, encoding="utf-8")
            strokes = [[[30 * n, n % 3], [30 * n + 7 + n % 4, 25 + n], [30 * n + 20, 5]] for n in range(len(text))]
            line.with_suffix(".json").write_text(str(strokes), encoding="utf-8")
    corpus = "results/my-hand/corpora/handwriting.parquet"
    import_ink = [sys.executable, "-m", "pipeline.import_ink", "data/my-hand", "--output", corpus]
    subprocess.run(import_ink, cwd=folder, check=True)
    for page in PAGES:
        for language, block in blocks(page.read_text(encoding="utf-8")):
            if language == "yaml" and (name := configuration_of(block)):
                (folder / name).write_text(block, encoding="utf-8")


def configuration_of(block: str) -> str | None:
    """The name by which the commands of its page call a configuration."""
    for sign, name in (
        ("treebank-character-deep:", "deep.yaml"),
        ("preset: mine", "mine.yaml"),
        ("preset: my-hand", "my-hand.yaml"),
        ("preset: from-demo", "from-demo.yaml"),
    ):
        if sign in block:
            return name
    return None


@pytest.mark.parametrize("command", COMMANDS, ids=[f"{where}: {command[:60]}" for command, where in COMMANDS.items()])
def test_as_it_is_typed(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", f"{SNAKEMAKE.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("RNNGEN_MODEL", "results/models/synthesis/none")  # as `rnngen write --help` says
    for module in MODULES:
        if hasattr(module, "ROOT"):
            monkeypatch.setattr(module, "ROOT", folder)
    if any(re.match(pattern, command) for pattern in NOT_RUN):
        check_without_running(command)
    elif command.startswith("snakemake"):
        plan(command, capfd)
    elif re.search(r"[|<>]|\$\(", re.sub(r"'[^']*'", "", command)) or not re.match("rnngen|python", command):
        done = subprocess.run(["/bin/bash", "-euo", "pipefail", "-c", command], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    else:
        program, arguments = program_of(command)
        done = CliRunner().invoke(program, arguments)
        assert done.exit_code == 0, (done.output[-2000:], done.exception)


def program_of(command: str) -> tuple[typer.Typer, list[str]]:
    """The application of `rnngen …`, `python -m MODULE …` or `torchrun … -m MODULE …`, and its arguments."""
    words = shlex.split(command)
    if words[0] == "rnngen":
        return app, words[1:]
    place = words.index("-m") + 1
    # so that it takes the configuration from where we are
    module = importlib.reload(importlib.import_module(words[place]))
    if hasattr(module, "app"):  # of several commands
        return module.app, words[place + 1 :]
    program = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    program.command()(module.main)
    return program, words[place + 1 :]


def check_without_running(command: str) -> None:
    """Targets exist, and the program accepts the arguments."""
    words = shlex.split(command)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif words[0] in ("rnngen", "python", "torchrun"):
        parse(command)
    elif words[0] == "snakemake":
        if "--profile" in words:
            place = words.index("--profile")
            assert (ROOT / words[place + 1] / "config.yaml").exists()
            del words[place : place + 2]
        parse_snakemake(words[1:])
    else:
        assert words[0] in ("git", "head", "pip"), command


def parse(command: str) -> None:
    """Raises click's UsageError where an option is unknown, missing or of a wrong type."""
    program, arguments = program_of(command)
    click_command = typer.main.get_command(program)
    if program is app:
        click_command, arguments = click_command.commands[arguments[0]], arguments[1:]
    click_command.make_context(command, arguments)


def plan(command: str, capture: pytest.CaptureFixture[str]) -> None:
    """Let Snakemake plan what is typed; a rule that is to be forced is then in the plan."""
    arguments = shlex.split(command)
    rules = planned(command, capture)
    if "--forcerun" in arguments:
        assert arguments[arguments.index("--forcerun") + 1] in rules


def planned(command: str, capture: pytest.CaptureFixture[str]) -> set[str]:
    """The rules that a command of Snakemake's would run."""
    with pytest.raises(SystemExit) as end:
        snakemake_main([*shlex.split(command)[1:], "--dry-run"])
    output = "".join(capture.readouterr())
    assert end.value.code == 0, output[-3000:]
    return set(re.findall(r"^([\w-]+) +\d+$", output, re.MULTILINE))


def test_what_the_report_says_rebuilds(folder: Path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(folder)
    data = {"words": "some", "as_in_paper": False, "generated": True}
    chosen = {
        "wikipedia": {"kind": "text", "rows": ["none"], "data": data},
        "synthesis": {"kind": "synthesis", "rows": ["none", "adaptive-weight-noise"], "data": data},
    }
    make_report.main(Path("results"), json.dumps(chosen), "demo", Path("report.html"))
    found = re.findall(r"<code>(snakemake [^<]*)</code>", Path("report.html").read_text(encoding="utf-8"))
    assert len(found) == 6 and found[-1] == "snakemake reproduce-all"
    for command, rule in zip(found, ["train"] * 2 + ["train_synthesis"] * 3, strict=False):
        assert rule in planned(command, capfd), command


def test_the_alphabet_that_a_page_gives_as_the_demos() -> None:
    config = load_config([ROOT / "config.yaml"])
    assert config["corpora"]["handwriting"]["alphabet"] == "all" and not config["corpora"]["handwriting"]["diacritics"]
    page = (ROOT / "docs" / "your-own-data.md").read_text(encoding="utf-8")
    (block,) = (block for _, block in blocks(page) if configuration_of(block) == "from-demo.yaml")
    assert yaml.safe_load(block)["corpora"]["handwriting"]["alphabet"] == demo_characters()


def test_no_block_of_a_page_is_passed_over() -> None:
    for page in PAGES:
        for language, block in blocks(page.read_text(encoding="utf-8")):
            if language in (None, "", "sh", "console") and not commands(block.split("\n")):
                assert block.strip().startswith(NO_COMMANDS), (page.name, block)


def test_every_reason_not_to_run_a_command_is_needed() -> None:
    for pattern in NOT_RUN:
        assert any(re.match(pattern, command) for command in COMMANDS), pattern


def test_extraction() -> None:
    page = 'Text\n\n    rnngen write "a # b" \\\n        -o x.svg   # a comment\n\n```\nmake test\n```\n'
    assert of_page(page) == ['rnngen write "a # b" -o x.svg', "make test"]
    assert of_comments("# Words.\n#   snakemake a \\\n#       b\nkey: 1\n") == ["snakemake a b"]
    assert of_docstrings('"""Title.\n\n    python -m x.y --j \'{"a":\n      1}\'\n"""') == [
        "python -m x.y --j '{\"a\":\n      1}'"
    ]
