"""What `first` finds and chooses, what `second` trains, and that both end in time; processes are stood in for."""

import json
import subprocess
import sys

import pytest
import torch

from pipeline._settings import ROOT, load_config
from rnngen.artifacts import write_json
from rnngen.cells.fused_lstm import EagerGates
from rnngen.errors import InputError
from tools import lease
from tools.shards import join


class Clock:
    """Time that passes only when somebody waits."""

    now = 1000.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Training:
    """Stands in for pipeline.train: ends after `seconds` with `status`, or pauses after `budget` unless stubborn."""

    def __init__(self, clock, folder, budget, stubborn, seconds, status):
        self.clock, self.folder, self.end, self.status = clock, folder, clock.now + seconds, status
        self.pause = None if stubborn else clock.now + budget
        self.returncode = None

    def poll(self):
        if self.returncode is None and self.clock.now >= self.end:
            self.finish(complete=self.status == 0)
        return self.returncode

    def finish(self, complete):
        self.returncode = self.status
        if self.status == 0:
            self.folder.joinpath("weights.safetensors").write_bytes(b"weights" * 1000)
            write_json(self.folder / "config.json", {"complete": complete})

    def wait(self, seconds):
        if self.pause is None:
            self.clock.now += seconds
            raise subprocess.TimeoutExpired("train", seconds)
        self.clock.now = max(self.clock.now, self.pause)
        self.finish(complete=False)

    def kill(self):
        self.returncode = -9


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(lease, "time", clock)
    return clock


@pytest.fixture
def second(clock, monkeypatch, tmp_path):
    """Runs `second`; returns the trainings that were begun, as (name, mode)."""
    monkeypatch.setattr(lease, "read_config", lambda folder: json.loads((folder / "config.json").read_text()))
    monkeypatch.setattr(lease, "evaluate", lambda jobs, corpora, work, deadline, note: None)
    corpus = tmp_path / "corpus.parquet"
    corpus.write_bytes(b"")

    def run(behaviour, corpora=("handwriting",), **options):
        begun = []

        def start(job, mode, corpora_, work, budget):
            begun.append((job.name, mode))
            folder = work / job.name
            folder.mkdir(parents=True, exist_ok=True)
            return Training(clock, folder, budget, options.get("stubborn", False), *behaviour(job, mode))

        monkeypatch.setattr(lease, "start", start)
        given = {"seconds": 600.0, "side_by_side": 2, "choice": None, "config": None, "resume": None}
        given |= {key: value for key, value in options.items() if key in given}
        lease.second([f"{name}={corpus}" for name in corpora], tmp_path / "out", work=tmp_path / "work", **given)
        return begun, json.loads((tmp_path / "out" / "report.json").read_text())["events"]

    run.path = tmp_path
    return run


def test_trainings_run_side_by_side_in_order_of_worth(second):
    begun, events = second(lambda job, mode: (30, 0))
    assert [name for name, _ in begun] == [
        *("synthesis/none", "prediction-3-layer/none", "prediction-1-layer/none"),
        *("synthesis/adaptive-weight-noise", "prediction-3-layer/adaptive-weight-noise"),
    ]  # a row that starts from another only after it
    assert {mode for _, mode in begun} == {"fused, recorded"}
    assert events[-1].endswith("finished")


def test_what_fails_starts_again_in_the_next_mode_and_is_then_given_up(second):
    choice = second.path / "choice.json"
    write_json(choice, {"modes": ["triton, recorded", "fused"]})
    begun, events = second(
        lambda job, mode: (5, 1 if "triton" in mode or "synthesis" in job.name else 0), choice=choice
    )
    assert begun[:2] == [("synthesis/none", "triton, recorded"), ("prediction-3-layer/none", "triton, recorded")]
    assert ("prediction-3-layer/none", "fused") in begun and (
        "prediction-3-layer/adaptive-weight-noise",
        "fused",
    ) in begun
    assert [mode for name, mode in begun if name == "synthesis/none"] == ["triton, recorded", "fused"]
    assert not any(name == "synthesis/adaptive-weight-noise" for name, _ in begun)
    assert any("synthesis/none: failed with fused, exit status 1" in event for event in events)


