import tarfile
import zipfile

import pytest

from rnngen.corpora import archives
from rnngen.corpora.archives import Refusals, members
from rnngen.errors import InputError
from tests.rnngen.corpora.handwriting.iam_files import put, tar, zipped

FILES = {"a/one.dat": b"1" * 700, "a/b/two.dat": b"22", "a/readme.md": b"no data"}


def dat(name):
    return name.endswith(".dat")


def found(path, refusals=None):
    return [(member.name, member.data) for member in members(path, dat, refusals or Refusals())]


EXPECTED = {("one.dat", b"1" * 700), ("two.dat", b"22")}


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("x.tar", lambda m: tar(m, "w")),
        ("x.tar.gz", tar),
        ("x.tgz", tar),
        ("x.tar.bz2", lambda m: tar(m, "w:bz2")),
        ("x.tar.xz", lambda m: tar(m, "w:xz")),
        ("x.zip", zipped),
        ("misnamed.tar.gz", zipped),
        ("uncompressed.tar.gz", lambda m: tar(m, "w")),
        ("twice.zip", lambda m: zipped({"x.tar.gz": tar(m)})),
        ("thrice.tgz", lambda m: tar({"y/x.zip": zipped({"x.tar.gz": tar(m)})})),
    ],
)
def test_files_are_found_in_every_kind_of_archive(tmp_path, name, pack):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(pack(FILES))
    assert set(found(tmp_path)) == EXPECTED
    assert set(found(tmp_path / "in" / name)) == EXPECTED
    assert [path.name for path in (tmp_path / "in").iterdir()] == [name]


def test_a_tree_is_walked_in_order_with_links_followed_once(tmp_path):
    put(tmp_path / "real", FILES)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "a" / "loop").symlink_to(tmp_path / "in")
    assert found(tmp_path / "in") == [("one.dat", b"1" * 700), ("two.dat", b"22")]


def test_hidden_files_are_no_data_and_others_are_counted(tmp_path):
    put(tmp_path, {"._x.dat": b"", ".DS_Store": b"", "__MACOSX/y.dat": b"", **FILES})
    (tmp_path / "x.zip").write_bytes(zipped({"__MACOSX/z.dat": b"", "a/._z.dat": b"", "more.md": b""}))
    refusals = Refusals()
    assert set(found(tmp_path, refusals)) == EXPECTED
    assert refusals.other_files == 2
    assert any(where.endswith("x.zip: more.md") for where in refusals.other_examples)


def link(kind):
    info = tarfile.TarInfo("evil.dat")
    info.type, info.linkname = kind, "/etc/passwd"
    return info


def zip_link():
    info = zipfile.ZipInfo("evil.dat")
    info.external_attr = 0o120777 << 16
    return info


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tar({"../evil.dat": b"x", **FILES}), "its name leads out of the archive"),
        (tar({"/etc/evil.dat": b"x", **FILES}), "its name leads out of the archive"),
        (tar({"a/../../evil.dat": b"x", **FILES}), "its name leads out of the archive"),
        (tar({"evil.dat": link(tarfile.SYMTYPE), **FILES}), "a link or a device, not a file"),
        (tar({"evil.dat": link(tarfile.LNKTYPE), **FILES}), "a link or a device, not a file"),
        (tar({"evil.dat": link(tarfile.CHRTYPE), **FILES}), "a link or a device, not a file"),
        (tar({"evil.dat": link(tarfile.FIFOTYPE), **FILES}), "a link or a device, not a file"),
        (zipped({zip_link(): b"/etc/passwd", **FILES}), "a link or a device, not a file"),
        (zipped({"..\\evil.dat": b"x", **FILES}), "its name leads out of the archive"),
    ],
)
def test_members_that_could_do_harm_are_refused(tmp_path, data, reason):
    (tmp_path / "x.tgz").write_bytes(data)
    with pytest.raises(InputError, match=rf"x\.tgz: .*evil\.dat: {reason}; `keep_going`"):
        found(tmp_path)
    refusals = Refusals(keep_going=True)
    assert set(found(tmp_path, refusals)) == EXPECTED
    assert [item["why"] for item in refusals.items] == [reason]


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (b"", 0),
        (b"<!DOCTYPE html><html>please log in</html>", 0),
        (b"not an archive at all" * 100, 0),
        (tar({**FILES, "big.dat": bytes(range(256)) * 4_000})[:-300], 2),
        (tar({**FILES, "big.dat": bytes(range(256)) * 4_000}, "w")[:-200_000], 2),
        (tar(FILES, "w")[:1024], 0),
        (tar(FILES, "w")[:1536], 1),
        (tar(FILES, "w").rstrip(b"\0") + 500 * b"\0", 2),
        (tar(FILES) + b"trailing garbage", 2),
        (tar(FILES, "w") + tar({"c.dat": b"3"}, "w"), 2),
        (tar(FILES) + tar({"c.dat": b"3"}), 2),
        (tar(FILES, "w:bz2") + tar({"c.dat": b"3"}, "w:bz2"), 2),
        (tar(FILES, "w:xz") + b"trailing garbage", 2),
        (tar(FILES, "w:bz2") + b"trailing garbage", 2),
        (zipped(FILES) + zipped({"c.dat": b"3"}), 0),
        (zipped(FILES) + zipped({"c.dat": b"3"})[:-30], 0),
        (tar(FILES)[:-8] + b"12345678", 0),
        (zipped(FILES)[:-30], 0),
    ],
)
def test_damaged_archives_are_refused_with_the_remedy(tmp_path, data, kept):
    (tmp_path / "x.tar.gz").write_bytes(data)
    with pytest.raises(InputError, match=r"x\.tar\.gz: .*(download it again|fetch it again)") as caught:
        found(tmp_path)
    assert "\n" not in str(caught.value)
    refusals = Refusals(keep_going=True)
    assert len(found(tmp_path, refusals)) == kept
    assert len(refusals.items) == 1


def test_a_corrupt_member_of_a_zip_is_noticed(tmp_path):
    data = bytearray(zipped({"a.dat": bytes(range(256)) * 40}))
    data[60] ^= 255
    (tmp_path / "x.zip").write_bytes(bytes(data))
    with pytest.raises(InputError, match="incomplete or damaged archive"):
        found(tmp_path)


def test_sizes_and_numbers_of_members_are_bounded(tmp_path, monkeypatch):
    (tmp_path / "x.zip").write_bytes(zipped(FILES))
    monkeypatch.setattr(archives, "MEMBER_LIMIT", 100)
    with pytest.raises(InputError, match=r"one\.dat: 700 bytes, more than any such file has"):
        found(tmp_path)
    put(tmp_path / "tree", FILES)
    with pytest.raises(InputError, match=r"one\.dat: 700 bytes"):
        found(tmp_path / "tree")
    monkeypatch.setattr(archives, "MEMBERS_LIMIT", 1)
    (tmp_path / "x.zip").write_bytes(zipped({"x.md": b"", **FILES}))
    with pytest.raises(InputError, match="more than 1 members"):
        found(tmp_path / "x.zip")


def test_archives_of_pictures_are_not_opened(tmp_path):
    (tmp_path / "lineImages-all.tar.gz").write_bytes(b"whatever is in it")
    assert found(tmp_path) == []


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        found(tmp_path / "nowhere")
