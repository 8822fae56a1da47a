"""ImageNet's validation set and its shifts in miniature: drawn JPEGs in shards as the hub has them."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import open_clip
import webdataset
from PIL import Image

from featurelens import hub_imagesets, subsets
from featurelens.imagesets import ImageSet

SHARDS = 2


def class_names(name: str) -> list[str]:
    """Names of a set's classes, as the hub's lists have them."""
    part = subsets.of(name)
    if name == "objectnet":
        return part.classes
    return [open_clip.IMAGENET_CLASSNAMES[row] for row in part.rows_R]


def jpeg(rng: np.random.Generator) -> bytes:
    """A picture of a few coloured rectangles, of some size."""
    x_HWC = np.full(
        (int(rng.integers(40, 72)), int(rng.integers(40, 72)), 3), rng.integers(0, 256, 3), np.uint8
    )
    for _ in range(4):
        top, left = rng.integers(0, 40, 2)
        x_HWC[top : top + 20, left : left + 20] = rng.integers(0, 256, 3)
    file = io.BytesIO()
    Image.fromarray(x_HWC).save(file, "JPEG")
    return file.getvalue()


def write(root: Path, name: str, count: int, seed: int = 0) -> None:
    """Write one set of ``count`` pictures to ``root``; its last picture does not decode."""
    rng = np.random.default_rng([seed, subsets.NAMES.index(name)])
    labels = rng.integers(len(class_names(name)), size=count)
    _shards(root, name, [*(jpeg(rng) for _ in range(count - 1)), b"torn"], labels)


def pack(root: Path, name: str, images: ImageSet) -> None:
    """Write the files of an image set, byte for byte, as the set ``name``."""
    listed = images.decode.__self__
    _shards(root, name, [listed.read(i) for i in range(len(images))], images.y_N.tolist())


def _shards(root: Path, name: str, pictures: Sequence[bytes], labels: Sequence[int]) -> None:
    folder = root / hub_imagesets.table()[name]["hub"].rpartition("/")[2]
    (folder / "test").mkdir(parents=True)
    (folder / "classnames.txt").write_text("\n".join(class_names(name)))
    (folder / "test" / "nshards.txt").write_text(f"{SHARDS}\n")
    for shard in range(SHARDS):
        with webdataset.TarWriter(str(folder / "test" / f"{shard}.tar")) as tar:
            for i in range(shard, len(pictures), SHARDS):
                tar.write({"__key__": f"s{i:07d}", "jpg": pictures[i], "cls": str(int(labels[i]))})


def write_all(root: Path, count: int = 40) -> None:
    """Write all six sets."""
    for name in subsets.NAMES:
        write(root, name, count)
