"""The miniature's image sets: `base`, its shifts, and the captioned `web`.

Rendered once into a memory-mapped file under the cache folder; the file's name carries a hash of sample
pictures, so a changed world is never read from a stale file.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.progress import track

from featurelens import atomic, checks, paths, stamps
from featurelens.miniature import captions, render, world

SHIFTS = ("v2", "rendition", "sketch", "objectnet", "adversarial")
_BLOCK = 4096


def names() -> list[str]:
    """Names of the image sets: the rows of `image_sets.csv`, and ``adversarial``, picked from one of them."""
    return [*world.table("image_sets").name, "adversarial"]


@dataclass(frozen=True)
class MiniSet:
    """An image set of the miniature world: pixels, labels and the attributes behind them."""

    name: str
    x_NHWC: np.ndarray  # uint8, memory-mapped
    pictures: world.Pictures

    @property
    def y_N(self) -> torch.Tensor:
        """Class of each picture."""
        return self.pictures.object

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in label order."""
        return world.names("object")

    def __len__(self) -> int:
        return len(self.x_NHWC)

    def captions(self) -> list[str]:
        """One caption per picture."""
        return captions.captions(self.pictures)

    def pixels(self, rows: torch.Tensor | slice = slice(None)) -> torch.Tensor:
        """Pictures as network input: float32 (N, 3, H, W) in [-1, 1]."""
        x = torch.from_numpy(np.array(self.x_NHWC[rows]))
        return x.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


@cache
def fingerprint(name: str) -> str:
    """Hash of what a set looks like: of its first pictures, so that a changed pixel changes it."""
    return hashlib.sha256(render.render(name, torch.arange(96)).numpy()).hexdigest()[:12]


def adversarial_path() -> Path:
    """Table of the pictures of ``candidates`` that make up ``adversarial``."""
    return paths.data() / "miniature" / "adversarial.csv"


def _adversarial_index() -> torch.Tensor:
    return torch.tensor(pd.read_csv(stamps.read(adversarial_path()))["index"].to_numpy())


def _rendered(name: str, index_N: torch.Tensor, height: int, width: int) -> np.ndarray:
    key = hashlib.sha256(index_N.numpy().tobytes()).hexdigest()[:8]
    path = paths.cache() / "miniature" / f"{name}-{height}x{width}-{fingerprint(name)}-{key}.npy"
    if not path.exists():
        shape, starts = (len(index_N), height, width, 3), range(0, len(index_N), _BLOCK)
        with atomic.replacing(path) as part:
            out = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
            for start in track(starts, f"rendering {name}", transient=True, disable=len(starts) < 4):
                block = slice(start, start + _BLOCK)
                out[block] = render.render(name, index_N[block], height, width).numpy()
            out.flush()
    return np.load(path, mmap_mode="r")


def load(name: str, *, limit: int | None = None, height: int = 32, width: int = 32) -> MiniSet:
    """Load an image set, rendering it at first use; ``limit`` keeps the first pictures only.

    Raises:
        UnknownNameError: no such set; the message names the nearest.
    """
    checks.known("miniature image set", name, names())
    source = "candidates" if name == "adversarial" else name
    index_N = (
        _adversarial_index() if name == "adversarial" else torch.arange(int(world.set_row(name)["size"]))
    )
    index_N = index_N[:limit]
    return MiniSet(name, _rendered(source, index_N, height, width), world.sample(source, index_N))
