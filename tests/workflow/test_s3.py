"""A chain of the smoke preset whose files are in an S3 bucket on loopback; only states are in the folder of the run."""

import http.server
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline._settings import load_config, training_settings
from pipeline.train import train_one
from tests.workflow.test_workflow import DUMP, ROOT, SNAKEMAKE, copy_project

pytest.importorskip("snakemake_storage_plugin_s3", reason="pip install '.[s3]'")
moto_server = pytest.importorskip("moto.server", reason="pip install '.[moto]'")
pytestmark = pytest.mark.slow

LONGER = {"maximum_epochs": 100, "maximum_updates": 300, "validate_every": 10, "patience": 1000}
MODEL = "results/smoke/models/wikipedia/none"
TARGETS = ("results/smoke/tables/table2.md", "results/smoke/corpora/handwriting.parquet")
PROFILE = ("--profile", "profiles/s3", "--default-storage-prefix", "s3://bucket")


def environment_of(host: str, port: int) -> dict[str, str]:
    """For Snakemake: this server, and keys that it does not check."""
    return os.environ | {
        "PATH": f"{SNAKEMAKE.parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "AWS_ACCESS_KEY_ID": "a key",
        "AWS_SECRET_ACCESS_KEY": "its secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SNAKEMAKE_STORAGE_S3_ENDPOINT_URL": f"http://{host}:{port}",
    }


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def bucket(server) -> Any:
    """A bucket with the dump in it."""
    import boto3

    host, port = server.get_host_and_port()
    resource = boto3.resource(
        "s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1",
        aws_access_key_id="a key", aws_secret_access_key="its secret",
    )  # fmt: skip
    return resource.create_bucket(Bucket="bucket")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, server, bucket) -> Path:
    """A project after a run that was killed in the middle of a training, and another that went on."""
    folder = copy_project(tmp_path_factory.mktemp("s3") / "project")
    bucket.upload_file(str(folder / DUMP), "raw/dump.xml.bz2")
    (folder / DUMP).unlink()
    change = {
        "corpora": {"wikipedia": {"dumps": ["s3://bucket/raw/dump.xml.bz2"]}},
        "experiments": {"wikipedia": {"training": LONGER}},
    }
    (folder / "change.yaml").write_text(yaml.safe_dump(change), encoding="utf-8")
    environment = environment_of(*server.get_host_and_port())
    command = [str(SNAKEMAKE), *TARGETS, *PROFILE, "--configfile", "workflow/presets/smoke.yaml", "change.yaml"]
    log = folder / "run.log"
    with log.open("w") as file:
        started = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        while not (folder / "results/smoke/state/wikipedia/none/state.json").exists():
            assert started.poll() is None, log.read_text()[-3000:]
            time.sleep(0.01)
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, (result.stdout + result.stderr)[-5000:]
    return folder


def test_everything_is_in_the_bucket_and_nothing_but_states_on_the_disk(folder, bucket):
    keys = {item.key for item in bucket.objects.all()}
    assert {*TARGETS, f"{MODEL}/weights.safetensors", f"{MODEL}/run.json"} <= keys
    assert any(key.startswith("results/smoke/raw/handwriting/") for key in keys)
    assert "results/smoke/corpora/wikipedia.quality.md" in keys
    assert {path.name for path in (folder / "results/smoke").iterdir()} <= {"state"}
    copies = [path for path in (folder / ".snakemake/storage").rglob("*") if path.is_file()]
    assert {path.suffix for path in copies} <= {".log", ".tsv"}  # of the jobs, which Snakemake may still show


def test_an_interrupted_training_went_on_to_the_weights_of_an_undisturbed_one(folder, bucket, tmp_path):
    log = bucket.Object("results/smoke/logs/train/wikipedia.none.log").get()["Body"].read().decode()
    assert "resuming at epoch" in log
    bucket.download_file("results/smoke/corpora/wikipedia.parquet", str(tmp_path / "wikipedia.parquet"))
    files = [folder / name for name in ("config.yaml", "workflow/presets/smoke.yaml", "change.yaml")]
    settings = training_settings(load_config(files), "wikipedia", "none") | {"device": "cpu"}
    corpus = tmp_path / "wikipedia.parquet"
    assert train_one(settings, corpus, tmp_path / "m", None, tmp_path / "state", None, 1e9)
    for name in ("weights.safetensors", "optimiser.safetensors", "log.parquet"):
        assert (tmp_path / "m" / name).read_bytes() == bucket.Object(f"{MODEL}/{name}").get()["Body"].read(), name
    description = json.loads(bucket.Object(f"{MODEL}/config.json").get()["Body"].read())
    assert description["complete"]


class Forbidding(http.server.BaseHTTPRequestHandler):
    """A server that allows nothing."""

    def do_GET(self) -> None:
        body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.send_response(403)
        self.end_headers()

    do_PUT = do_GET

    def log_message(self, *arguments: object) -> None:
        pass


def run_against(host: str, port: int, folder: Path) -> list[str]:
    """The errors of a run with a server that is of no use."""
    for name in ("config.yaml", "Snakefile", "workflow", "profiles"):
        (folder / name).symlink_to(ROOT / name)
    result = subprocess.run(
        [str(SNAKEMAKE), *TARGETS, *PROFILE, "--configfile", "workflow/presets/smoke.yaml"],
        cwd=folder, env=environment_of(host, port), capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode != 0 and "Traceback" not in result.stderr
    return [line for line in result.stderr.splitlines() if line.startswith("error:")]


def test_a_bucket_without_rights_is_named_in_one_line(tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forbidding) as forbidding:
        threading.Thread(target=forbidding.serve_forever, daemon=True).start()
        errors = run_against(*forbidding.server_address, tmp_path)
        forbidding.shutdown()
    assert len(errors) == 1 and errors[0].startswith("error: s3://bucket: 403 Forbidden; these credentials need")


def test_a_server_that_is_not_there_is_named_in_one_line(tmp_path):
    with socket.socket() as nobody:  # a port that is taken, and does not listen
        nobody.bind(("127.0.0.1", 0))
        errors = run_against(*nobody.getsockname(), tmp_path)
    assert len(errors) == 1 and re.match(r"error: s3://bucket: Could not connect to the endpoint", errors[0])
