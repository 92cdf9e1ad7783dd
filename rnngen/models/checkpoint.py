"""Networks and interrupted trainings on disk: tensors as safetensors, everything else as JSON, no pickle.

A network is one safetensors file whose metadata name its class and constructor arguments. A training state is a folder
with `state.json` and the tensors file it names; the JSON is replaced last, so that the folder holds a whole state at
any moment. The JSON has the checksums of the tensors and of itself, and the previous state stays until the next one is
written. So damage is noticed, and training goes on from the previous state. One process at a time may own the folder.
"""

import hashlib
import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from rnngen.artifacts import parse_json, sha256, take_lock, write_json, write_whole
from rnngen.errors import InputError
from rnngen.networks import Network, PredictionNetwork, SynthesisNetwork

log = logging.getLogger(__name__)

NETWORKS: dict[str, type[Network]] = {network.__name__: network for network in (PredictionNetwork, SynthesisNetwork)}
NOT_IN_THE_SHAPE = ("clip", "init_range", "window_bias")
"""Constructor arguments that weights do not depend on once they are trained."""
STATE, STATE_BEFORE = "state.json", "state.before.json"
STATE_TENSORS = ("tensors-0.safetensors", "tensors-1.safetensors")
STATE_VERSION = 2
"""Raised by one when older states can no longer be read."""
LOCK = "lock"
AWAY = "move the folder away to start afresh"


def save_network(network: Network, path: str | Path, weights: Mapping[str, Tensor] | None = None) -> None:
    """Write a network's weights, class and constructor arguments; equal networks give equal bytes.

    `weights` are written instead of those the network has now: a `state_dict` of an earlier moment.
    """
    about = {"network": type(network).__name__, "arguments": network.arguments}
    tensors = network.state_dict() if weights is None else weights
    _save_tensors(path, tensors, {"rnngen": json.dumps(about, sort_keys=True)})


def load_network(
    path: str | Path,
    *,
    backend: str = "auto",
    precision: str = "float32",
    device: str | torch.device = "cpu",
) -> Network:
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


def load_weights(network: Network, path: str | Path) -> None:
    """Copy the weights of a checkpoint of the same class and sizes into `network`; InputError for any other."""
    about, tensors = _read_network(path)
    expected = {"network": type(network).__name__, **network.arguments}
    came = {"network": about["network"], **about["arguments"]}
    one_class = expected["network"] == came["network"]  # two classes have hardly an argument in common
    differences = [
        f"{name}: expected {expected.get(name)!r}, got {came.get(name)!r}"
        for name in ({**expected, **came} if one_class else ["network"])
        if name not in NOT_IN_THE_SHAPE and expected.get(name) != came.get(name)
    ]
    if differences:
        raise InputError(f"{path} is a checkpoint of another network: {'; '.join(differences)}")
    _require_tensors(path, network, tensors)
    network.load_state_dict(tensors)


