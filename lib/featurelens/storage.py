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
    path = UPath(place)
    return Path(path.path) if path.protocol in ("", "file", "local") else path


def publish(path: Path, data: bytes) -> None:
    """Let a file appear at once and whole, or not at all; one that is there stays.

    Object stores put objects whole; in a folder the file is written beside its place, then renamed.
    """
    if path.exists():
        return
    if not isinstance(path, Path):
        path.write_bytes(data)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid4().hex}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def tensors(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file: memory-mapped in a folder, in memory from an address.

    Raises:
        ValueError: a damaged file.
    """
    try:
        if not isinstance(path, Path):
            return load(path.read_bytes())
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
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            return json.loads(file.read(size)).get("__metadata__", {})
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path}: expected tensors, found a damaged file ({error})") from error


def sha256(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
