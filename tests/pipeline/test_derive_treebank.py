import pytest

from pipeline.derive_treebank import main
from rnngen.corpora.treebank import parse_treebank
from rnngen.errors import InputError

PARAGRAPH = "In 1990 the old dog sat there. The cat of {} was not in the house! Nobody saw a bird, a bee or a {}.\n\n"


def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("".join(PARAGRAPH.format("x" * (k % 7 + 1), "abc"[k % 3]) for k in range(200)))
    return path


def test_three_files_in_the_treebanks_manner(tmp_path):
    main([text(tmp_path)], tmp_path / "out", train=8000, validation=1000, test=900, vocabulary=15)
    parts = {name: (tmp_path / "out" / name).read_text() for name in ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt")}
    assert len(list((tmp_path / "out").iterdir())) == 3
    words = {word for part in parts.values() for word in part.split()}
    assert {"N", "<unk>"} <= words and len(words) <= 15
    for part in parts.values():
        assert all(line.startswith(" ") and line.endswith(" ") for line in part.splitlines())
    assert " in N the old dog sat there \n" in parts["ptb.train.txt"]
    table, _ = parse_treebank(tmp_path / "out")
    assert table["split"].unique().to_pylist() == ["train", "validation", "test"]
    again = tmp_path / "again"
    main([text(tmp_path)], again, train=8000, validation=1000, test=900, vocabulary=15)
    assert all((again / name).read_text() == part for name, part in parts.items())


def test_too_little_text_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="are asked for"):
        main([text(tmp_path)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_parquet_file_is_named(tmp_path):
    (tmp_path / "pages.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"pages\.parquet: not a Parquet file, or damaged"):
        main([tmp_path / "pages.parquet"], tmp_path / "out")