def memory_of(network: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimiser remembers of a network's gradients, under the names of its weights."""
    return {
        f"{name}/{key}": tensor
        for name, weight in network.named_parameters()
        for key, tensor in optimiser.state.get(weight, {}).items()
    }


def save_optimiser(memory: Mapping[str, Tensor], optimiser: torch.optim.Optimizer, path: str | Path) -> None:
    """Write `memory_of` an optimiser, now or at an earlier moment."""
    _save_tensors(path, memory, {"optimiser": type(optimiser).__name__})


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
            raise InputError(f"{path}: {key} of shape {tuple(tensor.shape)} fits no weight of this network")
        optimiser.state[weights[name]][what] = tensor.to(weights[name])
    return True


@contextmanager
def own_training_state(folder: str | Path, wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock of a state folder, made if need be.

    If a living process holds it, `wait` is called again and again until it is free; without `wait`, InputError. A
    folder with nothing in it is removed in the end.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    while (lock := take_lock(folder / LOCK)) is None:
        if wait is None:
            raise InputError(f"{folder}: another process is training with this state; wait for it, or end it first")
        wait()
        folder.mkdir(parents=True, exist_ok=True)  # the other may have left nothing
    try:
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)
        os.close(lock)
        if not any(folder.iterdir()):
            folder.rmdir()


def has_training_state(folder: str | Path) -> bool:
    """Whether anything of a training state is there, whole or not."""
    return any((Path(folder) / name).exists() for name in (STATE, STATE_BEFORE))


def save_training_state(folder: str | Path, tensors: Any, values: Any) -> None:
    """Write all that a training needs to go on: `tensors` and `values`, any nesting of dicts, lists and tuples.

    Leaves are tensors, numbers (infinities and NaN too), strings, bools and None; dict keys strings or integers, as in
    the state_dict of an optimiser. Integers keep their size, so states of random number generators fit as they are.
    """
    folder = Path(folder)
    newest, before = folder / STATE, folder / STATE_BEFORE
    kept = next((path for path in (newest, before) if _tensors_file(path) is not None), None)
    file = STATE_TENSORS[1] if kept is not None and _tensors_file(kept) == STATE_TENSORS[0] else STATE_TENSORS[0]
    found: dict[str, Tensor] = {}
    document = {"file": file, "tensors": _encode(tensors, "tensors", found), "values": _encode(values, "values", found)}
    _save_tensors(folder / file, found)
    document |= {"version": STATE_VERSION, "tensors_sha256": sha256(folder / file)}
    if kept == newest:
        with write_whole(before) as partial:
            shutil.copyfile(newest, partial)
    write_json(newest, document | {"sha256": _checksum(document)})


def load_training_state(folder: str | Path) -> tuple[Any, Any]:
    """The `tensors` (on the CPU) and `values` that `save_training_state` wrote, equal to the bit.

    Where the newest state is damaged the one before it is given, and the log says so. InputError if that is too.
    """
    folder = Path(folder)
    newest, before = folder / STATE, folder / STATE_BEFORE
    try:
        return _read_whole_state(newest)
    except InputError as error:
        if not before.exists():
            raise InputError(f"{error}; {AWAY}") from error
        try:
            state = _read_whole_state(before)
        except InputError as other:
            raise InputError(f"{error}; the previous state is no better: {other}; {AWAY}") from other
        log.warning("%s; going on from the state before it", error)
    with write_whole(newest) as partial:
        shutil.copyfile(before, partial)
    return state


def set_training_state_aside(folder: str | Path) -> Path:
    """Move a training state into a new folder in its folder, so that another one can be saved; returns the new one."""
    folder = Path(folder)
    number = 1
    while (aside := folder / f"aside-{number}").exists():
        number += 1
    aside.mkdir()
    for name in (*STATE_TENSORS, STATE_BEFORE, STATE):
        if (folder / name).exists():
            (folder / name).rename(aside / name)
    return aside


def forget_state_before(folder: str | Path) -> None:
    """Remove the state before the newest, so that the folder is half as large."""
    newest, before = (Path(folder) / name for name in (STATE, STATE_BEFORE))
    if before.exists() and _tensors_file(newest) is not None:
        spare = Path(folder) / next(name for name in STATE_TENSORS if name != _tensors_file(newest))
        before.unlink()
        spare.unlink(missing_ok=True)


def remove_training_state(folder: str | Path, *others: str) -> None:
    """Remove a training state and the files of its folder named in `others`."""
    for name in (STATE, STATE_BEFORE, *STATE_TENSORS, *others):
        (Path(folder) / name).unlink(missing_ok=True)


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
    with write_whole(path) as partial:
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
        about = parse_json(metadata["rnngen"])
        known = about["network"] in NETWORKS and isinstance(about["arguments"], dict)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
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
                f"got {tensors[name].dtype} of shape {tuple(tensors[name].shape)}"
            )


def _read_whole_state(path: Path) -> tuple[Any, Any]:
    """Tensors and values of a state's JSON; InputError unless both files are as they were written."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: damaged, not JSON ({error})") from error
    if not isinstance(document, dict) or document.get("version") != STATE_VERSION:
        raise InputError(
            f"{path}: not a training state of version {STATE_VERSION}; "
            "continue an older one with the version that wrote it"
        )
    whole = {"file", "tensors", "values", "tensors_sha256"} <= {*document} and document["file"] in STATE_TENSORS
    if document.pop("sha256", None) != _checksum(document) or not whole:
        raise InputError(f"{path}: damaged, its contents have changed since it was written")
    tensors = path.parent / document["file"]
    if not tensors.exists():
        raise InputError(f"{tensors}: no such file")
    if sha256(tensors) != document["tensors_sha256"]:
        raise InputError(f"{tensors}: damaged, or not the file that belongs to {path.name}")
    _, found = _read_tensors(tensors)
    try:
        return _decode(document["tensors"], found), _decode(document["values"], found)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a state that this program wrote ({error!r})") from error


def _tensors_file(path: Path) -> str | None:
    """The tensors that the JSON of a state names; None without a state."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return document.get("file") if isinstance(document, dict) else None


def _checksum(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
