import io
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnngen.corpora.treebank import (
    END_OF_SENTENCE,
    MIKOLOV_COUNTS,
    load_treebank,
    parse_treebank,
    symbols,
    write_treebank,
)
from rnngen.errors import InputError

FILES = {
    "ptb.train.txt": b" the cat <unk> N times \n a dog 's day \n",
    "ptb.valid.txt": b" the dog \n",
    "ptb.test.txt": b" a <unk> cat \n the N \n",
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "raw").mkdir()
    for name, data in FILES.items():
        (tmp_path / "raw" / name).write_bytes(data)
    return tmp_path / "raw"


def corpus(folder):
    table, _ = parse_treebank(folder)
    path = folder.parent / "treebank.parquet"
    write_treebank(path, table, {"corpus": "treebank"})
    return path


def tgz(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def test_rows_are_the_sentences_of_the_files(folder):
    table, report = parse_treebank(folder)
    assert table.to_pylist() == [
        {"split": "train", "sentence": "the cat <unk> N times"},
        {"split": "train", "sentence": "a dog 's day"},
        {"split": "validation", "sentence": "the dog"},
        {"split": "test", "sentence": "a <unk> cat"},
        {"split": "test", "sentence": "the N"},
    ]
    assert report["splits"]["train"]["words"] == 11
    assert report["splits"]["test"]["unknown_words"] == 1
    assert not report["splits"]["train"]["is_mikolov"]
    assert report["corpus"] == "sentences in the files of the Penn Treebank"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_marks_are_no_characters(folder, end, mark):
    expected, _ = parse_treebank(folder)
    for name, data in FILES.items():
        (folder / name).write_bytes(mark + data.replace(b"\n", end))
    (folder / "ptb.train.txt").write_bytes(b"".join(mark + line + end for line in FILES["ptb.train.txt"].splitlines()))
    table, report = parse_treebank(folder)
    assert table.equals(expected) and report["alphabet"] == len(set("the cat <unk> N times a dog 's day"))


def test_the_archives_people_have_give_the_same_rows(folder, tmp_path):
    expected, _ = parse_treebank(folder)
    inside = {f"./simple-examples/data/{name}": data for name, data in FILES.items()}
    inside |= {f"./simple-examples/data/._{name}": b"junk" for name in FILES}
    inside["./simple-examples/data/ptb.char.train.txt"] = b"t h e"
    (tmp_path / "tgz").mkdir()
    (tmp_path / "tgz" / "simple-examples.tgz").write_bytes(tgz(inside))
    (tmp_path / "zip").mkdir()
    with zipfile.ZipFile(tmp_path / "zip" / "simple-examples.zip", "w") as archive:
        archive.writestr("simple-examples.tgz", tgz(inside))
    for source in (tmp_path / "tgz", tmp_path / "tgz" / "simple-examples.tgz", tmp_path / "zip"):
        assert parse_treebank(source)[0].equals(expected)


def test_equal_input_gives_equal_bytes(folder):
    first = corpus(folder).read_bytes()
    assert corpus(folder).read_bytes() == first


def test_what_is_missing_is_named_with_its_origin(folder):
    (folder / "ptb.valid.txt").unlink()
    with pytest.raises(InputError, match=r"no ptb\.valid\.txt, plain or in an archive; .*simple-examples\.tgz"):
        parse_treebank(folder)


def test_bad_files_stop_with_the_place_and_the_remedy(folder):
    (folder / "ptb.test.txt").write_bytes(b" a\n b\xff\n")
    with pytest.raises(InputError, match=r"ptb\.test\.txt, byte 5: not UTF-8"):
        parse_treebank(folder)
    (folder / "ptb.test.txt").write_bytes(b"")
    with pytest.raises(InputError, match=r"ptb\.test\.txt: no sentence in 0 bytes"):
        parse_treebank(folder)
    (folder / "ptb.test.txt").write_bytes(b" a\n")
    (folder / "simple-examples.tgz").write_bytes(tgz({"ptb.test.txt": b" a\n"})[:-9])
    with pytest.raises(
        InputError, match=r"simple-examples\.tgz: incomplete or damaged archive, .*; download it again$"
    ):
        parse_treebank(folder)  # no word of an option that this command does not have


def test_two_different_copies_of_a_file_are_an_error(folder):
    (folder / "again").mkdir()
    (folder / "again" / "ptb.test.txt").write_bytes(FILES["ptb.test.txt"])
    parse_treebank(folder)
    (folder / "again" / "ptb.test.txt").write_bytes(b" other \n")
    with pytest.raises(InputError, match="differs from"):
        parse_treebank(folder)


def test_rules_for_the_end_of_a_sentence():
    assert symbols("a <unk> b", "character", "symbol-and-unk") == ["a", " ", "<unk>", " ", "b", "\n"]
    assert symbols("a <unk>", "character", "symbol") == [*"a <unk>", "\n"]
    assert symbols("a b", "character", "space") == [*"a b", " "]
    assert symbols("a b", "character", "none") == [*"a b"]
    assert symbols("a <unk>", "word", "symbol") == ["a", "<unk>", "\n"]
    assert symbols("a <unk>", "word", "none") == ["a", "<unk>"]


@given(st.text("ab<unk> ").map(lambda s: " ".join(s.split())), st.sampled_from(list(END_OF_SENTENCE)))
def test_the_symbols_of_a_sentence_spell_it(sentence, rule):
    end = {"space": " ", "none": ""}.get(rule, "\n")
    assert "".join(symbols(sentence, "character", rule)) == sentence + end


def test_loading_by_character_and_by_word(folder):
    path = corpus(folder)
    characters = load_treebank(path)
    assert characters.alphabet.symbols == tuple(sorted({*"the cat N times a dog 's day", "<unk>", "\n"}))
    assert [characters.decode(characters.sequences["test"][i]) for i in (0, 1)] == ["a <unk> cat\n", "the N\n"]
    assert characters.characters["test"] == len("a <unk> cat\nthe N\n")
    assert characters.encode("the <unk>\n").tolist() == characters.alphabet.encode([*"the ", "<unk>", "\n"]).tolist()
    words = load_treebank(path, "word")
    assert words.alphabet.symbols[0] == "\n" and len(words.alphabet) == 10
    assert words.words == {"train": 11, "validation": 3, "test": 7}
    assert words.decode(np.concatenate([words.sequences["test"][0], words.sequences["test"][1]])) == (
        "a <unk> cat\nthe N\n"
    )
    assert words.decode(words.encode("the cat\na dog")) == "the cat\na dog"


def test_symbols_outside_the_training_alphabet_are_named(folder):
    (folder / "ptb.test.txt").write_bytes(b" the zoo \n")
    path = corpus(folder)
    with pytest.raises(InputError, match=r"test sentence 1: 'z' \(U\+007A\) outside the alphabet"):
        load_treebank(path)
    with pytest.raises(InputError, match="test sentence 1: 'zoo' outside the alphabet"):
        load_treebank(path, "word")


def test_an_empty_split_and_a_foreign_file_are_errors(tmp_path):
    path = tmp_path / "c.parquet"
    write_treebank(path, pa.table({"split": ["train", "test"], "sentence": ["a", "a"]}), {})
    with pytest.raises(InputError, match="the validation split is empty"):
        load_treebank(path)
    pq.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(InputError, match="expected: treebank corpus"):
        load_treebank(path)
    path.write_bytes(b"<html>")
    with pytest.raises(InputError, match="expected: treebank corpus"):
        load_treebank(path)
    with pytest.raises(InputError, match="one of symbol-and-unk"):
        load_treebank(path, "character", "full stop")
    with pytest.raises(InputError, match="by character or by word"):
        load_treebank(path, "byte")


@pytest.mark.real_data
def test_the_corpus_of_the_paper(real_data, tmp_path):
    table, report = parse_treebank(real_data / "penn-treebank")
    path = tmp_path / "treebank.parquet"
    write_treebank(path, table, {})
    assert all(counts["is_mikolov"] for counts in report["splits"].values())
    assert (report["alphabet"], report["vocabulary"]) == (49, 10_000)
    assert report["corpus"] == "Penn Treebank"
    characters = load_treebank(path)
    assert len(characters.alphabet) == 49
    assert characters.characters == MIKOLOV_COUNTS["characters"]
    assert len(load_treebank(path, "character", "symbol").alphabet) == 50
    words = load_treebank(path, "word")
    assert len(words.alphabet) == 10_000
    assert {split: len(s.symbols) for split, s in words.sequences.items()} == MIKOLOV_COUNTS["words"]
