"""Files are written whole or not at all, and what goes wrong names the file that was asked for."""

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from rnngen.artifacts import provenance, read_json_object, run_file, take_lock, write_json, write_result, write_whole
from rnngen.errors import InputError


def test_a_failure_leaves_the_earlier_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "folder" / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), write_whole(path) as partial:
        partial.write_text("half", encoding="utf-8")
        raise RuntimeError
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, float("nan"))
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(path.parent.iterdir()) == [path]


def test_an_error_names_the_file_that_was_asked_for(tmp_path):
    path = tmp_path / ("a" * 250)  # for which there is room, but not for the file beside it
    with pytest.raises(OSError) as caught:
        write_json(path, 1)
    assert caught.value.filename == str(path)
    assert not list(tmp_path.iterdir())


def test_a_link_stays_and_what_it_names_is_written(tmp_path):
    (tmp_path / "link.json").symlink_to(tmp_path / "elsewhere" / "a.json")
    for value in (1, 2):  # the second time the file is there
        write_json(tmp_path / "link.json", value)
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "elsewhere" / "a.json").read_text()) == 2


@pytest.mark.parametrize("name", ["folder", "pipe", "link", "."])
def test_only_a_file_is_written_over(tmp_path, name):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    before = {path.name: path.lstat().st_ino for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match="give the name of a file"):
        write_json(tmp_path / name, 1)
    assert {path.name: path.lstat().st_ino for path in tmp_path.iterdir()} == before


def test_partial_files_of_dead_processes_are_swept_and_those_of_living_ones_stay(tmp_path):
    program = (
        "import sys, os, signal; from rnngen.artifacts import write_whole\n"
        "with write_whole(sys.argv[1]) as partial:\n"
        "    partial.write_text('half'); print(partial, flush=True); sys.stdin.read()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    running = {
        name: subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("dead", "living")
    }
    partials = {name: Path(process.stdout.readline().strip()) for name, process in running.items()}
    running["dead"].communicate()
    write_json(tmp_path / "a.json", 1)
    assert sorted(tmp_path.iterdir()) == sorted([partials["living"], tmp_path / "a.json"])
    running["living"].communicate()


def test_a_lock_is_of_one_process_until_it_ends(tmp_path):
    lock = take_lock(tmp_path / "lock")
    assert take_lock(tmp_path / "lock") is None
    os.close(lock)
    again = take_lock(tmp_path / "lock")
    assert again is not None
    os.close(again)


def test_equal_runs_give_equal_results_and_their_times_beside_them(tmp_path):
    for name, seconds in (("a", 1.0), ("b", 2.0)):
        write_result(tmp_path / f"{name}.json", {"x": 1}, provenance({"lr": 3}, 4, "cpu", seconds))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1, "provenance": {"settings": {"lr": 3}, "seed": 4}}
    run = json.loads((tmp_path / "b.run.json").read_text())
    assert run["wall_seconds"] == 2.0 and {"machine", "commit", "finished", "command", "packages"} <= run.keys()
    assert run_file(tmp_path / "config.json") == tmp_path / "run.json"


@pytest.mark.parametrize("number", ["1" + "0" * 400, "-1" + "0" * 400, "1e999", "-1e999", "NaN", "Infinity"])
def test_numbers_that_no_float_holds_are_refused(tmp_path, number):
    path = tmp_path / "a.json"
    path.write_text(f'{{"a": [{number}]}}', encoding="utf-8")
    with pytest.raises(InputError, match=rf"a\.json: not JSON: {re.escape(number[:20])}.* is (not a number|too large)"):
        read_json_object(path, "a thing")
    path.write_text('{"a": [1e308, 9007199254740993, 1.5]}', encoding="utf-8")
    assert read_json_object(path, "a thing") == {"a": [1e308, 9007199254740993, 1.5]}


WRITERS = {
    "write_json": "from rnngen.artifacts import write_json; write = lambda path: write_json(path, ['x' * 9999] * 9)",
    "save_network": (
        "from rnngen import PredictionNetwork, save_network\n"
        "write = lambda path: save_network(PredictionNetwork(), path)"
    ),
    "Parquet": (
        "import pandas; from rnngen.artifacts import write_whole\n"
        "def write(path):\n"
        "    with write_whole(path) as partial: pandas.DataFrame({'a': range(99999)}).to_parquet(partial)"
    ),
}


@pytest.mark.parametrize("writer", list(WRITERS))
def test_where_there_is_no_room_it_is_one_line_and_the_earlier_file_stays(tmp_path, writer):
    """A limit on the size of files stands for the full disk, which makes write() fail in the same way."""
    path = tmp_path / "file"
    path.write_text("earlier", encoding="utf-8")
    program = (
        f"{WRITERS[writer]}\nfrom rnngen.errors import one_line_exits\nwith one_line_exits(): write({str(path)!r})"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert result.returncode == 1 and result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("error: ") and str(path) in result.stderr and "arge" in result.stderr
    assert path.read_text() == "earlier" and list(tmp_path.iterdir()) == [path]
