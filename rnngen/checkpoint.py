"""Networks and interrupted trainings on disk: tensors as safetensors, everything else as JSON, no pickle.

A network is one safetensors file whose metadata name its class and constructor arguments. A training state is a folder
with `state.json` and the tensors file it names; the JSON is replaced last, so that the folder holds a whole state at
any moment.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from rnngen.artifacts import write_json, written_whole
from rnngen.errors import InputError
from rnngen.prediction_network import PredictionNetwork
from rnngen.synthesis_network import SynthesisNetwork

NETWORKS = {network.__name__: network for network in (PredictionNetwork, SynthesisNetwork)}
NOT_IN_THE_SHAPE = ("clip", "init_range", "window_bias")
"""Constructor arguments that weights do not depend on once they are trained."""
STATE = "state.json"
STATE_TENSORS = ("tensors-0.safetensors", "tensors-1.safetensors")
"""Files of a training state, one of the second at a time."""


def save_network(network: nn.Module, path: str | Path) -> None:
    """Write a network's weights, class and constructor arguments; equal networks give equal bytes."""
    about = {"network": type(network).__name__, "arguments": network.arguments}
    _save_tensors(path, network.state_dict(), {"rnngen": json.dumps(about, sort_keys=True)})


def load_network(
    path: str | Path,
    *,
    backend: str = "auto",
    precision: str = "float32",
    device: str | torch.device = "cpu",
) -> nn.Module:
    """The network that `save_network` wrote, with its weights in the type they were saved in.

    InputError if the file is missing, damaged, not of this program, or its weights do not fit its own description.
    """
    about, tensors = _read_network(path, device)
    try:
        with torch.device("meta"):  # the weights come from the file: draw and allocate none
            network = NETWORKS[about["network"]](**about["arguments"], backend=backend, precision=precision)
    except (InputError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: {about['network']} cannot be built from its arguments: {error}") from error
    _require_tensors(path, network, tensors)
    network.load_state_dict(tensors, assign=True)
    return network


def load_weights(network: nn.Module, path: str | Path) -> None:
    """Copy the weights of a checkpoint of the same class and sizes into `network`; InputError for any other."""
    about, tensors = _read_network(path)
    expected = {"network": type(network).__name__, **network.arguments}
    came = {"network": about["network"], **about["arguments"]}
    differences = [
        f"{name}: expected {expected.get(name)!r}, came {came.get(name)!r}"
        for name in {**expected, **came}
        if name not in NOT_IN_THE_SHAPE and expected.get(name) != came.get(name)
    ]
    if differences:
        raise InputError(f"{path} is a checkpoint of another network: {'; '.join(differences)}")
    _require_tensors(path, network, tensors)
    network.load_state_dict(tensors)


def save_optimiser(network: nn.Module, optimiser: torch.optim.Optimizer, path: str | Path) -> None:
    """Write what an optimiser remembers of a network's gradients, under the names of its weights."""
    tensors = {
        f"{name}/{key}": tensor
        for name, weight in network.named_parameters()
        for key, tensor in optimiser.state.get(weight, {}).items()
    }
    _save_tensors(path, tensors, {"optimiser": type(optimiser).__name__})


def load_optimiser(network: nn.Module, optimiser: torch.optim.Optimizer, path: str | Path) -> bool:
    """Let an optimiser go on with what `save_optimiser` wrote of the same weights; False if it is of another kind.

    Learning rates and other constants are not taken over. InputError if the tensors do not fit the network.
    """
    metadata, tensors = _read_tensors(path)
    if metadata.get("optimiser") != type(optimiser).__name__:
        return False
    weights = dict(network.named_parameters())
    for key, tensor in tensors.items():
        name, _, what = key.rpartition("/")
        if name not in weights or weights[name].shape != tensor.shape:
            raise InputError(f"{path}: {key} of shape {tuple(tensor.shape)} belongs to no weight of this network")
        optimiser.state[weights[name]][what] = tensor.to(weights[name])
    return True


def save_training_state(folder: str | Path, tensors: Any, values: Any) -> None:
    """Write all that a training needs to go on: `tensors` and `values`, any nesting of dicts, lists and tuples.

    Leaves are tensors, numbers (infinities and NaN too), strings, bools and None; dict keys strings or integers, as in
    the state_dict of an optimiser. Integers keep their size, so states of random number generators fit as they are.
    """
    folder = Path(folder)
    current = folder / STATE
    previous = _read_state(current)["file"] if current.exists() else None
    file = STATE_TENSORS[1] if previous == STATE_TENSORS[0] else STATE_TENSORS[0]
    found: dict[str, Tensor] = {}
    document = {"file": file, "tensors": _encode(tensors, "tensors", found), "values": _encode(values, "values", found)}
    _save_tensors(folder / file, found)
    write_json(current, document)
    if previous is not None and previous != file:
        (folder / previous).unlink(missing_ok=True)


def load_training_state(folder: str | Path) -> tuple[Any, Any]:
    """The `tensors` (on the CPU) and `values` that `save_training_state` wrote, equal to the bit."""
    folder = Path(folder)
    document = _read_state(folder / STATE)
    _, found = _read_tensors(folder / document["file"])
    try:
        return _decode(document["tensors"], found), _decode(document["values"], found)
    except KeyError as error:
        raise InputError(
            f"{folder / STATE}: {document['file']} has no tensor {error}; remove the folder to start anew"
        ) from error


def remove_training_state(folder: str | Path, *others: str) -> None:
    """Remove a training state, the files of its folder named in `others`, and the folder if nothing else is in it."""
    folder = Path(folder)
    for name in (STATE, *STATE_TENSORS, *others):
        for file in (folder / name, *folder.glob(f".{name}.*.partial")):  # partial: of a process that was killed
            file.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _encode(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """`value` as JSON; tensors go into `tensors` and leave {"$tensor": name} behind."""
    match value:
        case Tensor():
            name = f"{len(tensors)} {path}"  # numbered: a key with a dot could otherwise make two paths one
            tensors[name] = value
            return {"$tensor": name}
        case dict() if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: _encode(item, f"{path}.{key}", tensors) for key, item in value.items()}
        case dict() if all(isinstance(key, str | int) for key in value):
            return {"$items": [[key, _encode(item, f"{path}.{key}", tensors)] for key, item in value.items()]}
        case tuple():
            return {"$tuple": [_encode(item, f"{path}.{n}", tensors) for n, item in enumerate(value)]}
        case list():
            return [_encode(item, f"{path}.{n}", tensors) for n, item in enumerate(value)]
        case float() if not math.isfinite(value):
            return {"$float": str(value)}
        case None | bool() | int() | float() | str():
            return value
    raise TypeError(f"{path}: a training state cannot hold a {type(value).__name__}")


def _decode(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    match value:
        case {"$tensor": name}:
            return tensors[name]
        case {"$items": items}:
            return {key: _decode(item, tensors) for key, item in items}
        case {"$tuple": items}:
            return tuple(_decode(item, tensors) for item in items)
        case {"$float": text}:
            return float(text)
        case dict():
            return {key: _decode(item, tensors) for key, item in value.items()}
        case list():
            return [_decode(item, tensors) for item in value]
    return value


def _save_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    # clone: safetensors refuses tensors that share memory, views of one buffer among them
    own = {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    with written_whole(path) as partial:
        try:
            save_file(own, partial, metadata)
        except SafetensorError as error:  # a full disk, among others
            raise OSError(f"{path}: could not be written: {error}") from error


def _read_tensors(path: str | Path, device: str | torch.device = "cpu") -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a safetensors file."""
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a safetensors file, or cut short: {error}") from error


def _read_network(path: str | Path, device: str | torch.device = "cpu") -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a checkpoint says of its network, and its tensors."""
    metadata, tensors = _read_tensors(path, device)
    try:
        about = json.loads(metadata["rnngen"])
        known = about["network"] in NETWORKS and isinstance(about["arguments"], dict)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: a safetensors file, but not of a network that rnngen wrote") from error
    if not known:
        raise InputError(f"{path}: holds a {about['network']!r}; expected one of {', '.join(NETWORKS)}")
    return about, tensors


def _require_tensors(path: str | Path, network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """InputError naming the first tensor that is missing, too many, or of another shape than the network's."""
    expected = network.state_dict()
    for name in {**expected, **tensors}:
        if name not in tensors:
            raise InputError(f"{path}: tensor {name} is missing, expected shape {tuple(expected[name].shape)}")
        if name not in expected:
            raise InputError(f"{path}: tensor {name} of shape {tuple(tensors[name].shape)} is not expected")
        if expected[name].shape != tensors[name].shape or not tensors[name].is_floating_point():
            raise InputError(
                f"{path}: tensor {name}: expected floating point of shape {tuple(expected[name].shape)}, "
                f"came {tensors[name].dtype} of shape {tuple(tensors[name].shape)}"
            )


def _read_state(path: Path) -> dict[str, Any]:
    """The JSON of a training state."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: damaged ({error}); remove the folder to start anew") from error
    if (
        not isinstance(document, dict)
        or document.get("file") not in STATE_TENSORS
        or not {"tensors", "values"} <= {*document}
    ):
        raise InputError(f"{path}: not a training state; remove the folder to start anew")
    return document
