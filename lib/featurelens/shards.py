"""One folder of the feature store: the shards and the manifest of one encoder, image set and point.

The layout is set down in :mod:`featurelens.store`.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save

from featurelens import storage
from featurelens.shard_headers import Damaged, failing, read_header, read_manifest

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
MANIFEST = "manifest.json"


class MissingFeatures(LookupError):
    """The store has no complete features of this identity; the message says what it has instead."""


class Part:
    """Features of one identity, in a sub-folder of ``parent`` that is named after it."""

    def __init__(self, parent: Path, identity: dict[str, str], images: int, shard_rows: int) -> None:
        """Nothing is read or written yet."""
        self.identity, self.images, self.shard_rows = identity, images, shard_rows
        self.folder = parent / f"{slug(identity['point'])}-{hashlib.sha256(_json(identity)).hexdigest()[:12]}"

    def ranges(self) -> list[range]:
        """Rows of each shard."""
        n, step = self.images, self.shard_rows
        return [range(start, min(start + step, n)) for start in range(0, n, step)]

    def complete(self) -> bool:
        """Whether the manifest is there."""
        return (self.folder / MANIFEST).is_file()

    def missing(self) -> list[int]:
        """Shards that are not there.

        Raises:
            ValueError: a damaged shard, or one of other features or another size, lies in one's place.
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
        stored_ND = h_ND.detach().cpu().to(DTYPES[self.identity["precision"]]).contiguous()
        tensors = {"h_ND": stored_ND, "row_N": row_N.cpu()}
        # One metadata entry only: safetensors does not keep the order of several.
        storage.publish(self._path(shard), save(tensors, {"featurelens": _json(header).decode()}))

    def finish(self) -> None:
        """Publish the manifest.

        Raises:
            MissingFeatures: a shard is not there yet.
            ValueError: as ``missing``.
        """
        if self.complete():
            return
        if missing := self.missing():
            raise MissingFeatures(f"{self.folder}: shards {missing} are not there yet")
        shards = range(len(self.ranges()))
        manifest = self._listing([storage.sha256(self._path(k)) for k in shards])
        storage.publish(self.folder / MANIFEST, _json(manifest, indent=1))

    def manifest(self) -> dict:
        """Read the manifest.

        Raises:
            MissingFeatures: there is none.
            ValueError: it is damaged, or that of other features.
        """
        if not self.complete():
            raise MissingFeatures(self._instead())
        manifest = read_manifest(self.folder / MANIFEST)
        if manifest["identity"] != self.identity:
            raise Damaged(f"{self.folder}: expected features of this identity, found those of another")
        return manifest

    def tensors(self, check: bool) -> Iterator[dict[str, torch.Tensor]]:
        """``h_ND`` and ``row_N`` of each shard, memory-mapped in a folder.

        Args:
            check: compare each shard with the manifest before it is given.

        Raises:
            MissingFeatures: there is no manifest.
            ValueError: a shard was altered.
        """
        for k, shard in enumerate(self.manifest()["shards"]):
            try:
                read = storage.tensors(self._path(k), shard["sha256"] if check else None)
            except FileNotFoundError as error:
                raise Damaged(f"{self._path(k)}: expected a shard, found no file") from error
            except ValueError as error:
                raise Damaged(str(error)) from error
            yield read

    def problems(self) -> dict[Path, str]:
        """Files that are not as they were written, each with one line that says so; reads every file."""
        if not self.complete():
            return failing({self._path(k): partial(self._header, k) for k in range(len(self.ranges()))})
        manifest = self.folder / MANIFEST
        if bad := failing({manifest: self.manifest}):
            return bad
        sha256 = [shard["sha256"] for shard in self.manifest()["shards"]]
        bad = failing({self._path(k): partial(_same, self._path(k), found) for k, found in enumerate(sha256)})
        if not bad and (len(sha256) != len(self.ranges()) or self._listing(sha256) != self.manifest()):
            bad = {manifest: f"{manifest}: expected what the shards say, found something else"}
        return bad

    def _listing(self, sha256: list[str]) -> dict:
        """The manifest that belongs to the published shards, whose SHA-256 are these."""
        shards, failures = [], []
        for k, rows in enumerate(self.ranges()):
            left_out = self._header(k)["failures"]
            shards.append({"file": _name(k), "sha256": sha256[k], "rows": len(rows) - len(left_out)})
            failures += left_out
        manifest = {"identity": self.identity, "images": self.images, "shard_rows": self.shard_rows}
        return manifest | {"shards": shards, "failures": failures}

    def _header(self, shard: int) -> dict | None:
        """Metadata of a published shard, after checking that it belongs here; None if it is not there."""
        path = self._path(shard)
        if not path.is_file():
            return None
        header = read_header(path)
        if header["identity"] != self.identity:
            raise Damaged(f"{path}: expected features of this identity, found those of another")
        if header["shard_rows"] != self.shard_rows:
            raise ValueError(f"{path}: expected {self.shard_rows} rows a shard, found {header['shard_rows']}")
        return header

    def _instead(self) -> str:
        """Say what is there in place of features that are not."""
        wanted, point = self.identity, self.identity["point"]
        what = f"no features of {wanted['encoder']} on {wanted['images']} at {point!r} in the store"
        differ = []
        for path in self.folder.parent.glob(f"{slug(point)}-*/{MANIFEST}"):
            with suppress(ValueError):
                found = read_manifest(path)["identity"]
                differ.append([key for key in wanted | found if found.get(key) != wanted.get(key)])
        if nearest := min((keys for keys in differ if "point" not in keys), key=len, default=None):
            return f"{what}: those there differ in {', '.join(nearest)}"
        return f"{what}: {'unfinished' if self.folder.is_dir() else 'not extracted'}, run extract"

    def _path(self, shard: int) -> Path:
        return self.folder / _name(shard)


def slug(name: str) -> str:
    """A name as part of a path: other characters than letters, digits and ``_.-`` become ``_``."""
    made = re.sub(r"[^\w.-]+", "_", name)[:100]
    return made if made.strip(".") else "_"


def _same(path: Path, expected: str) -> None:
    if not path.is_file():
        raise Damaged(f"{path}: expected a shard, found no file")
    if (found := storage.sha256(path)) != expected:
        raise Damaged(f"{path}: expected sha256 {expected[:12]}…, found {found[:12]}…")


def _name(shard: int) -> str:
    return f"shard-{shard:05d}.safetensors"


def _json(value: object, indent: int | None = None) -> bytes:
    return json.dumps(value, sort_keys=True, indent=indent, ensure_ascii=False).encode()
