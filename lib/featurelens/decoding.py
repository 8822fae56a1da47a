"""Pictures -> pixels: each picture is decoded once for all encoders, in threads, one batch ahead of them."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from featurelens import atomic
from featurelens.files import ImageError
from featurelens.imagesets import ImageSet
from featurelens.pixels import Held
from featurelens.preprocess import Preprocess

BLOCK = 512  # pictures held at a time
THREADS = min(32, os.cpu_count() or 1)  # Pillow lets go of the interpreter lock while it decodes


class Batch(NamedTuple):
    """Pictures that decoded, by row, their pixels by geometry (N x 3 x H x W), and what did not decode."""

    rows: list[int]
    pixels: dict[str, torch.Tensor]
    failures: list[dict]

    def __len__(self) -> int:
        """Pictures that were tried."""
        return len(self.rows) + len(self.failures)


def threads() -> ThreadPoolExecutor:
    """Pool for :func:`batches`."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="decode")


def failure(images: ImageSet, row: int, reason: str) -> dict:
    """What the store keeps of a picture that is left out."""
    return {"row": row, "key": images.keys[row], "reason": reason}


def batches(
    images: ImageSet, rows: range, geometries: dict[str, Preprocess], size: int, pool: ThreadPoolExecutor
) -> Iterator[Batch]:
    """Yield the pictures of ``rows``, ``size`` at a time, as pixels in every geometry.

    Raises:
        ValueError: pictures of several sizes after preprocessing.
    """
    parts = [rows[i : i + size] for i in range(0, len(rows), size)]
    if isinstance(images, Held):
        yield from (_held(images, part, geometries) for part in parts)
        return

    def submit(part: range) -> list[Future]:
        return [pool.submit(_pixels, images, i, geometries) for i in part]

    ahead = submit(parts[0]) if parts else []
    for part, following in zip(parts, [*parts[1:], range(0)], strict=True):
        now, ahead = ahead, submit(following)
        yield _collated(images, part, [future.result() for future in now], geometries)


def _pixels(images: ImageSet, i: int, geometries: dict[str, Preprocess]) -> dict[str, torch.Tensor] | str:
    """Pixels of one picture by geometry, or why there are none."""
    try:
        picture = images[i]
    except ImageError as error:
        return str(error)
    try:
        return {name: steps.pixels(picture) for name, steps in geometries.items()}
    except Exception as error:
        error.add_note(f"while preprocessing {images.keys[i]} of {images.name}")
        raise


def _collated(images: ImageSet, part: range, decoded: list, geometries: dict[str, Preprocess]) -> Batch:
    good = [i for i, result in enumerate(decoded) if not isinstance(result, str)]
    bad = [(i, result) for i, result in enumerate(decoded) if isinstance(result, str)]
    pixels = {name: _stacked(images, [decoded[i][name] for i in good]) for name in geometries} if good else {}
    return Batch([part[i] for i in good], pixels, [failure(images, part[i], why) for i, why in bad])


def _stacked(images: ImageSet, pixels: list[torch.Tensor]) -> torch.Tensor:
    if len(sizes := {tuple(x.shape) for x in pixels}) > 1:
        found = " and ".join(map(str, sorted(sizes)[:2]))
        raise ValueError(f"{images.name}: expected one size after preprocessing, found {found}")
    return torch.stack(pixels)


def _held(images: Held, part: range, geometries: dict[str, Preprocess]) -> Batch:
    """A batch of pictures that are decoded already."""
    rows = [i for i in part if i not in images.reasons]
    pixels = {name: images.pixels(name, rows) for name in geometries}
    return Batch(rows, pixels, [failure(images, i, images.reasons[i]) for i in part if i in images.reasons])


def hold(images: ImageSet, geometries: dict[str, Preprocess], folder: Path) -> Held:
    """Decode a set once into files in ``folder``, memory-mapped; files that are there are used as they are.

    ImageNet's validation set is 7.5 GB at 224 x 224: encoders that do not fit into memory together share it.

    Raises:
        ValueError: a preprocessing that could not be taken apart, pictures of several sizes, or none at all.
    """
    if opaque := [steps.shared_as for steps in geometries.values() if steps.mean is None]:
        raise ValueError(f"{images.name}: expected a resize and a crop to hold, found {opaque[0]}")
    arrays, reasons = {}, {}
    for name, steps in geometries.items():
        digest = sha256(json.dumps([images.identity, name], sort_keys=True).encode()).hexdigest()
        stem = folder / f"{images.name.replace('/', '_')}-{digest[:12]}"
        if not stem.with_suffix(".json").is_file():
            _write(images, steps, stem)
        arrays[name] = np.load(stem.with_suffix(".npy"), mmap_mode="c")
        reasons = {int(i): why for i, why in json.loads(stem.with_suffix(".json").read_text()).items()}
    own = {each.name: getattr(images, each.name) for each in fields(ImageSet)}
    return Held(**own, arrays=arrays, reasons=reasons)


def _write(images: ImageSet, steps: Preprocess, stem: Path) -> None:
    """Write the pixels, then the list of failures, which says that the pixels are whole."""
    out, reasons = None, {}
    with atomic.replacing(stem.with_suffix(".npy")) as part, threads() as pool:
        for batch in batches(images, range(len(images)), {"": steps}, BLOCK, pool):
            reasons |= {each["row"]: each["reason"] for each in batch.failures}
            if batch.rows:
                x_NCHW = batch.pixels[""].numpy()
                if out is None:
                    out = np.lib.format.open_memmap(part, "w+", np.uint8, (len(images), *x_NCHW.shape[1:]))
                out[batch.rows] = x_NCHW
        if out is None:
            raise ValueError(f"{images.name}: expected pictures that decode, found none")
        out.flush()
    atomic.write_text(stem.with_suffix(".json"), json.dumps(reasons))
