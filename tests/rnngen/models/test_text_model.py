"""Text models: symbols to text and back, for every unit."""

import json

import pytest
import torch

from rnngen.corpora.alphabet import Alphabet
from rnngen.errors import InputError
from rnngen.models.checkpoint import save_network
from rnngen.models.text_model import TextModel, byte_of_name
from rnngen.networks.prediction_network import PredictionNetwork

ALPHABETS = {
    "character": ("\n", " ", "<unk>", "a", "b", "c"),
    "word": ("\n", "<unk>", "cat", "the"),
    "byte": (" ", "\\", "a", "b", "\\xa9", "\\xc3"),
}


def write_text_model(folder, unit="character"):
    """An untrained model of one layer of six cells."""
    symbols = ALPHABETS[unit]
    generator = torch.Generator().manual_seed(1)  # of its own: torch's depends on the tests before
    network = PredictionNetwork(len(symbols), 6, 1, len(symbols), symbols=True, generator=generator)
    save_network(network, folder / "weights.safetensors")
    about = {
        "kind": "text",
        "network": "PredictionNetwork",
        "arguments": network.arguments,
        "alphabet": Alphabet(symbols).as_json(),
        "best": {"validation_bits_per_symbol": 2.5, "epoch": 1.0},
        "provenance": {"settings": {"unit": unit, "training": {"batch_size": 4}}, "seed": 1},
    }
    (folder / "config.json").write_text(json.dumps(about), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("unit", "text", "codes"),
    [
        ("character", "ab <unk>c\na", [3, 4, 1, 2, 5, 0, 3]),
        ("word", "the cat\nthe", [3, 2, 0, 3]),
        ("byte", "a\\ é b", [2, 1, 0, 5, 4, 0, 3]),
    ],
)
def test_text_and_symbols(tmp_path, unit, text, codes):
    model = TextModel.load(write_text_model(tmp_path, unit))
    assert model.encode(text) == codes
    assert "".join(model.text(codes)) == text


@pytest.mark.parametrize("prime", ["", "the", "the ", "the cat\n", "the\tcat"])
def test_words_stand_a_blank_apart_and_apart_from_the_prime(tmp_path, prime):
    model = TextModel.load(write_text_model(tmp_path, "word"))
    whole = model.generate(prime, 40, seed=3)
    assert model.encode(whole)[: len(model.encode(prime))] == model.encode(prime)
    assert len(model.encode(whole)) == len(model.encode(prime)) + 40
    written = whole[len(prime) :]
    assert not any(pair in written for pair in ("  ", " \n", "\n "))


def test_bytes_have_names():
    assert [byte_of_name(name) for name in ("a", "\\", "\\x00", "\\xff")] == [97, 92, 0, 255]


def test_a_text_goes_on_from_its_prime(tmp_path):
    model = TextModel.load(write_text_model(tmp_path))
    one, two = (model.generate("abc", 40, seed=3) for _ in range(2))
    assert one == two != model.generate("abc", 40, seed=4) and one.startswith("abc")
    assert one.startswith(model.generate("abc", 15, seed=3))
    assert one != model.generate("abc", 40, temperature=5.0, seed=3)


def test_strangers_are_named(tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match="'x'"):
        TextModel.load(write_text_model(tmp_path / "c")).encode("abx")
    with pytest.raises(InputError, match="0x7a"):
        TextModel.load(write_text_model(tmp_path / "b", "byte")).encode("az")


def test_what_is_no_text_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        TextModel.load(tmp_path)
    (tmp_path / "config.json").write_text('{"kind": "synthesis"}', encoding="utf-8")
    with pytest.raises(InputError, match="not of text"):
        TextModel.load(tmp_path)
    (tmp_path / "config.json").write_text('{"kind": "text"}', encoding="utf-8")
    with pytest.raises(InputError, match=r"config\.json: no settings of a training in it"):
        TextModel.load(tmp_path)
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="not JSON"):
        TextModel.load(tmp_path)


def test_a_description_with_the_weights_of_another_network_is_refused(tmp_path):
    """Of fewer symbols, so that every draw would have a name, though a wrong one."""
    network = PredictionNetwork(4, 6, 1, 4, symbols=True)
    save_network(network, write_text_model(tmp_path) / "weights.safetensors")
    with pytest.raises(InputError, match=r"belong to two models: input_size is 6 in the one and 4 in the other"):
        TextModel.load(tmp_path)
