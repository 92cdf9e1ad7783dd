"""Downloads: a local server stands for the network."""

import hashlib
import io
import re
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rnngen.corpora import sources
from rnngen.corpora.sources import Source, fetch, path_of
from rnngen.errors import InputError

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def server():
    """Serves `files`; `break_after` bytes it drops the connection, as often as `breaks` says; `ranges` are recorded."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            state = self.server
            content = state.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            start = 0
            if asked := self.headers.get("Range"):
                state.ranges.append(asked)
                if state.supports_ranges:
                    start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            part = content[start:]
            if state.breaks > 0:
                state.breaks -= 1
                part = part[: state.break_after]
            self.wfile.write(part)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.ranges, server.breaks, server.break_after = {}, [], 0, 300_000
    server.supports_ranges = True
    server.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def table(server, monkeypatch):
    """The table of sources with one file, one member of a zip file, and IAM-OnDB, at the local server."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside", CONTENT)
    server.files = {"/file.bin": CONTENT, "/archive.zip": packed.getvalue()}
    common = {
        "size": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "licence": "none",
        "citation": "none",
    }
    archive = {"archive_sha256": hashlib.sha256(packed.getvalue()).hexdigest(), "member": "inside"}
    entries = {
        "file": Source("file", "download", "file.bin", url=f"{server.address}/file.bin", **common),
        "zip": Source("zip", "zip", "inside", url=f"{server.address}/archive.zip", **common, **archive),
        "iam-ondb": sources.sources()["iam-ondb"],
    }
    monkeypatch.setattr(sources, "sources", lambda: entries)
    monkeypatch.setattr("time.sleep", lambda _: None)
    return entries


def test_the_table_is_complete():
    for entry in sources.sources().values():
        assert entry.kind in ("download", "zip", "wheel", "registration") and entry.licence and entry.citation
        if entry.kind != "registration":
            assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256) and entry.size > 0
        if entry.kind in ("zip", "wheel"):
            assert re.fullmatch(r"[0-9a-f]{64}", entry.archive_sha256) and entry.member
        assert entry.url or entry.requirement


@pytest.mark.parametrize("name", ["file", "zip"])
def test_a_download_is_checked_and_not_repeated(table, server, tmp_path, name):
    path = fetch(name, tmp_path / "raw")
    assert path == path_of(name, tmp_path / "raw") and path.read_bytes() == CONTENT
    server.files.clear()
    assert fetch(name, tmp_path / "raw") == path


def test_a_broken_download_goes_on_where_it_broke_off(table, server, tmp_path):
    server.breaks = 2
    assert fetch("file", tmp_path).read_bytes() == CONTENT
    first, second = (int(asked[6:-1]) for asked in server.ranges)
    assert 280_000 < first <= 300_000 < 560_000 < second <= 600_000
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin"]


def test_a_later_run_goes_on_too(table, server, tmp_path):
    server.breaks, server.break_after = 99, 100_000
    with pytest.raises(InputError, match="after 4 attempts.*goes on where it broke off"):
        fetch("file", tmp_path)
    assert not (tmp_path / "file.bin").exists()
    server.breaks = 0
    assert fetch("file", tmp_path).read_bytes() == CONTENT
    assert int(server.ranges[-1][6:-1]) > 320_000


def test_a_server_without_ranges_begins_again(table, server, tmp_path):
    server.breaks, server.supports_ranges = 1, False
    assert fetch("file", tmp_path).read_bytes() == CONTENT and server.ranges


def test_a_part_of_another_file_is_not_kept(table, server, tmp_path):
    (tmp_path / ".file.bin.part").write_bytes(b"something else")
    assert fetch("file", tmp_path).read_bytes() == CONTENT


def test_what_arrives_must_have_the_checksum(table, server, tmp_path):
    server.files["/file.bin"] = CONTENT[:-1] + b"x"
    with pytest.raises(InputError, match="does not have the checksum"):
        fetch("file", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_network_is_one_line_with_the_remedy(table, server, tmp_path):
    server.files.clear()
    with pytest.raises(InputError, match=r"the server answers 404.*or put the file at .*file.bin yourself"):
        fetch("file", tmp_path)


def test_a_damaged_file_is_not_overwritten(table, tmp_path):
    (tmp_path / "file.bin").write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(InputError, match="sha256 is .* move it away and fetch again"):
        fetch("file", tmp_path)
    (tmp_path / "file.bin").write_bytes(b"short")
    with pytest.raises(InputError, match="5 bytes where 1,024,000 are expected"):
        fetch("file", tmp_path)


def test_iam_ondb_is_never_downloaded(table, tmp_path):
    with pytest.raises(InputError, match=r"register at https://.*lineStrokes-all.tar.gz.*put them into"):
        fetch("iam-ondb", tmp_path)


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(InputError, match="no data source 'enwik9'; there are enwiki-sample, enwik8"):
        fetch("enwik9", tmp_path)


def test_a_wikimedia_dump_is_checked_by_the_published_sha1(table, server, tmp_path):
    name = "aawiki-20260101-pages-meta-current.xml.bz2"
    sums = f"{hashlib.sha1(CONTENT).hexdigest()}  {name}\n"
    server.files = {f"/{name}": CONTENT, "/aawiki-20260101-sha1sums.txt": sums.encode()}
    url = f"{server.address}/{name}"
    path = fetch(url, tmp_path)
    assert path == tmp_path / name and path.read_bytes() == CONTENT
    path.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(InputError, match="sha1 is"):
        fetch(url, tmp_path)
    with pytest.raises(InputError, match="does not list"):
        fetch(url.replace("meta-current", "articles"), tmp_path)
    with pytest.raises(InputError, match="not the name of a dated Wikimedia dump"):
        fetch(f"{server.address}/enwiki-latest-pages-articles.xml.bz2", tmp_path)


def test_without_a_package_index_the_sample_can_be_put_there_by_hand(tmp_path, monkeypatch):
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(
        InputError, match=r"pip could not download gensim==4.4.0: .*set a mirror for pip.*/enwiki-latest.*bz2"
    ):
        fetch("enwiki-sample", tmp_path)
    assert list(tmp_path.iterdir()) == []
