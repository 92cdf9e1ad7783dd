"""A folder of checkpoints as a few files of bounded size, to be carried from one machine to the next.

`split` writes shard-00.tar, shard-01.tar, …: one tar archive, cut at `shard_bytes`, and shards.json with the size and
the SHA-256 of each and the names of all members. `join` checks them and puts the members back.
"""

import hashlib
import io
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path

from rnngen.artifacts import read_json_object, write_json, write_whole
from rnngen.errors import InputError

MANIFEST = "shards.json"
BLOCK = 512
END = 20 * BLOCK
"""tarfile ends an archive with zeros up to a multiple of this."""


def split(root: Path, items: Sequence[Path], folder: Path, shard_bytes: int, shards: int) -> list[Path]:
    """Write `items`, files or folders below `root`, into at most `shards` files, the manifest not counted.

    Earlier items first; returns those that did not fit, each left out whole.
    """
    room, taken, left_out = shards * shard_bytes - END, [], []
    for item in items:
        files = [item] if item.is_file() else sorted(path for path in item.rglob("*") if path.is_file())
        # header and padding of each member; a long name takes three blocks more
        need = sum(-(-path.stat().st_size // BLOCK) * BLOCK + 4 * BLOCK for path in files)
        if need <= room:
            room -= need
            taken += files
        else:
            left_out.append(item)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in taken:
            tar.add(path, path.relative_to(root).as_posix())
    content = archive.getbuffer()
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("shard-*.tar"):
        stale.unlink()
    parts = []
    for number, start in enumerate(range(0, len(content), shard_bytes)):
        part = content[start : start + shard_bytes]
        name = f"shard-{number:02}.tar"
        with write_whole(folder / name) as partial:
            partial.write_bytes(part)
        parts.append({"name": name, "bytes": len(part), "sha256": hashlib.sha256(part).hexdigest()})
    write_json(folder / MANIFEST, {"shards": parts, "members": [path.relative_to(root).as_posix() for path in taken]})
    return left_out


def join(folder: Path, root: Path) -> list[str]:
    """Put the members of the shards in `folder` back below `root`; returns their names, none without a manifest.

    InputError if a shard is missing or damaged; nothing is written then.
    """
    manifest = folder / MANIFEST
    if not manifest.exists():
        return []
    about = read_json_object(manifest, "the list of shards")
    parts, members = about.get("shards"), about.get("members")
    if not (
        isinstance(parts, list)
        and all(isinstance(part, dict) and {"name", "sha256"} <= part.keys() for part in parts)
        and all(isinstance(part["name"], str) and re.fullmatch(r"shard-\d+\.tar", part["name"]) for part in parts)
        and isinstance(members, list)
        and all(isinstance(member, str) for member in members)
    ):
        raise InputError(f"{manifest}: damaged, its list of shards and members is missing; copy the shards again")
    content = bytearray()
    for part in parts:
        path = folder / part["name"]
        if not path.exists():
            raise InputError(f"{path}: missing, one of {len(parts)} shards; copy all of them")
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != part["sha256"]:
            raise InputError(f"{path}: damaged, its checksum differs from {MANIFEST}; copy it again")
        content += data
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r") as tar:
            tar.extractall(root, filter="data")
    except tarfile.TarError as error:
        raise InputError(f"{manifest}: its shards are not an archive ({error}); copy all of them again") from error
    return members
