"""Where stored files lie: in a folder, or at an address that fsspec knows (``s3://bucket/store``).

Files are published once, whole, and never changed. Everything else about them is pathlib's interface, which
``universal_pathlib`` gives to addresses as well.
"""

import hashlib
import json
import os
from pathlib import Path
from uuid import uuid4

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load


def at(place: str | Path) -> Path:
    """Return the path of a folder, or an object with the same methods for an address with ``://`` in it.

    Raises:
        ModuleNotFoundError: an address, and the package that reads it is not installed.
        ValueError: an address of a kind that fsspec does not know.
    """
    if "://" not in str(place):
        return Path(place).expanduser()
    try:
        from upath import UPath
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{place}: install featurelens[cluster] to use an address") from error
    # Other processes write there too: what is there is asked anew each time, not looked up in an old listing.
    path = UPath(place, use_listings_cache=False)
    try:
        return Path(path.path) if path.protocol in ("", "file", "local") else path.fs and path
    except ImportError as error:
        raise ModuleNotFoundError(f"{place}: {error}") from error


def publish(path: Path, data: bytes) -> None:
    """Let a file appear at once and whole, or not at all; one that is there stays.

    Object stores put objects whole; in a folder the file is written beside its place, then linked there.
    """
    if path.exists():
        return
    if not isinstance(path, Path):
        path.fs.pipe_file(path.path, data)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid4().hex}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(partial, path)  # unlike a rename, does not replace what another writer put there just now
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        os.replace(partial, path)
        return
    partial.unlink()


def tensors(path: Path, expected: str | None = None) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file: memory-mapped in a folder, in memory from an address.

    Raises:
        ValueError: a damaged file, or another SHA-256 than ``expected``.
    """
    data = None if isinstance(path, Path) else path.read_bytes()
    if expected:
        same(path, sha256(path) if data is None else hashlib.sha256(data).hexdigest(), expected)
    try:
        if data is not None:
            return load(data)
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: expected tensors, found a damaged file ({error})") from error


def metadata(path: Path) -> dict[str, str]:
    """Metadata of a safetensors file, without its tensors.

    Raises:
        ValueError: a damaged file.
    """
    try:
        if isinstance(path, Path):
            with safe_open(path, "pt") as file:
                return file.metadata() or {}
        # Two small requests in place of the whole file.
        if (size := path.stat().st_size) < 8:
            raise ValueError(f"{size} bytes")
        head = int.from_bytes(path.fs.cat_file(path.path, start=0, end=8), "little")
        header = json.loads(path.fs.cat_file(path.path, start=8, end=8 + head) if head < size else b"")
        found = header.pop("__metadata__", {})
        if size != 8 + head + max((entry["data_offsets"][1] for entry in header.values()), default=0):
            raise ValueError("its length is not what its header says")
        return found
    except (SafetensorError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: expected tensors, found a damaged file ({error})") from error


def same(path: Path | str, found: str, expected: str, advice: str = "") -> None:
    """Compare the SHA-256 of a file with the one that it has to have.

    Raises:
        ValueError: they differ; ``advice`` ends the message.
    """
    if found != expected:
        raise ValueError(f"{path}: expected sha256 {expected[:12]}…, found {found[:12]}…{advice}")


def sha256(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
