"""The feature store: features on disk, each under the identity of all that they depend on.

On-disk layout (normative: code that differs from it is wrong)

    <root>/<encoder>/<images>/<point>-<id>/shard-00000.safetensors, shard-00001.safetensors, …, manifest.json

``<root>`` is a folder, or an address in an object store (``s3://bucket/features``). ``<encoder>``,
``<images>`` and ``<point>`` are the names with every run of other characters than letters, digits and
``_.-`` made ``_``, at most 100 of them; names are for people, ``<id>`` tells identities apart.

* *Identity*: a flat dict of strings: the encoder's (name, weights sha256, architecture, preprocessing,
  points, versions), the image set's (name, count, sha256), ``point`` (the true name, such as ``layer4[0]``),
  ``precision`` of storage (``float32``, ``float16`` or ``bfloat16``) and ``format``. ``<id>`` is the first
  12 digits of the sha256 of its JSON (keys sorted). No path and no date is part of it.
* *Shard* k covers the pictures k·R … (k+1)·R - 1 of the set, R = ``shard_rows``. Tensors: ``h_ND`` (in the
  identity's precision, rounded to nearest, finite; one row for each picture kept) and ``row_N`` (int64, its
  position in the set, increasing). The header's one metadata entry, ``featurelens``, is JSON: ``identity``,
  ``shard``, ``shard_rows`` and ``failures``, a list of ``{row, key, reason}`` for the pictures left out.
  Kept and failed rows together are all the shard's.
* *Manifest*, published last: ``identity``, ``images`` (pictures in the set), ``shard_rows``, ``shards``
  (``{file, sha256, rows}``) and all ``failures``. A folder without a manifest is unfinished.
* *Heads*: ``<root>/heads/*.safetensors``, zero-shot heads, each a file of its own with metadata.

Every file appears whole at once (in a folder: written to ``<file>.<32 digits>.partial``, then linked in its
place; at an address: one put) and is never changed afterwards; the first writer's file stays, and the same
work gives the same bytes, so two writers of one shard do no harm. Files of other names are left-overs of
killed runs: ignored.

A *damaged* file differs from its manifest, or, without one, has not the length or the header that a shard
has. It is never read: extraction and reading stop in one line. ``featurelens store gc --damaged`` takes it
away, and after it its manifest: the part is then unfinished, and extraction makes again just what is
missing. Where the manifest itself is damaged nothing vouches for the shards, and the whole part goes.
Manifests are taken away last, so that a part that was not taken away wholly is damaged, never unfinished.
"""

from collections.abc import Iterator
from pathlib import Path

import torch

from featurelens import checks, storage
from featurelens.encoder import Encoder
from featurelens.imagesets import ImageSet
from featurelens.shards import DTYPES, Part, slug

FORMAT = "1"
SHARD_ROWS = 4096


def identity(encoder: Encoder, images: ImageSet, point: str, precision: str = "float32") -> dict[str, str]:
    """All that the features of this encoder on these images at this point depend on, as they are stored.

    Raises:
        UnknownNameError: the encoder has no such point.
    """
    checks.known(f"feature point of {encoder.name}", point, encoder.dims)
    fixed = {"point": point, "precision": precision, "format": FORMAT}
    return {**encoder.identity, **images.identity, **fixed}


