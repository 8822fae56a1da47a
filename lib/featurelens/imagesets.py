"""Which image sets exist, and one way to load any of them.

``miniature/…`` are rendered; the rows of ``tables/imagesets.csv`` are read from ``<name>.tar`` in the
folder ``FEATURELENS_IMAGES``; ``val v2 r sketch a objectnet`` are tars in a folder there, or come from the
hub; any folder or ``.tar`` of pictures, or folder in CLIP-benchmark's layout, is loaded by its path. Pictures
are opened one by one, by several threads or worker processes if need be, and always given as RGB.
"""

import csv
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from featurelens import checks, files, hub_imagesets, labels, storage, subsets, tar_shards
from featurelens.scales import Unreachable

TABLE = Path(__file__).parent / "tables" / "imagesets.csv"


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A sequence of pictures: ``images[i]`` is the i-th, RGB.

    Attributes:
        name: name of the set.
        keys: name of each picture, unique, in order.
        classes: class names; empty where there are no labels.
        y_N: class of each picture, or None.
        identity: name, number of pictures and a hash of what they are.
        decode: i -> picture; raises files.ImageError.
        attributes: further labels by name, as text, one a picture (``texture``, ``domain``).
        mask: i -> class of each pixel (H x W, uint8), where there are masks.
    """

    name: str
    keys: list[str]
    classes: list[str]
    y_N: torch.Tensor | None
    identity: dict[str, str]
    decode: Callable[[int], Image.Image]
    attributes: dict[str, list[str]] = field(default_factory=dict)
    mask: Callable[[int], torch.Tensor] | None = None

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.keys)

    def __getitem__(self, i: int) -> Image.Image:
        """Decode the i-th picture.

        Raises:
            IndexError: there are not so many.
            ImageError: it does not decode.
        """
        if not 0 <= i < len(self):
            raise IndexError(f"{self.name}: expected an index from 0 to {len(self) - 1}, found {i}")
        return self.decode(i)


def names() -> list[str]:
    """Names of the miniature's image sets and of the tables'; folders and tars are loaded by path.

    Nothing is downloaded to list them.
    """
    return [*(f"miniature/{name}" for name in _miniature().names()), *_table(), *hub_imagesets.table()]


def expected(name: str) -> int:
    """How many pictures a set from the hub should have; ``len`` of what was loaded may differ.

    Raises:
        UnknownNameError: no set from the hub.
    """
    table = hub_imagesets.table()
    return int(table[checks.known("image set from the hub", name, table)]["images"])


def load(name: str | Path) -> ImageSet:
    """Load an image set by name, or the pictures of a folder or tar by path.

    A set of the hub is downloaded if it is not here. A name comes before a path: ``./val`` is the folder.

    A folder in CLIP-benchmark's layout (``test/nshards.txt``), or one of its splits, has the labels and
    classes that lie in it: :mod:`featurelens.tar_shards`. Another folder whose pictures all lie in
    sub-folders has these as its classes; sub-folders that are all integers are sorted as integers. Any other
    folder has no labels. A tar is read like a folder.

    Raises:
        UnknownNameError: no such image set.
        Unreachable: a named set that is not on this machine and cannot be downloaded.
        FileNotFoundError, ValueError: no folder or tar there, no pictures in it, another tar than listed, or
            tars or class names that do not fit together.
    """
    name = str(name)
    if name in _table():
        return _packed(name, **_table()[name])
    if name in hub_imagesets.table():
        images = _in_tars(hub_imagesets.folder(name), name)
        subsets.fit(name, images.classes)
        return images
    if name.startswith("miniature/"):
        checks.known("image set", name, names())
        return _rendered(name)
    path = Path(name).expanduser()
    if path.is_dir() and (split := tar_shards.split_of(path)):
        return _in_tars(split)
    if path.exists():
        return _labelled(path.stem if path.is_file() else path.resolve().name, files.listed(path), "folder")
    if path.is_absolute() or name.startswith((".", "~")) or path.suffix == ".tar":
        raise FileNotFoundError(f"expected a folder or .tar of pictures, found nothing at {name}")
    return load(checks.known("image set", name, names()))


@cache
def _table() -> dict[str, dict[str, str]]:
    with TABLE.open(newline="") as file:
        return {row.pop("name"): row for row in csv.DictReader(file)}


def _miniature():
    return import_module("featurelens.miniature.sets")


def _rendered(name: str) -> ImageSet:
    """Adapt a set of the miniature, whose pixels are an array."""
    made = _miniature().load(name.removeprefix("miniature/"))
    identity = {"images": name, "count": str(len(made)), "sha256": hashlib.sha256(made.x_NHWC).hexdigest()}
    keys = [f"{i:06d}" for i in range(len(made))]
    y_N = made.y_N.long()
    return ImageSet(name, keys, list(made.classes), y_N, identity, partial(_pixels, made.x_NHWC))


def _pixels(x_NHWC: np.ndarray, i: int) -> Image.Image:
    return Image.fromarray(x_NHWC[i])


def _packed(name: str, labels: str, sha256: str, **_facts: str) -> ImageSet:
    """Open a named tar in FEATURELENS_IMAGES, after checking that it is the one listed."""
    folder = os.environ.get("FEATURELENS_IMAGES")
    path = Path(folder or ".") / f"{name}.tar"
    if not folder or not path.is_file():
        found = f"no such file in {folder}" if folder else "it is unset"
        raise Unreachable(f"image set {name!r}: set FEATURELENS_IMAGES to the folder of {name}.tar ({found})")
    storage.same(path.name, storage.sha256(path), sha256)
    return _labelled(name, files.listed(path), labels, sha256)


def _labelled(name: str, listed: files.Files, rule: str, sha256: str | None = None) -> ImageSet:
    """Make the image set, with labels read from the keys."""
    mask = None
    if rule == "masks":
        frames, masks = labels.frames_and_masks(listed.keys)
        listed, mask = listed.subset(frames), listed.subset(masks).mask
    classes, y, attributes = labels.RULES[rule](listed.keys)
    identity = {"images": name, "count": str(len(listed.keys)), "sha256": sha256 or listed.content_sha256()}
    y_N = None if y is None else torch.tensor(y)
    return ImageSet(name, listed.keys, classes, y_N, identity, listed.picture, attributes, mask)


def _in_tars(split: Path, name: str | None = None) -> ImageSet:
    """Open a split in CLIP-benchmark's layout."""
    samples = tar_shards.read(split)
    name, listed = name or samples.name, samples.files
    identity = {"images": name, "count": str(len(listed.keys)), "sha256": listed.sha256()}
    return ImageSet(name, listed.keys, samples.classes, torch.tensor(samples.y), identity, listed.picture)
