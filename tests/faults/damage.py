"""Torn files and seeded mutations, and what the readers make of them."""

import copy
import json
import logging
import os
import pickle
import random
import resource
import signal
import time
import traceback
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from rnngen.errors import InputError
from tests.faults.readers import Reader, digest

SECONDS = 5.0
"""A reader that takes longer hangs."""
MEMORY = 6 << 30
UNREADABLE = 99


def torn(data: bytes, random_: random.Random) -> bytes:
    """What a disk makes of a file: emptied, cut, zeros in it or at its end, a bit turned over, a block twice."""
    at = random_.randrange(len(data))
    size = min(len(data) - at, 1 << random_.randrange(12))
    match random_.randrange(6):
        case 0:
            return b""
        case 1:
            return data[:at]
        case 2:
            return data[:at] + bytes(len(data) - at)
        case 3:
            return data[:at] + bytes(size) + data[at + size :]
        case 4:
            return data[:at] + bytes([data[at] ^ 1 << random_.randrange(8)]) + data[at + 1 :]
    return data[: at + size] + data[at:]


TOKENS = [
    *(
        b"<!--",
        b"-->",
        b"<![CDATA[",
        b"&amp;",
        b"&#0;",
        b"&x;",
        b"<!DOCTYPE a [<!ENTITY x 'y'>]>",
        b"</page>",
        b"<text>",
    ),
    *(b"{", b"}", b"[", b"]", b'"', b"'", b"\0", b"\xff", b"\xef\xbb\xbf", b"\r", b"\n\n", b"1e999", b"-1", b"NaN"),
    *(b"9" * 400, b"[" * 3000, b"( " * 500, b"{{" * 500, b"&a ", b"*a", b"<<: ", b"!!python/name:os.system "),
]
VALUES = [
    *(None, True, False, 0, 1, -1, 1.5, 1e308, float("nan"), float("inf"), 2**31, 2**64, 10**400, "", "x", "\udcff"),
    *("x" * 5000, [], {}, [[]], {"x": 1}, [1, 2, 3], {"$tensor": "x"}, {"$items": 1}, "../../etc/passwd"),
]


def mutated(path: Path, data: bytes, random_: random.Random) -> bytes:
    """One to three changes; in JSON and YAML half of them are of a value, elsewhere all are of bytes."""
    for _ in range(random_.choice((1, 1, 2, 3))):
        if path.suffix in (".json", ".yaml") and random_.random() < 0.5:
            data = _other_value(path, data, random_)
        elif random_.random() < 0.4:
            at = random_.randrange(len(data) + 1)
            data = data[:at] + random_.choice(TOKENS) + data[at + random_.choice((0, 0, 1, 8)) :]
        elif data:
            data = torn(data, random_)
    return data


def _other_value(path: Path, data: bytes, random_: random.Random) -> bytes:
    try:
        value = json.loads(data) if path.suffix == ".json" else yaml.safe_load(data)
    except (ValueError, RecursionError, yaml.YAMLError):
        return data[:-1]  # a change before has made it unreadable
    value = copy.deepcopy(value)
    places = list(_places(value))
    if not places:
        return data[:-1]
    holder, key = random_.choice(places)
    if random_.random() < 0.2:
        del holder[key]
    elif isinstance(holder, dict) and random_.random() < 0.1:
        holder[random_.choice(("x", "", "$tensor", "__class__"))] = random_.choice(VALUES)
    else:
        holder[key] = random_.choice(VALUES)
    text = json.dumps(value) if path.suffix == ".json" else yaml.safe_dump(value)
    return text.encode(errors="surrogatepass")


def _places(value: Any):
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def try_readers(readers: list[Reader], count: int, seed: int, change: Any) -> dict[str, Counter[str]]:
    """Reader → outcomes of `count` changes of its file. Each reader works in a fork, which may crash."""
    return {reader.name: _in_a_fork(reader, count, seed, change) for reader in readers}


def _in_a_fork(reader: Reader, count: int, seed: int, change: Any) -> Counter[str]:
    whole = reader.file.read_bytes()
    folder = {path: path.read_bytes() for path in reader.file.parent.iterdir() if path.is_file()}
    found: Counter[str] = Counter()
    done = 0
    while done < count:
        receiver, sender = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receiver)
            try:
                _work(reader, whole, folder, range(done, count), seed, change, sender)
            finally:
                os._exit(1)
        os.close(sender)
        with os.fdopen(receiver, "rb") as results:
            while True:
                try:
                    outcome = pickle.load(results)  # noqa: S301  # of the fork a line above
                except EOFError:
                    break
                found[outcome] += 1
                done += 1
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == UNREADABLE:
            raise SystemExit(f"{reader.name}: cannot read {reader.file} before anything is damaged")
        if os.waitstatus_to_exitcode(status):
            found[f"crash: exit {os.waitstatus_to_exitcode(status)}"] += 1
            done += 1
    for path, data in folder.items():
        path.write_bytes(data)
    return found


def _work(
    reader: Reader, whole: bytes, folder: dict[Path, bytes], numbers: range, seed: int, change: Any, out: int
) -> None:
    try:
        expected = digest(reader.read(reader.file))
    except Exception:  # noqa: BLE001  # shown, and the end
        traceback.print_exc()
        os._exit(UNREADABLE)
    logging.disable(logging.CRITICAL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _too_long)
    with os.fdopen(out, "wb") as results:
        for number in numbers:
            random_ = random.Random(f"{seed} {reader.name} {number}")
            for path, data in folder.items():  # a reader may have put the state before in the newest's place
                if path.read_bytes() != data:
                    path.write_bytes(data)
            data = change(reader.file, whole, random_)
            reader.file.write_bytes(data)
            pickle.dump(_outcome(reader, expected, data == whole), results)
            results.flush()
    os._exit(0)


def _outcome(reader: Reader, expected: str, unchanged: bool) -> str:
    started = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 4 * SECONDS)
    try:
        found = digest(reader.read(reader.file))
    except InputError as error:
        outcome = "refused" if len(str(error)) <= 300 else f"message of {len(str(error))} characters"
    except UnicodeEncodeError:
        outcome = "refused"  # a command says it in a line, rnngen.errors
    except _TooLongError:
        outcome = "hang"
    except Exception as error:  # noqa: BLE001  # what escapes a reader is what is looked for
        at = error.__traceback__
        while at.tb_next is not None:
            at = at.tb_next
        outcome = f"traceback: {type(error).__name__} in {Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}"
    else:
        outcome = "equal" if found == expected else "silent" if reader.sealed and not unchanged else "other"
        if reader.name.startswith("state, newest") and outcome == "silent":
            outcome = "state before"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return outcome if time.monotonic() - started < SECONDS or outcome.startswith("traceback") else "hang"


class _TooLongError(BaseException):
    pass


def _too_long(number: int, frame: FrameType | None) -> None:
    raise _TooLongError
