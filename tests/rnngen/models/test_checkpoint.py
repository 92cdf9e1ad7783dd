"""Checkpoints: the same network back, an interrupted training to the bit, and a clear word about anything else."""

import copy
import json
import math
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from rnngen.errors import InputError
from rnngen.losses.mixture_density import MixtureDensity
from rnngen.models.checkpoint import (
    has_training_state,
    load_network,
    load_training_state,
    load_weights,
    own_training_state,
    save_network,
    save_training_state,
    set_training_state_aside,
)
from rnngen.networks.prediction_network import PredictionNetwork
from rnngen.networks.synthesis_network import SynthesisNetwork
from rnngen.training.adaptive_weight_noise import AdaptiveWeightNoise
from rnngen.training.rmsprop import GravesRMSProp

NETWORKS = {
    "handwriting": lambda: PredictionNetwork(cells=5, layers=2, output_size=13, clip=10.0),
    "symbols": lambda: PredictionNetwork(7, 4, 1, 7, symbols=True, clip=1.0),
    "synthesis": lambda: SynthesisNetwork(5, 3, 6, 2, 2, clip=10.0, window_bias=-2.0),
    "double": lambda: PredictionNetwork(cells=5, layers=2, output_size=13).double(),
}


def run(network: torch.nn.Module) -> torch.Tensor:
    if isinstance(network, SynthesisNetwork):
        return network(torch.ones(4, 1, 3), torch.tensor([[1, 5, 0]]), torch.tensor([3]))[0]
    if network.arguments["symbols"]:
        return network(torch.tensor([[-1], [3], [6]]))[0]
    return network(torch.ones(4, 1, 3, dtype=network.bias_output.dtype))[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_comes_back(tmp_path, name):
    network = NETWORKS[name]()
    save_network(network, tmp_path / "weights.safetensors")
    loaded = load_network(tmp_path / "weights.safetensors")
    assert type(loaded) is type(network) and loaded.arguments == network.arguments
    assert torch.equal(run(loaded), run(network))
    assert all(p.requires_grad and p.is_leaf for p in loaded.parameters())
    run(loaded).sum().backward()


def test_equal_networks_give_equal_bytes(tmp_path):
    network = NETWORKS["synthesis"]()
    for file in ("a", "b"):
        save_network(copy.deepcopy(network), tmp_path / file)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_weights_of_an_earlier_moment(tmp_path):
    network = NETWORKS["synthesis"]()
    save_network(network, tmp_path / "a")
    earlier = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    torch.nn.init.zeros_(network.bias_output)
    save_network(network, tmp_path / "b", earlier)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_loading_leaves_the_random_numbers_alone(tmp_path):
    save_network(NETWORKS["synthesis"](), tmp_path / "w")
    before = torch.get_rng_state()
    load_network(tmp_path / "w")
    assert torch.equal(before, torch.get_rng_state())


def test_weights_move_into_a_network_with_another_clip(tmp_path):
    trained, fresh = NETWORKS["handwriting"](), PredictionNetwork(cells=5, layers=2, output_size=13, clip=1.0)
    save_network(trained, tmp_path / "w")
    load_weights(fresh, tmp_path / "w")
    assert torch.equal(run(fresh), run(trained)) and fresh.arguments["clip"] == 1.0


def test_a_checkpoint_of_another_network_is_named(tmp_path):
    save_network(NETWORKS["handwriting"](), tmp_path / "w")
    with pytest.raises(InputError, match="cells: expected 9, got 5"):
        load_weights(PredictionNetwork(cells=9, layers=2, output_size=13), tmp_path / "w")
    with pytest.raises(InputError, match="network: expected 'SynthesisNetwork', got 'PredictionNetwork'"):
        load_weights(NETWORKS["synthesis"](), tmp_path / "w")


def rewritten(tmp_path, about=None, change=lambda tensors: None):
    """A checkpoint whose description or tensors were tampered with."""
    save_network(NETWORKS["handwriting"](), tmp_path / "w")
    tensors = load_file(tmp_path / "w")
    change(tensors)
    good = {"network": "PredictionNetwork", "arguments": NETWORKS["handwriting"]().arguments}
    save_file(tensors, tmp_path / "w", {"rnngen": json.dumps(good | (about or {}))})
    return tmp_path / "w"


def test_tensors_that_do_not_fit_are_named(tmp_path):
    with pytest.raises(InputError, match="bias_output is missing"):
        load_network(rewritten(tmp_path, change=lambda t: t.pop("bias_output")))
    with pytest.raises(InputError, match="extra of shape"):
        load_network(rewritten(tmp_path, change=lambda t: t.update(extra=torch.zeros(2))))
    with pytest.raises(InputError, match=r"expected floating point of shape \(13,\), got torch.float32 .*\(12,\)"):
        load_network(rewritten(tmp_path, change=lambda t: t.update(bias_output=torch.zeros(12))))
    with pytest.raises(InputError, match="got torch.int64"):
        load_network(rewritten(tmp_path, change=lambda t: t.update(bias_output=torch.zeros(13, dtype=torch.int64))))


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"network": "os.system"}, "expected one of PredictionNetwork, SynthesisNetwork"),
        ({"arguments": {"cells": 5, "colour": "red"}}, "colour"),
        ({"arguments": {"cells": 0}}, "cells = 0"),
        ({"arguments": {"cells": 10**18}}, "PredictionNetwork cannot be built"),
        ({"arguments": {"cells": 100_000, "layers": 2}}, "expected floating point of shape"),
        ({"arguments": [5]}, "expected one of|not of a network"),
    ],
)
def test_a_description_that_cannot_be_is_refused(tmp_path, about, message):
    with pytest.raises(InputError, match=message):
        load_network(rewritten(tmp_path, about))


