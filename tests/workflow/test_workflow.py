"""The whole graph on the smoke preset, once; then what reruns and what does not."""

import bz2
import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from html import escape
from pathlib import Path

import pandas as pd
import pytest
import yaml

from rnngen.checked_parquet import is_whole

ROOT = Path(__file__).resolve().parents[2]
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
SMOKE = ("--configfile", "workflow/presets/smoke.yaml")
CHANGE = "change.yaml"
"""A second file, on top of SMOKE in the run and in every plan: the report's commands name both."""
DUMP = "data/dump.xml.bz2"

pytestmark = pytest.mark.slow


def write_dump(path: Path) -> None:
    """A dump in MediaWiki's format, of the English that Python brings along as its own documentation."""
    from pydoc_data.topics import topics

    pages = []
    for number, (title, text) in enumerate(sorted(topics.items()), 1):
        prose = re.sub(r"\n(?=\S)", " ", re.sub(r"(?m)^ .*$", "", text))
        pages.append(
            f"  <page>\n    <title>{escape(title, quote=False)}</title>\n    <ns>0</ns>\n    <id>{number}</id>\n"
            f"    <revision>\n      <id>{number}</id>\n      <timestamp>2020-01-01T00:00:00Z</timestamp>\n"
            f"      <contributor><username>someone</username><id>1</id></contributor>\n"
            f"      <model>wikitext</model>\n      <format>text/x-wiki</format>\n"
            f'      <text xml:space="preserve">{escape(prose, quote=False)}</text>\n    </revision>\n  </page>\n'
        )
    path.parent.mkdir(parents=True)
    path.write_bytes(
        bz2.compress(
            (
                '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" version="0.10" xml:lang="en">\n'
                + "".join(pages)
                + "</mediawiki>\n"
            ).encode()
        )
    )


