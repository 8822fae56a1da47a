"""Picture files side by side in a folder, or inside one uncompressed tar: listed once, read at any time.

Nothing stays open, so that threads and worker processes may read at once.
"""

import hashlib
import io
import re
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"}


class ImageError(ValueError):
    """A file that does not decode; the message names it and says why."""


@dataclass(frozen=True)
class Files:
    """Files side by side in one folder, or at their offsets in one tar; opened anew for each read."""

    path: Path
    keys: list[str]
    sizes: list[int]
    offsets: list[int] | None = None

    def picture(self, i: int) -> Image.Image:
        """Decode file i as RGB; not rotated as EXIF says, since open_clip and timm do not either."""
        return self._open(i, lambda image: image.convert("RGB"))

    def mask(self, i: int) -> torch.Tensor:
        """Decode file i as it is: 8-bit values, H x W."""
        return self._open(i, lambda image: torch.from_numpy(np.array(image)))

    def subset(self, keep: list[int]) -> "Files":
        """Only some of the files."""
        keys, sizes, offsets = (
            [v[i] for i in keep] if v else v for v in (self.keys, self.sizes, self.offsets)
        )
        return Files(self.path, keys, sizes, offsets)

    def sha256(self) -> str:
        """Hash of the keys and sizes: the content without reading it."""
        lines = (f"{key} {size}\n" for key, size in zip(self.keys, self.sizes, strict=True))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def _open(self, i: int, use: Callable) -> object:
        with (self.path / self.keys[i] if self.offsets is None else self.path).open("rb") as file:
            file.seek(self.offsets[i] if self.offsets else 0)
            data = io.BytesIO(file.read(self.sizes[i]))
        try:
            with Image.open(data) as image:
                return use(image)
        except Exception as error:  # Pillow's decoders raise whatever they like on broken files
            reason = re.sub(r" <.*>", "", str(error)) or type(error).__name__
            raise ImageError(f"{self.keys[i]} ({self.sizes[i]} bytes) does not decode: {reason}") from error


def listed(path: Path) -> Files:
    """List the pictures of a folder or tar, by suffix, in order of their names.

    Hidden files are left out, and so is a first folder of a tar that has the name of the tar.

    Raises:
        ValueError: no folder and no tar, or no pictures in it.
    """
    if path.is_dir():
        found = [
            (p.relative_to(path).as_posix(), p.stat().st_size, 0) for p in path.rglob("*") if p.is_file()
        ]
    elif tarfile.is_tarfile(path):
        with tarfile.open(path, "r:") as tar:
            members = [member for member in tar if member.isreg()]
        found = [
            (m.name.removeprefix("./").removeprefix(f"{path.stem}/"), m.size, m.offset_data) for m in members
        ]
    else:
        raise ValueError(f"expected a folder or an uncompressed .tar of pictures, found the file {path.name}")
    rows = sorted(
        row for row in found if Path(row[0]).suffix.lower() in SUFFIXES and "/." not in f"/{row[0]}"
    )
    if not rows:
        raise ValueError(f"expected pictures in {path}, found {len(found)} other files")
    keys, sizes, offsets = (list(column) for column in zip(*rows, strict=True))
    return Files(path, keys, sizes, None if path.is_dir() else offsets)
