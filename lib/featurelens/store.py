"""The feature store: features on disk, each under the identity of all that they depend on.

On-disk layout (normative: code that differs from it is wrong)

    <root>/<encoder>/<images>/<point>-<id>/shard-00000.safetensors, shard-00001.safetensors, …, manifest.json

* *Identity*: a flat dict of strings: the encoder's (name, weights sha256, architecture, preprocessing,
  points, versions), the image set's (name, count, sha256), ``point``, ``precision`` and ``format``. ``<id>``
  is the first 12 digits of the sha256 of its JSON (keys sorted). No path and no date is part of it.
* *Shard* k covers the pictures k·R … (k+1)·R - 1 of the set, R = ``shard_rows``. Tensors: ``h_ND`` (float32,
  one row for each picture kept) and ``row_N`` (int64, its position in the set, increasing). The header's one
  metadata entry, ``featurelens``, is JSON: ``identity``, ``shard``, ``shard_rows`` and ``failures``, a list
  of ``{row, key, reason}`` for the pictures left out. Kept and failed rows together are all the shard's.
* *Manifest*, published last: ``identity``, ``images`` (pictures in the set), ``shard_rows``, ``shards``
  (``{file, sha256, rows}``) and all ``failures``. A folder without a manifest is unfinished.

Every file appears by an atomic rename and is never changed afterwards; the same work gives the same bytes,
so two writers of one shard do no harm. Other names in a folder are left-overs of killed runs: ignored.
"""

import re
from pathlib import Path

import torch

from featurelens import checks
from featurelens.encoder import Encoder
from featurelens.imagesets import ImageSet
from featurelens.shards import Part

FORMAT = "1"
SHARD_ROWS = 4096


def identity(encoder: Encoder, images: ImageSet, point: str) -> dict[str, str]:
    """All that the features of this encoder on these images at this point depend on.

    Raises:
        UnknownNameError: the encoder has no such point.
    """
    checks.known(f"feature point of {encoder.name}", point, encoder.dims)
    fixed = {"point": point, "precision": "float32", "format": FORMAT}
    return {**encoder.identity, **images.identity, **fixed}


class FeatureStore:
    """Features by encoder, image set and point; see the module's docstring for the files."""

    def __init__(self, path: str | Path, shard_rows: int = SHARD_ROWS) -> None:
        """Open or create the store in the folder ``path``; new features get ``shard_rows`` rows a shard."""
        self.path, self.shard_rows = Path(path), shard_rows
        self._verified: set[Path] = set()

    def part(self, encoder: Encoder, images: ImageSet, point: str = "pre") -> Part:
        """The folder of these features, there or not."""
        slugs = [re.sub(r"[^\w.-]+", "_", name) for name in (encoder.name, images.name)]
        return Part(
            self.path.joinpath(*slugs), identity(encoder, images, point), len(images), self.shard_rows
        )

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
            ValueError: rows and failures are not exactly the shard's pictures, or features do not fit.
        """
        for point, part in self._parts(encoder, images).items():
            if h[point].shape != (len(row_N), encoder.dims[point]):
                expected, found = f"{len(row_N)} x {encoder.dims[point]}", tuple(h[point].shape)
                raise ValueError(f"{encoder.name}, {point}: expected features {expected}, found {found}")
            part.write(shard, h[point], row_N, failures)

    def finish(self, encoder: Encoder, images: ImageSet) -> None:
        """Publish the manifests.

        Raises:
            MissingFeatures: a shard is not there yet.
        """
        for part in self._parts(encoder, images).values():
            part.finish()

    def read(self, encoder: Encoder, images: ImageSet, point: str = "pre") -> torch.Tensor:
        """Features (``h_ND``) of the pictures that decoded; memory-mapped where there is one shard.

        Raises:
            MissingFeatures: there are none of this identity.
            ValueError: a file was altered.
        """
        return self._verify(self.part(encoder, images, point)).tensor("h_ND")

    def rows(self, encoder: Encoder, images: ImageSet, point: str = "pre") -> torch.Tensor:
        """Position in the image set of each row that ``read`` gives (``row_N``); raises as ``read`` does."""
        return self._verify(self.part(encoder, images, point)).tensor("row_N")

    def failures(self, encoder: Encoder, images: ImageSet, point: str = "pre") -> list[dict]:
        """Pictures left out: row, key and reason of each; raises as ``read`` does."""
        return self._verify(self.part(encoder, images, point)).manifest()["failures"]

    def _parts(self, encoder: Encoder, images: ImageSet) -> dict[str, Part]:
        return {point: self.part(encoder, images, point) for point in encoder.dims}

    def _verify(self, part: Part) -> Part:
        """Check a part's files against its manifest, once for each opened store."""
        if part.folder not in self._verified:
            part.verify()
            self._verified.add(part.folder)
        return part
