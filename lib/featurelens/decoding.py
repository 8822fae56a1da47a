"""Pictures -> pixels: each picture is decoded once for all encoders, in threads, one batch ahead of them."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from featurelens import atomic
from featurelens.encoder import versions
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

    ImageNet's validation set is 7.5 GB at 224 x 224, for each kind of resize and crop: encoders that do not
    fit into memory together share them. A run that is killed meanwhile decodes the set again.

    Raises:
        ValueError: a preprocessing that could not be taken apart, pictures of several sizes, or none at all.
    """
    if opaque := [steps.shared_as for steps in geometries.values() if steps.mean is None]:
        raise ValueError(f"{images.name}: expected a resize and a crop to hold, found {opaque[0]}")
    stems = {name: folder / _stem(images, name) for name in geometries}
    missing = {name: stem for name, stem in stems.items() if not Path(f"{stem}.json").is_file()}
    if missing:
        _write(images, {name: geometries[name] for name in missing}, missing)
    arrays = {name: np.load(f"{stem}.npy", mmap_mode="c") for name, stem in stems.items()}
    reasons = json.loads(Path(f"{next(iter(stems.values()))}.json").read_text())
    own = {each.name: getattr(images, each.name) for each in fields(ImageSet)}
    return Held(**own, arrays=arrays, reasons={int(row): why for row, why in reasons.items()})


def _stem(images: ImageSet, geometry: str) -> str:
    """Name of the files: what the pixels depend on."""
    parts = [images.identity, geometry, versions(("pillow", "torchvision"))]
    digest = sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{images.name.replace('/', '_')}-{digest[:12]}"


def _write(images: ImageSet, geometries: dict[str, Preprocess], stems: dict[str, Path]) -> None:
    """Write the pixels in every geometry, then the list of failures, which says that they are whole."""
    out, reasons = {}, {}
    with ExitStack() as stack, threads() as pool:
        parts = {
            name: stack.enter_context(atomic.replacing(Path(f"{stem}.npy"))) for name, stem in stems.items()
        }
        for batch in batches(images, range(len(images)), geometries, BLOCK, pool):
            reasons |= {each["row"]: each["reason"] for each in batch.failures}
            for name, x_NCHW in batch.pixels.items():
                if name not in out:
                    shape = (len(images), *x_NCHW.shape[1:])
                    out[name] = np.lib.format.open_memmap(parts[name], "w+", np.uint8, shape)
                out[name][batch.rows] = x_NCHW.numpy()
        if not out:
            raise ValueError(f"{images.name}: expected pictures that decode, found none")
        for array in out.values():
            array.flush()
    for stem in stems.values():
        atomic.write_text(Path(f"{stem}.json"), json.dumps(reasons))
