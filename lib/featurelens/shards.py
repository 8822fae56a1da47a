"""One folder of the feature store: the shards and the manifest of one encoder, image set and point.

The layout is set down in :mod:`featurelens.store`.
"""

import hashlib
import json
import os
from pathlib import Path
from uuid import uuid4

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save


class MissingFeatures(LookupError):
    """The store has no complete features of this identity; the message says what it has instead."""


class Part:
    """Features of one identity, in a sub-folder of ``parent`` that is named after it."""

    def __init__(self, parent: Path, identity: dict[str, str], images: int, shard_rows: int) -> None:
        """Nothing is read or written yet."""
        self.identity, self.images, self.shard_rows = identity, images, shard_rows
        self.folder = parent / f"{identity['point']}-{hashlib.sha256(_json(identity)).hexdigest()[:12]}"

    def ranges(self) -> list[range]:
        """Rows of each shard."""
        n, step = self.images, self.shard_rows
        return [range(start, min(start + step, n)) for start in range(0, n, step)]

    def complete(self) -> bool:
        """Whether the manifest is there."""
        return (self.folder / "manifest.json").is_file()

    def missing(self) -> list[int]:
        """Shards that are not there.

        Raises:
            ValueError: a shard of other features, or of another size, lies in one's place.
        """
        if self.complete():
            return []
        return [k for k in range(len(self.ranges())) if self._header(k) is None]

    def write(self, shard: int, h_ND: torch.Tensor, row_N: torch.Tensor, failures: list[dict]) -> None:
        """Publish one shard.

        Raises:
            ValueError: rows and failures are not exactly the shard's pictures.
        """
        rows = self.ranges()[shard]
        if sorted([*row_N.tolist(), *(failure["row"] for failure in failures)]) != list(rows):
            raise ValueError(f"shard {shard}: expected rows {rows.start}..{rows.stop - 1} once, found others")
        header = {
            "identity": self.identity,
            "shard": shard,
            "shard_rows": self.shard_rows,
            "failures": failures,
        }
        tensors = {"h_ND": h_ND.float().cpu().contiguous(), "row_N": row_N.cpu()}
        # One metadata entry only: safetensors does not keep the order of several.
        _publish(self.folder / _name(shard), save(tensors, {"featurelens": _json(header).decode()}))

    def finish(self) -> None:
        """Publish the manifest.

        Raises:
            MissingFeatures: a shard is not there yet.
        """
        if self.complete():
            return
        if missing := self.missing():
            raise MissingFeatures(f"{self.folder}: shards {missing} are not there yet")
        shards, failures = [], []
        for k, rows in enumerate(self.ranges()):
            left_out = self._header(k)["failures"]
            kept = len(rows) - len(left_out)
            shards.append({"file": _name(k), "sha256": _sha256(self.folder / _name(k)), "rows": kept})
            failures += left_out
        manifest = {"identity": self.identity, "images": self.images, "shard_rows": self.shard_rows}
        manifest |= {"shards": shards, "failures": failures}
        _publish(self.folder / "manifest.json", _json(manifest, indent=1))

    def manifest(self) -> dict:
        """Read the manifest.

        Raises:
            MissingFeatures: there is none.
            ValueError: it is that of other features.
        """
        if not self.complete():
            raise MissingFeatures(self._instead())
        manifest = json.loads((self.folder / "manifest.json").read_bytes())
        if manifest["identity"] != self.identity:
            raise ValueError(f"{self.folder}: expected features of this identity, found those of another")
        return manifest

    def verify(self) -> None:
        """Compare every shard with the manifest.

        Raises:
            MissingFeatures: there is no manifest.
            ValueError: a shard was altered.
        """
        for shard in self.manifest()["shards"]:
            path, expected = self.folder / shard["file"], shard["sha256"]
            found = _sha256(path) if path.is_file() else "no file"
            if found != expected:
                raise ValueError(f"{path}: expected sha256 {expected[:12]}…, found {found[:12]}…")

    def tensor(self, name: str) -> torch.Tensor:
        """``h_ND`` or ``row_N`` of all shards; memory-mapped where there is one."""
        parts = []
        for shard in self.manifest()["shards"]:
            with safe_open(self.folder / shard["file"], "pt") as file:
                parts.append(file.get_tensor(name))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _header(self, shard: int) -> dict | None:
        """Metadata of a published shard, after checking that it belongs here; None if it is not there."""
        path = self.folder / _name(shard)
        if not path.is_file():
            return None
        try:
            with safe_open(path, "pt") as file:
                header = json.loads(file.metadata()["featurelens"])
        except SafetensorError as error:
            raise ValueError(f"{path}: expected a shard, found a damaged file ({error})") from error
        if header["identity"] != self.identity:
            raise ValueError(f"{path}: expected features of this identity, found those of another")
        if header["shard_rows"] != self.shard_rows:
            raise ValueError(f"{path}: expected {self.shard_rows} rows a shard, found {header['shard_rows']}")
        return header

    def _instead(self) -> str:
        """Say what is there in place of features that are not."""
        wanted, point = self.identity, self.identity["point"]
        what = f"no features of {wanted['encoder']} on {wanted['images']} at {point!r} in the store"
        for path in sorted(self.folder.parent.glob(f"{point}-*/manifest.json")):
            found = json.loads(path.read_bytes())["identity"]
            differ = [key for key in wanted if found.get(key) != wanted[key]]
            return f"{what}: those there differ in {', '.join(differ)}"
        return f"{what}: {'unfinished' if self.folder.is_dir() else 'not extracted'}, run extract"


def _name(shard: int) -> str:
    return f"shard-{shard:05d}.safetensors"


def _json(value: object, indent: int | None = None) -> bytes:
    return json.dumps(value, sort_keys=True, indent=indent, ensure_ascii=False).encode()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _publish(path: Path, data: bytes) -> None:
    """Let a file appear at once and whole, or not at all; one that is there stays."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid4().hex}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