class FeatureStore:
    """Features by encoder, image set and point; see the module's docstring for the files."""

    def __init__(self, path: str | Path, shard_rows: int = SHARD_ROWS, precision: str = "float32") -> None:
        """Open or create the store in the folder, or at the address, ``path``.

        Args:
            path: a folder, or an address that fsspec knows.
            shard_rows: rows of each shard of new features.
            precision: of storage: float32, float16 (half the space, 11 significant bits, up to 65504) or
                bfloat16 (half the space, 8 bits). Features are always given as float32.

        Raises:
            UnknownNameError: another precision.
            ModuleNotFoundError, ValueError: as :func:`featurelens.storage.at`.
        """
        self.path, self.shard_rows = storage.at(path), shard_rows
        self.precision = checks.known("storage precision", precision, DTYPES)
        self._verified: set[str] = set()

    def part(self, encoder: Encoder, images: ImageSet, point: str = "pre") -> Part:
        """The folder of these features, there or not."""
        parent = self.path / slug(encoder.name) / slug(images.name)
        return Part(parent, identity(encoder, images, point, self.precision), len(images), self.shard_rows)

    def has(self, encoder: Encoder, images: ImageSet, point: str = "pre") -> bool:
        """Whether all of these features are there."""
        return self.part(encoder, images, point).complete()

    def missing(self, encoder: Encoder, images: ImageSet) -> list[int]:
        """Shards that are not there yet at every point of the encoder.

        Raises:
            ValueError: a shard of other features, or of another size, lies in their place.
        """
        return sorted(set().union(*(part.missing() for part in self._parts(encoder, images).values())))

    def write(
        self,
        encoder: Encoder,
        images: ImageSet,
        shard: int,
        h: dict[str, torch.Tensor],
        row_N: torch.Tensor,
        failures: list[dict],
    ) -> None:
        """Publish one shard at each point of the encoder; one that is there already is left as it is.

        Raises:
            ValueError: rows and failures are not exactly the shard's pictures, features are of another shape,
                or not finite numbers within the range of the store's precision; then nothing is written.
        """
        for point, dim in encoder.dims.items():
            if h[point].shape != (len(row_N), dim):
                expected, found = f"{len(row_N)} x {dim}", tuple(h[point].shape)
                raise ValueError(f"{encoder.name}, {point}: expected features {expected}, found {found}")
            self._fits(f"{encoder.name}, {point}", h[point], [images.keys[i] for i in row_N.tolist()])
        for point, part in self._parts(encoder, images).items():
            part.write(shard, h[point], row_N, failures)

    def finish(self, encoder: Encoder, images: ImageSet) -> None:
        """Publish the manifests.

        Raises:
            MissingFeatures: a shard is not there yet.
        """
        for part in self._parts(encoder, images).values():
            part.finish()

    def read(self, encoder: Encoder, images: ImageSet, point: str = "pre") -> torch.Tensor:
        """Features (``h_ND``, float32) of the pictures that decoded, in memory as a whole.

        Memory-mapped where there is one shard, stored as float32 in a folder.

        Raises:
            MissingFeatures: there are none of this identity.
            ValueError: a file was altered.
        """
        return _whole([h_ND for _, h_ND in self.stream(encoder, images, point)])

    def stream(
        self, encoder: Encoder, images: ImageSet, point: str = "pre"
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield ``row_N`` and ``h_ND`` (float32) shard by shard: features of any size in little memory.

        Each shard is compared with the manifest before it is given, once for each opened store. In a folder
        float32 features are memory-mapped. Raises as ``read`` does.
        """
        for shard in self._shards(self.part(encoder, images, point)):
            yield shard["row_N"], shard["h_ND"].float()

    def rows(self, encoder: Encoder, images: ImageSet, point: str = "pre") -> torch.Tensor:
        """Position in the image set of each row that ``read`` gives (``row_N``); raises as ``read`` does."""
        return _whole([shard["row_N"] for shard in self._shards(self.part(encoder, images, point))])

    def failures(self, encoder: Encoder, images: ImageSet, point: str = "pre") -> list[dict]:
        """Pictures left out: row, key and reason of each; raises as ``read`` does."""
        part = self.part(encoder, images, point)
        if str(part.folder) not in self._verified:
            list(self._shards(part))
        return part.manifest()["failures"]

    def _parts(self, encoder: Encoder, images: ImageSet) -> dict[str, Part]:
        return {point: self.part(encoder, images, point) for point in encoder.dims}

    def _shards(self, part: Part) -> Iterator[dict[str, torch.Tensor]]:
        """Tensors of each shard, compared with the manifest until all have been once."""
        yield from part.tensors(check=str(part.folder) not in self._verified)
        self._verified.add(str(part.folder))

    def _fits(self, what: str, h_ND: torch.Tensor, keys: list[str]) -> None:
        """Refuse numbers that would not be finite in the store's precision."""
        dtype = DTYPES[self.precision]
        if not (fits_ND := h_ND.to(dtype).isfinite()).all():
            i, j = (~fits_ND).nonzero()[0].tolist()
            expected = f"numbers within ±{torch.finfo(dtype).max:g}, the range of {self.precision}"
            raise ValueError(f"{what}: expected {expected}, found {h_ND[i, j].item():g} for {keys[i]}")


def _whole(parts: list[torch.Tensor]) -> torch.Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)