@pytest.mark.parametrize("stubborn", [False, True])
def test_all_is_over_in_time_and_written(second, clock, stubborn):
    begun, events = second(lambda job, mode: (10_000, 0), seconds=300.0, stubborn=stubborn)
    assert 1000 + 300 - lease.PAUSE_SECONDS <= clock.now <= 1000 + 300 - lease.EVALUATE_SECONDS + lease.LOOK_SECONDS + 1
    assert len(begun) == 2
    assert all(("killed" if stubborn else "paused") in event for event in events[-2:])
    if not stubborn:
        members = join(second.path / "out", second.path / "unpacked")
        assert "synthesis/none/weights.safetensors" in members


def test_results_are_written_every_minute(second, clock, monkeypatch):
    written = []
    monkeypatch.setattr(
        lease, "write_results", lambda *arguments, states=False: written.append((clock.now - 1000, states))
    )
    with pytest.raises(FileNotFoundError):  # the report, which is stood in for
        second(lambda job, mode: (10_000, 0), seconds=250.0)
    assert written == [(60, False), (120, False), (160, True)]


def test_the_best_weights_so_far_come_along_before_the_end(second, monkeypatch, tmp_path):
    monkeypatch.setattr(lease, "has_training_state", lambda folder: True)
    monkeypatch.setattr(lease, "load_training_state", lambda folder: ({"best": {"weights": {"w": torch.ones(3)}}}, {}))
    job = lease.Job("synthesis", "none", None, "handwriting", {})
    (tmp_path / "work" / "synthesis" / "none" / "state").mkdir(parents=True)
    lease.write_results([job], tmp_path / "work", tmp_path / "out", {})
    assert join(tmp_path / "out", tmp_path / "unpacked") == ["synthesis/none/best-so-far.safetensors"]
    assert len(list((tmp_path / "out").iterdir())) <= 8


def test_the_modes_that_are_right_are_kept_the_fastest_first(clock, monkeypatch, tmp_path):
    ratios = {"fused, launched": 0.2, "fused, recorded": 0.7, "triton, launched": 0.5}

    def run_for(command, environment, seconds):
        if "check" in command:
            clock.now += 10
            return "exit status 1: misaligned address" if "triton, recorded" in command else "right"
        assert command.count("--backend") == 2
        rows = [{"variant": name, "precision": "bfloat16", "ratio": ratio} for name, ratio in ratios.items()]
        write_json(tmp_path / "benchmark.json", {"rows": rows})
        return "right"

    monkeypatch.setattr(lease, "run_for", run_for)
    lease.first(tmp_path)
    choice = json.loads((tmp_path / "choice.json").read_text())
    assert choice["modes"] == ["fused, recorded", "triton", "fused"]
    assert choice["checks"]["triton, recorded"] == "exit status 1: misaligned address"


def test_a_check_that_hangs_leaves_what_was_right_before_it(tmp_path):
    said = lease.run_for([sys.executable, "-c", "import time; time.sleep(60)"], {}, 0.5)
    assert said == "not done after 0 s"
    assert lease.run_for([sys.executable, "-c", ""], {}, -1) == "no time left"
    assert lease.run_for([sys.executable, "-c", "raise SystemExit('no card')"], {}, 60) == "exit status 1: no card"


@pytest.mark.parametrize("mode", ["fused", "fused, recorded"])
def test_the_checks_pass_on_a_cpu(mode, capsys):
    lease.check(mode, toy=True)
    assert capsys.readouterr().out.count("error") == 6


def test_a_wrong_network_does_not_pass(monkeypatch):
    sums = EagerGates.sums

    def wrong(gates, steps):
        d_bias, *others = sums(gates, steps)
        return 2 * d_bias, *others

    monkeypatch.setattr(EagerGates, "sums", wrong)
    with pytest.raises(InputError, match="fused, text, float32: error"):
        lease.check("fused", toy=True)


def test_jobs_are_those_of_the_corpora_given():
    config = load_config([ROOT / "config.yaml", lease.PAPER])
    assert {job.experiment for job in lease.list_jobs(config, {"treebank"})} == {"treebank-character", "treebank-word"}
    assert lease.list_jobs(config, {"handwriting"})[0].name == "synthesis/none"
