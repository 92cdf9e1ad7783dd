"""Shards carry a folder whole, within their bounds, or say what is wrong."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnngen.errors import InputError
from tools.shards import join, split


def folder_of(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@settings(max_examples=25)
@given(st.lists(st.binary(max_size=3000), max_size=6), st.integers(2048, 20_000))
def test_what_is_split_is_joined(tmp_path_factory, contents, shard_bytes):
    root, out, back = (tmp_path_factory.mktemp(name) for name in ("root", "out", "back"))
    files = {f"{i}/part-{'x' * (40 * i)}": content for i, content in enumerate(contents)}
    folder_of(root, files)
    items = [root / str(i) for i in range(len(contents))]
    left_out = split(root, items, out, shard_bytes, 8)
    shards = sorted(out.glob("shard-*.tar"))
    assert len(shards) <= 8 and all(shard.stat().st_size <= shard_bytes for shard in shards)
    expected = {name: content for name, content in files.items() if root / name.split("/")[0] not in left_out}
    assert sorted(join(out, back)) == sorted(expected)
    assert {p.relative_to(back).as_posix(): p.read_bytes() for p in back.rglob("*") if p.is_file()} == expected


def test_what_does_not_fit_is_left_out_and_later_items_are_tried(tmp_path):
    folder_of(tmp_path / "root", {"a/1": b"1" * 100, "b/2": b"2" * 90_000, "c/3": b"3" * 100})
    items = [tmp_path / "root" / name for name in "abc"]
    assert split(tmp_path / "root", items, tmp_path / "out", 16_384, 2) == [tmp_path / "root" / "b"]
    assert join(tmp_path / "out", tmp_path / "back") == ["a/1", "c/3"]


def test_fewer_shards_replace_more(tmp_path):
    folder_of(tmp_path / "root", {"a": b"1" * 90_000})
    split(tmp_path / "root", [tmp_path / "root" / "a"], tmp_path / "out", 16_384, 8)
    assert len(list((tmp_path / "out").glob("shard-*"))) > 1
    (tmp_path / "root" / "a").write_bytes(b"short")
    split(tmp_path / "root", [tmp_path / "root" / "a"], tmp_path / "out", 16_384, 8)
    assert len(list((tmp_path / "out").glob("shard-*"))) == 1
    join(tmp_path / "out", tmp_path / "back")
    assert (tmp_path / "back" / "a").read_bytes() == b"short"


def test_a_folder_without_shards_gives_nothing(tmp_path):
    assert join(tmp_path, tmp_path / "back") == []


@pytest.mark.parametrize("damage", ["missing", "changed", "cut", "manifest"])
def test_damage_is_named_and_nothing_written(tmp_path, damage):
    folder_of(tmp_path / "root", {"a": b"1" * 40_000})
    split(tmp_path / "root", [tmp_path / "root" / "a"], tmp_path / "out", 16_384, 8)
    shard = tmp_path / "out" / "shard-01.tar"
    content = shard.read_bytes()
    match damage:
        case "missing":
            shard.unlink()
        case "changed":
            shard.write_bytes(content[:-1] + b"?")
        case "cut":
            shard.write_bytes(content[:-1])
        case "manifest":
            shard = tmp_path / "out" / "shards.json"
            shard.write_text("{")
    with pytest.raises(InputError, match=shard.name):
        join(tmp_path / "out", tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(
    "manifest",
    ["[]", "{", '{"shards": 3, "members": []}', '{"shards": [{"name": "../x", "sha256": ""}], "members": []}',
     '{"shards": [{"name": "", "sha256": ""}], "members": []}',
     f'{{"shards": [{{"name": "{"9" * 400}", "sha256": ""}}], "members": []}}',
     '{"shards": [], "members": [1]}', '{"shards": [], "members": []}'],
)  # fmt: skip
def test_a_list_that_is_none_is_named(tmp_path, manifest):
    (tmp_path / "shards.json").write_text(manifest)
    with pytest.raises(InputError, match=r"shards\.json: "):
        join(tmp_path, tmp_path / "back")
    assert not (tmp_path / "back").exists()
