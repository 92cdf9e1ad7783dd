"""Damage to compressed files and archives: noticed, or harmless; never a part of the content for the whole."""

import bz2
import gzip
import io
import lzma
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnngen.corpora.archives import Refusals, members
from rnngen.corpora.decompression import CompressedFile
from rnngen.errors import InputError
from tests.rnngen.corpora.wikipedia.test_dump import packed

CONTENT = bytes(random.Random(1).choices(b"abcdefgh<>&;\n", k=3000))
OTHER = [("titles.txt", b"A\nB\n"), ("__MACOSX/._dump.xml", b"\0\5\x16\7")]


def concatenated(compress):
    return b"".join(compress(CONTENT[at : at + 1000]) for at in range(0, 3000, 1000))


MAKERS = {
    "bz2": lambda: concatenated(bz2.compress),
    "gzip": lambda: concatenated(lambda part: gzip.compress(part, mtime=0)),
    "xz": lambda: concatenated(lzma.compress),
    **{
        kind: (lambda kind=kind: packed(kind, [*OTHER, ("wiki/dump.xml", CONTENT)]))
        for kind in ("zip", "7z", "tar.gz", "tar.bz2", "tar.xz")
    },
}
DAMAGE = st.tuples(st.integers(0, 10**6), st.binary(max_size=4), st.integers(0, 40))


@pytest.fixture(scope="module", params=MAKERS)
def file(request, tmp_path_factory):
    whole = MAKERS[request.param]()
    path = tmp_path_factory.mktemp("packed") / "file"
    path.write_bytes(whole)
    assert b"".join(CompressedFile(path).blocks()) == CONTENT
    return path, whole


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(DAMAGE, min_size=1, max_size=2))
def test_damage_is_an_error_or_harmless(file, damages):
    path, whole = file
    content = bytearray(whole)
    for at, piece, deleted in damages:
        at %= len(content) + 1
        content[at : at + deleted] = piece
    path.write_bytes(content)
    try:
        found = b"".join(CompressedFile(path).blocks())
    except InputError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        # without its magic number it is a plain file, which its reader refuses; a stream that is missing whole
        # leaves XML that does not fit together
        plain = found == content
        parts = [CONTENT[:1000], CONTENT[1000:2000], CONTENT[2000:]]
        left_out = {b"".join(part for k, part in enumerate(parts) if mask >> k & 1) for mask in range(8)}
        assert found == CONTENT or plain or found in left_out


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz", "tar"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damages=st.lists(DAMAGE, min_size=1, max_size=2))
def test_no_member_of_an_archive_vanishes(tmp_path, kind, damages):
    files = [(f"{name}.dat", CONTENT[:size]) for name, size in (("one", 700), ("two", 1500), ("three", 20))]
    content = bytearray(packed(kind, files))
    for at, piece, deleted in damages:
        at %= len(content) + 1
        content[at : at + deleted] = piece
    path = tmp_path / f"x.{kind}"
    path.write_bytes(content)
    refusals = Refusals()
    try:
        found = list(members(path, lambda name: name.endswith(".dat"), refusals))
    except InputError as error:
        assert str(path) in str(error)
        return
    # a name is not protected in a zip archive; a file of another name is counted
    assert len(found) + refusals.other_files == 3
    if kind != "tar":  # which has no checksum of what it holds
        assert {member.data for member in found} <= {data for _, data in files}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_what_is_in_an_archive_may_be_long(tmp_path, kind):
    """Longer than what is read at a time."""
    content = CONTENT * 1000
    (tmp_path / "x").write_bytes(packed(kind, [*OTHER, ("dump.xml", content)]))
    blocks = list(CompressedFile(tmp_path / "x").blocks())
    assert b"".join(blocks) == content and max(map(len, blocks)) <= 1 << 21


def test_a_reader_of_a_7z_archive_may_stop(tmp_path):
    (tmp_path / "x.7z").write_bytes(packed("7z", [("dump.xml", random.Random(2).randbytes(3_000_000))]))
    blocks = CompressedFile(tmp_path / "x.7z").blocks()
    assert next(blocks)
    blocks.close()


def test_streams_are_read_from_an_open_file(tmp_path):
    file = CompressedFile("", io.BytesIO(gzip.compress(CONTENT)))
    assert b"".join(file.decode()) == CONTENT and file.format == "gzip"