def test_files_that_are_no_checkpoints(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_network(tmp_path / "absent")
    (tmp_path / "text").write_text("<html>404</html>")
    with pytest.raises(InputError, match="not a safetensors file"):
        load_network(tmp_path / "text")
    (tmp_path / "empty").touch()
    with pytest.raises(InputError, match="not a safetensors file"):
        load_network(tmp_path / "empty")
    save_file({"x": torch.zeros(2)}, tmp_path / "other")
    with pytest.raises(InputError, match="not of a network that rnngen wrote"):
        load_network(tmp_path / "other")
    save_network(NETWORKS["handwriting"](), tmp_path / "short")
    whole = (tmp_path / "short").read_bytes()
    (tmp_path / "short").write_bytes(whole[:-10])
    with pytest.raises(InputError, match="cut short"):
        load_network(tmp_path / "short")


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    save_network(NETWORKS["handwriting"](), tmp_path / "w")
    before = (tmp_path / "w").read_bytes()

    def full_disk(*arguments) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rnngen.models.checkpoint.save_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_network(NETWORKS["handwriting"](), tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


# training state


def same(a, b) -> bool:
    """Equal to the bit, types included."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.builds(torch.tensor, st.floats())
)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(
            st.text(max_size=4) | st.integers() | st.sampled_from(["$tensor", "$items"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@settings(max_examples=60)
@given(tensors=trees, values=trees)
def test_any_tree_comes_back(tmp_path_factory, tensors, values):
    folder = tmp_path_factory.mktemp("state")
    save_training_state(folder, tensors, values)
    assert same(load_training_state(folder), (tensors, values)) or contains_nan(tensors) or contains_nan(values)


def contains_nan(tree) -> bool:
    if isinstance(tree, torch.Tensor):
        return bool(tree.isnan().any())
    if isinstance(tree, dict):
        return any(map(contains_nan, tree.values()))
    return isinstance(tree, list | tuple) and any(map(contains_nan, tree))


def test_views_of_one_buffer_and_random_states_come_back(tmp_path):
    buffer = torch.arange(12.0)
    tensors = {
        "a": buffer[:6].view(2, 3).t(),
        "b": buffer[3:],
        "generator": torch.Generator().manual_seed(3).get_state(),
    }
    values = {"numpy": np.random.default_rng(4).bit_generator.state, "python": random.Random(5).getstate()}
    save_training_state(tmp_path, tensors, values)
    loaded, loaded_values = load_training_state(tmp_path)
    assert same(loaded, {**tensors, "a": tensors["a"].contiguous()})
    assert same(loaded_values, values)


def test_keys_that_look_like_paths_stay_apart(tmp_path):
    tensors = {"a.b": torch.zeros(1), "a": {"b": torch.ones(1)}, "c": {1: torch.ones(2), "1": torch.zeros(2)}}
    save_training_state(tmp_path, tensors, {})
    assert same(load_training_state(tmp_path)[0], tensors)


def test_what_no_state_can_hold_is_named(tmp_path):
    with pytest.raises(TypeError, match=r"values\.a\.1: a training state cannot hold a set"):
        save_training_state(tmp_path, {}, {"a": [1, {2}]})


STATE_FILES = ["state.before.json", "state.json", "tensors-0.safetensors", "tensors-1.safetensors"]


def saved_states(folder, count: int = 3) -> None:
    """States of the steps 0, 1, …; the tensors say of which."""
    for step in range(count):
        save_training_state(folder, {"w": torch.full((3,), float(step))}, {"step": step})


def test_a_state_replaces_the_last_but_one_and_a_failed_one_none(tmp_path, monkeypatch):
    saved_states(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == STATE_FILES
    monkeypatch.setattr("rnngen.models.checkpoint.write_json", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):  # after the tensors, before the JSON
        save_training_state(tmp_path, {"w": torch.full((3,), 9.0)}, {"step": 9})
    tensors, values = load_training_state(tmp_path)
    assert tensors["w"].tolist() == [2.0, 2.0, 2.0] and values == {"step": 2}


@pytest.mark.parametrize("file", ["state.json", "tensors-0.safetensors"])
@pytest.mark.parametrize("damage", ["emptied", "cut", "one bit", "removed", "of another moment"])
def test_the_state_before_goes_on_where_the_newest_is_damaged(tmp_path, caplog, file, damage):
    saved_states(tmp_path)
    path = tmp_path / file  # of the three states the newest lies in tensors-0
    whole = path.read_bytes()
    match damage:
        case "emptied":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(whole[: len(whole) // 2])
        case "one bit":
            path.write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
        case "removed":
            path.unlink()
        case "of another moment":
            saved_states(tmp_path / "other", 1)
            path.write_bytes((tmp_path / "other" / file).read_bytes().replace(b'"step": 0', b'"step": 5'))
    for _ in range(2):  # the second time without a word: the state before has become the newest
        tensors, values = load_training_state(tmp_path)
        assert values == {"step": 1} and tensors["w"].tolist() == [1.0, 1.0, 1.0]
    (record,) = caplog.records
    assert file in record.getMessage() and "going on from the state before it" in record.getMessage()
    save_training_state(tmp_path, {"w": torch.full((3,), 7.0)}, {"step": 7})
    assert load_training_state(tmp_path)[1] == {"step": 7}
    (tmp_path / "state.json").unlink()
    assert load_training_state(tmp_path)[1] == {"step": 1}


@pytest.mark.parametrize("content", ["", "[]", "[" * 100_000, '{"file": "../../etc/passwd", "tensors": {}}', "\x00"])
def test_a_damaged_state_without_another_says_what_to_do(tmp_path, content):
    saved_states(tmp_path, 1)
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(InputError, match=r"state.json.*move the folder away to start afresh"):
        load_training_state(tmp_path)


def test_every_altered_value_of_a_state_is_noticed(tmp_path):
    saved_states(tmp_path, 1)
    document = json.loads((tmp_path / "state.json").read_text())
    for key in document:
        for value in (None, 3, "x", [], {}, {"$tensor": "y"}, {"$items": 4}):
            (tmp_path / "state.json").write_text(json.dumps(document | {key: value}))
            with pytest.raises(InputError, match="state.json"):
                load_training_state(tmp_path)


def test_a_state_of_an_earlier_version_is_named(tmp_path):
    (tmp_path / "state.json").write_text('{"file": "tensors-0.safetensors", "tensors": {}, "values": {}}')
    with pytest.raises(InputError, match="state.json: not a training state of version 2.*move the folder away"):
        load_training_state(tmp_path)


def test_a_state_without_its_tensors_says_so(tmp_path):
    with pytest.raises(InputError, match=r"state.json: no such file"):
        load_training_state(tmp_path)
    saved_states(tmp_path, 1)
    (tmp_path / "tensors-0.safetensors").unlink()
    with pytest.raises(InputError, match=r"tensors-0.safetensors: no such file"):
        load_training_state(tmp_path)


def test_a_state_that_is_set_aside_is_whole_and_makes_room(tmp_path):
    saved_states(tmp_path)
    first = set_training_state_aside(tmp_path)
    assert not has_training_state(tmp_path) and load_training_state(first)[1] == {"step": 2}
    saved_states(tmp_path, 1)
    second = set_training_state_aside(tmp_path)
    assert [first.name, second.name] == ["aside-1", "aside-2"] and load_training_state(second)[1] == {"step": 0}


HOLD = """
import sys, time
from rnngen.models.checkpoint import own_training_state
with own_training_state(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_one_process_at_a_time_owns_a_state_and_a_dead_one_none(tmp_path):
    folder = tmp_path / "state"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(InputError, match="another process is training with this state"), own_training_state(folder):
        pass
    waited = []

    def wait() -> None:
        waited.append(folder.exists())
        holder.kill()
        holder.communicate()

    with own_training_state(folder, wait):
        assert waited == [True]
    assert not folder.exists()


@pytest.mark.parametrize("adaptive", [False, True])
def test_resumed_training_is_equal_bit_for_bit(tmp_path, adaptive):
    """N steps, saved, loaded by new objects, N steps more = 2N steps."""
    points = torch.randn(12, 5, 3, generator=torch.Generator().manual_seed(0))
    points[..., 2] = (points[..., 2] > 1).float()

    class Training:
        def __init__(self) -> None:
            self.network = PredictionNetwork(cells=6, layers=2, output_size=13, clip=10.0)
            self.optimiser = GravesRMSProp(self.network.parameters(), lr=1e-2)
            named = dict(self.network.named_parameters())
            self.noise = AdaptiveWeightNoise(named, sequences=5) if adaptive else None
            self.generator = torch.Generator().manual_seed(1)

        def steps(self, count: int) -> None:
            for _ in range(count):
                order = torch.randperm(5, generator=self.generator)[:3]
                weights = dict(self.network.named_parameters())
                if self.noise is not None:
                    weights = self.noise.sample(self.generator)
                y, _ = torch.func.functional_call(self.network, weights, (points[:-1, order],))
                self.optimiser.zero_grad()
                MixtureDensity().loss(y, points[1:, order]).sum().backward()
                for p in self.network.parameters():
                    p.grad /= 3
                if self.noise is not None:
                    self.noise.step(batch_size=3)
                self.optimiser.step()

        def state(self) -> dict:
            return {
                "network": self.network.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "noise": None if self.noise is None else self.noise.state_dict(),
                "generator": self.generator.get_state(),
            }

        def restore(self, state: dict) -> None:
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            if self.noise is not None:
                self.noise.load_state_dict(state["noise"])
            self.generator.set_state(state["generator"])

    straight = Training()
    straight.steps(4)
    save_training_state(tmp_path, straight.state(), {"step": 4, "best": math.inf})
    straight.steps(4)

    resumed = Training()
    tensors, values = load_training_state(tmp_path)
    assert values == {"step": 4, "best": math.inf}
    resumed.restore(tensors)
    resumed.steps(4)
    assert same(resumed.state(), straight.state())
