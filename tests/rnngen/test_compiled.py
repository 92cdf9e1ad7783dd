"""Compilation on first use: kept, safe to run twice at once, and dispensable."""

import ctypes
import logging
import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rnngen import compiled
from rnngen.cells import c_kernels
from rnngen.cells.layer import PeepholeLSTM

compile_again = compiled.library.__wrapped__


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "answer.c"
    path.write_text("int answer(void) { return 42; }\n")
    return path


def kept(source: Path) -> list[Path]:
    return sorted((source.parent / "cache" / "rnngen").iterdir())


def test_compiled_once_and_kept_for_its_user_alone(source, monkeypatch):
    assert compile_again(source).answer() == 42
    (first,) = kept(source)
    assert first.suffix == ".so" and stat.S_IMODE(first.parent.stat().st_mode) == 0o700
    before = first.stat().st_mtime_ns
    assert compile_again(source).answer() == 42
    assert kept(source) == [first] and first.stat().st_mtime_ns == before
    source.write_text("int answer(void) { return 43; }\n")
    assert compile_again(source).answer() == 43
    assert len(kept(source)) == 2


@pytest.mark.parametrize(
    ("text", "compiler", "reason"),
    [
        ("int answer(void) { return", None, "answer.c could not be compiled.*answer.c:1"),
        ("int answer(void) { return 1; }", "no-such-compiler", "no C compiler found"),
        ("int answer(void) { return 1; }", "false", "could not be compiled"),
    ],
)
def test_without_a_working_compiler_one_line_says_so(source, monkeypatch, caplog, text, compiler, reason):
    source.write_text(text)
    if compiler:
        monkeypatch.setenv("CC", compiler)
    with caplog.at_level(logging.WARNING):
        assert compile_again(source) is None
    (record,) = caplog.records
    assert "\n" not in record.getMessage() and "slower path" in record.getMessage()
    assert re.search(reason, record.getMessage())


def test_without_a_writable_cache_too(source, monkeypatch, caplog):
    blocker = source.parent / "a file"
    blocker.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocker))
    assert compile_again(source) is None
    assert len(caplog.records) == 1


def test_the_compiler_is_out_of_reach_of_a_ctrl_c(source, monkeypatch):
    """A terminal interrupts a whole session; a compiler that dies of it would change the back end of a training."""
    script = source.parent / "cc"
    log = source.parent / "sessions"
    session = f"{shlex.quote(sys.executable)} -c 'import os; print(os.getsid(0))' >> {shlex.quote(str(log))}"
    script.write_text(f'#!/bin/sh\n{session}\nexec cc "$@"\n')
    script.chmod(0o700)
    monkeypatch.setenv("CC", str(script))
    assert compile_again(source).answer() == 42
    sessions = log.read_text().split()
    assert len(sessions) == 2 and str(os.getsid(0)) not in sessions


def test_two_processes_at_once(source):
    program = (
        "import sys; from pathlib import Path; from rnngen.compiled import library; "
        "print(library(Path(sys.argv[1])).answer())"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", program, str(source)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0].strip() for process in both] == ["42", "42"]
    assert len(kept(source)) == 1  # nothing unfinished is left behind


def test_the_layer_runs_without_a_compiler(monkeypatch):
    monkeypatch.setattr(c_kernels, "_load_gates", lambda: None)
    x, results = torch.randn(4, 3, 2), []
    for backend in ("compiled", "fused"):
        torch.manual_seed(0)
        layer = PeepholeLSTM(5, (2,), backend=backend)
        out, _ = layer(None, [x])
        out.sum().backward()
        results.append((out, layer.bias.grad))
    assert torch.equal(results[0][0], results[1][0]) and torch.equal(results[0][1], results[1][1])


def test_the_kernels_compile_where_there_is_a_compiler():
    """Otherwise every test of the compiled back end would silently test another one."""
    assert isinstance(compiled.library(Path(c_kernels.__file__).with_name("kernels.c")), ctypes.CDLL)


@pytest.mark.parametrize("name", ["float", "bfloat16"])
@pytest.mark.parametrize("shape", [(1, 1), (33, 5), (64, 96), (7, 130)])
def test_turned_over(name, shape):
    gates = c_kernels.load_fitting_gates(torch.zeros(1))
    x = torch.randn(shape).to(torch.float32 if name == "float" else torch.bfloat16)
    x[0, 0] = torch.nan
    found = gates.transpose(x, torch.bfloat16)
    torch.testing.assert_close(found, x.t().bfloat16(), rtol=0, atol=0, equal_nan=True)