def copy_project(folder: Path) -> Path:
    """The workflow and a dump in a folder of their own."""
    folder.mkdir()
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder)
    for name in ("workflow", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    write_dump(folder / DUMP)
    return folder


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PATH": f"{SNAKEMAKE.parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
    }
    return subprocess.run([str(SNAKEMAKE), *arguments], cwd=folder, capture_output=True, text=True, env=environment)


def planned(folder: Path, change: str = "") -> Counter[str]:
    """Rule → how many jobs a run would do, with `change` (YAML) on top of the configuration."""
    (folder / CHANGE).write_text(change or "{}")
    result = snakemake(folder, "--dry-run", *SMOKE, CHANGE)
    assert result.returncode == 0, result.stderr
    output = result.stdout + result.stderr
    if "Nothing to be done" in output:
        return Counter()
    table = output.split("Job stats:", 1)[1].split("total", 1)[0]
    return Counter({name: int(count) for name, count in re.findall(r"^([\w-]+) +(\d+)$", table, re.MULTILINE)})


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder with the workflow, a dump of its own, and the results of one whole run; no shell likes its name."""
    folder = copy_project(tmp_path_factory.mktemp("tests") / "my project's folder $(touch injected)")
    preset = folder / "workflow" / "presets" / "smoke.yaml"
    preset.write_text(
        preset.read_text().replace("wikipedia: {train_bytes", f"wikipedia: {{dumps: [{DUMP}], train_bytes")
    )
    (folder / CHANGE).write_text("{}")
    result = snakemake(folder, "reproduce-all", *SMOKE, CHANGE)
    assert result.returncode == 0, (result.stdout + result.stderr)[-6000:]
    assert "All that was asked for is in results/smoke/; open results/smoke/report.html" in result.stderr
    return folder


@pytest.fixture(scope="module")
def results(project) -> Path:
    return project / "results" / "smoke"


def test_every_table_figure_and_the_report_are_there(results):
    report = (results / "report.html").read_text(encoding="utf-8")
    assert len(report) > 10_000
    assert f"{' '.join(SMOKE)} {CHANGE} --forcerun train" in report
    for number in (1, 2, 3, 4):
        table = pd.read_csv(results / "tables" / f"table{number}.csv")
        assert len(table) > 0
        assert (results / "tables" / f"table{number}.md").exists()
    for number in (9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 20, 21):
        assert (results / "figures" / f"fig{number:02}.svg").stat().st_size > 1000
        assert (results / "figures" / f"fig{number:02}.png").stat().st_size > 1000


def test_every_parquet_file_is_whole(results):
    assert all([is_whole(path) for path in results.rglob("*.parquet")])


def test_table_1_has_every_row_static_and_dynamic(results):
    table = pd.read_csv(results / "tables" / "table1.csv")
    rows = {(r.network, r.regularisation, r.evaluation) for r in table.itertuples()}
    for row in ("none", "weight-noise", "adaptive-weight-noise"):
        assert {("treebank-character", row, "static"), ("treebank-character", row, "dynamic")} <= rows
    for row in ("none", "weight-noise"):
        assert {("treebank-word", row, "static"), ("treebank-word", row, "dynamic")} <= rows


def test_a_second_run_finds_nothing_to_do(project):
    assert planned(project) == Counter()


def test_deleting_an_artifact_reruns_what_depends_on_it_only(project, results):
    (results / "evaluations" / "wikipedia" / "none.dynamic.json").unlink()
    assert planned(project) == Counter({"evaluate": 1, "make_table": 1, "make_report": 1, "reproduce-all": 1})
    result = snakemake(project, *SMOKE, CHANGE)
    assert result.returncode == 0, result.stderr[-3000:]
    assert planned(project) == Counter()


def test_another_seed_trains_only_that_seed_on_the_same_corpora(project):
    jobs = planned(project, "seeds: [1, 2]")
    assert (jobs["train"], jobs["train_synthesis"], jobs["evaluate"]) == (12, 3, 23)
    corpora = {"parse_wikipedia", "derive_treebank", "generate_handwriting", "parse_treebank", "parse_iamondb"}
    assert not (corpora | {"sample_text", "sample_handwriting", "draw_learning_curves"}) & jobs.keys()
    assert jobs["make_table"] == 4


def test_a_sweep_trains_its_rows_and_has_a_table(project, results):
    sweep = "sweeps: {size: {experiment: wikipedia, row: none, setting: network.cells, values: [4, 6]}}"
    assert planned(project, sweep)["train"] == 2
    result = snakemake(project, "results/smoke/tables/sweep-size.md", *SMOKE, CHANGE)
    assert result.returncode == 0, result.stderr[-3000:]
    table = pd.read_csv(results / "tables" / "sweep-size.csv")
    assert table["network.cells"].tolist() == [4, 4, 6, 6]
    assert planned(project) == Counter()


def test_a_plot_setting_redraws_and_trains_nothing(project):
    jobs = planned(project, "figures: {width: 5.0}")
    assert jobs["draw_figure"] == 12
    assert not {"train", "evaluate", "sample_handwriting", "parse_wikipedia", "generate_handwriting"} & jobs.keys()


def test_a_setting_of_one_experiment_leaves_the_others_alone(project):
    jobs = planned(project, "experiments: {wikipedia: {training: {maximum_updates: 5}}}")
    assert jobs["train"] == 1
    jobs = planned(project, "experiments: {treebank-word: {dynamic: {learning_rate: 0.5}}}")
    assert jobs["train"] == 0
    assert jobs["evaluate"] == 3


def test_what_does_not_change_a_result_reruns_nothing(project):
    assert planned(project, "{threads: 2, device: cpu}") == Counter()


def test_epochs_leave_the_compressors_alone(project):
    jobs = planned(project, "experiments: {wikipedia: {training: {maximum_epochs: 2}}}")
    assert jobs["train"] == 1 and jobs["measure_baselines"] == 0


def test_the_alphabet_of_handwriting_is_no_matter_of_prediction(project):
    other = "paper" if "alphabet: all" in (ROOT / "config.yaml").read_text() else "all"
    jobs = planned(project, f"corpora: {{handwriting: {{alphabet: {other}}}}}")
    assert jobs["train_synthesis"] > 0 and jobs["train"] == 0


def test_a_moved_checkout_finds_nothing_to_do(project, tmp_path):
    moved = shutil.copytree(project, tmp_path / "elsewhere", symlinks=True)  # copies the times too
    assert planned(moved) == Counter()


def test_a_killed_run_goes_on_with_the_same_command(project, results):
    (results / "evaluations" / "wikipedia" / "none.dynamic.json").unlink()
    command = [str(SNAKEMAKE), *SMOKE, CHANGE]
    environment = os.environ | {"PATH": f"{SNAKEMAKE.parent}:{os.environ['PATH']}"}
    (project / CHANGE).write_text("{}")
    running = subprocess.Popen(
        command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    while not any((project / ".snakemake" / "locks").glob("*.lock")):
        assert running.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    running.kill()
    running.wait()
    assert any((project / ".snakemake" / "locks").glob("*.lock"))
    result = snakemake(project, *SMOKE, CHANGE)
    assert result.returncode == 0, result.stderr[-3000:]
    assert planned(project) == Counter()


def test_a_second_run_beside_a_living_one_is_refused(project, results):
    """The lock of a living run stays, whoever asks."""
    with (project / ".snakemake" / "running").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        lock = project / ".snakemake" / "locks" / "0.output.lock"
        lock.write_text(str(Path("results", "smoke", "report.html")))
        try:
            (results / "report.html").unlink()
            assert "LockException" in snakemake(project, *SMOKE, CHANGE).stderr
        finally:
            lock.unlink()
    assert snakemake(project, *SMOKE, CHANGE).returncode == 0


def test_no_value_reaches_a_shell_unquoted(project):
    unquoted = []
    for file in [ROOT / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")]:
        for command in re.findall(r'"[^"\n]*python -m pipeline[^"\n]*"(?:\n +"[^"\n]*")*', file.read_text()):
            for value in re.findall(r"(?<!\{)\{([^{}]+)\}(?!\})", command):
                if not value.endswith(":q") and value != "threads":
                    unquoted.append(f"{file.name}: {value}")
    assert unquoted == []
    assert not list(project.rglob("injected"))  # the folder's own name is a command


def test_only_what_a_target_needs_is_asked_for(project):
    paper = ("--dry-run", "--configfile", "workflow/presets/paper.yaml")
    table2 = snakemake(project, "results/paper/tables/table2.md", *paper)
    assert table2.returncode == 0, table2.stderr
    for table, corpus in (("table1", "treebank"), ("table3", "handwriting")):
        result = snakemake(project, f"results/paper/tables/{table}.md", *paper)
        lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
        assert result.returncode != 0 and len(lines) == 1
        assert f"corpora.{corpus}.folder" in lines[0] and "Traceback" not in result.stderr


def test_the_parser_alone_gives_what_it_gives_in_the_workflow(project, results, tmp_path):
    command = [sys.executable, "-m", "pipeline.parse_wikipedia", DUMP, "--output", str(tmp_path / "pages.parquet")]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    assert (tmp_path / "pages.parquet").read_bytes() == (results / "corpora" / "wikipedia.parquet").read_bytes()


def test_several_dumps_are_a_job_each_and_one_corpus(project, tmp_path):
    text = bz2.decompress((project / DUMP).read_bytes())
    start, pages = text[: text.index(b"  <page>")], text.split(b"  <page>")[1:]
    dumps = []
    for number, some in enumerate((pages[:20], pages[20:])):
        dumps.append(str(tmp_path / f"dump{number}.xml"))
        Path(dumps[-1]).write_bytes(start + b"".join(b"  <page>" + page for page in some))
    Path(dumps[0]).write_bytes(Path(dumps[0]).read_bytes() + b"</mediawiki>\n")
    made = project / "results" / "several" / "corpora"
    change = {"results": "results/several", "corpora": {"wikipedia": {"dumps": dumps}}}
    (project / "several.yaml").write_text(yaml.safe_dump(change))
    result = snakemake(project, "results/several/corpora/wikipedia.parquet", "--configfile", "several.yaml")
    assert result.returncode == 0, result.stderr
    assert re.search(r"parse_dump +2\b", result.stderr) and not list(made.glob("wikipedia/*"))
    command = [sys.executable, "-m", "pipeline.parse_wikipedia", *dumps, "--output", str(tmp_path / "once.parquet")]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    for ending in (".parquet", ".quality.json", ".quality.md"):
        assert (made / f"wikipedia{ending}").read_bytes() == (tmp_path / f"once{ending}").read_bytes(), ending


@pytest.mark.parametrize(
    ("change", "named"),
    [("sed=1", "'sed'"), ("seed=one", "key seed"), ("corpora={'wikipedia': {'dumps': 3}}", "corpora.wikipedia.dumps")],
)
def test_a_wrong_key_stops_the_run_with_one_line(project, change, named):
    result = snakemake(project, "--dry-run", *SMOKE, "--config", change)
    assert result.returncode != 0
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert named in lines[0]
    assert "Traceback" not in result.stderr


def test_a_dump_that_is_not_there_is_named_in_one_line(project):
    (project / CHANGE).write_text("corpora: {wikipedia: {dumps: [data/no.xml.bz2]}}")
    result = snakemake(project, "--dry-run", *SMOKE, CHANGE)
    assert result.returncode != 0
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert "no file data/no.xml.bz2" in lines[0]


def test_list_graph_and_report(project, tmp_path):
    listed = snakemake(project, "--list", *SMOKE)
    assert listed.returncode == 0
    assert {"train", "evaluate", "make_report"} <= set(listed.stdout.split())
    graph = snakemake(project, "--dag", *SMOKE)
    assert graph.returncode == 0
    assert "digraph" in graph.stdout
    report = snakemake(project, *SMOKE, "--report", str(tmp_path / "report.html"))
    assert report.returncode == 0, report.stderr[-2000:]
    assert (tmp_path / "report.html").stat().st_size > 100_000


def test_lint_is_clean_but_for_the_software_environment(project):
    """The one lint rejected: the environment is the project's own (pyproject.toml), not one a rule."""
    result = snakemake(project, "--lint", "json", *SMOKE)
    import json

    found = json.loads(result.stdout[result.stdout.index("{") :]) if "{" in result.stdout else {"rules": []}
    titles = {lint["title"] for rule in found["rules"] for lint in rule["lints"]}
    titles |= {lint["title"] for snakefile in found.get("snakefiles", []) for lint in snakefile["lints"]}
    assert titles <= {"Specify a conda environment or container for each rule."}
