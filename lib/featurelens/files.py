"""Picture files side by side in a folder, or inside uncompressed tars: listed once, read at any time.

Nothing stays open, so that threads and worker processes may read at once. A picture comes back as RGB with
8 bits a channel, exactly as ``convert("RGB")`` of Pillow gives it to open_clip and timm: alpha is dropped,
an animation is its first frame, and EXIF turns nothing. What that conversion would get wrong is refused.
"""

import hashlib
import io
import re
import tarfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFile

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"}

# Whatever Pillow warns of here is refused below. A filter set anew around each picture would not be safe in
# threads: the list of filters is one for the whole process.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class ImageError(ValueError):
    """A file that does not decode; the message names it and says why."""


@dataclass(frozen=True)
class Files:
    """Files side by side in one folder, or at their offsets in one tar or several; opened anew for each read.

    Attributes:
        path: the folder, the tar, or the folder of the tars.
        keys: name of each file.
        sizes: bytes of each.
        offsets: where each begins in its tar; None where the files are in a folder.
        tars: the tar of each, where there are several.
    """

    path: Path
    keys: list[str]
    sizes: list[int]
    offsets: list[int] | None = None
    tars: list[Path] | None = None

    def picture(self, i: int) -> Image.Image:
        """Decode file i as RGB.

        Raises:
            ImageError: it does not decode, or not to 8 bits a channel, or is larger than Pillow's limit.
            RuntimeError: Pillow was told to make up what is missing in truncated files.
        """
        return self._open(i, _rgb)

    def mask(self, i: int) -> torch.Tensor:
        """Decode file i as it is: 8-bit values, H x W. Raises as ``picture`` does."""
        return self._open(i, lambda image: torch.from_numpy(np.array(image)))

    def read(self, i: int) -> bytes:
        """Bytes of file i."""
        place = self.tars[i] if self.tars else self.path / self.keys[i] if self.offsets is None else self.path
        with place.open("rb") as file:
            file.seek(self.offsets[i] if self.offsets else 0)
            return file.read(self.sizes[i])

    def subset(self, keep: list[int]) -> "Files":
        """Only some of the files."""
        columns = (self.keys, self.sizes, self.offsets, self.tars)
        return Files(self.path, *([v[i] for i in keep] if v else v for v in columns))

    def sha256(self) -> str:
        """Hash of the keys and sizes, for sets that are known by them: nothing is read."""
        lines = (f"{key} {size}\n" for key, size in zip(self.keys, self.sizes, strict=True))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def content_sha256(self) -> str:
        """Hash of the keys and of every byte: other pictures may have the same names and sizes."""
        digest = hashlib.sha256(self.sha256().encode())
        for i in range(len(self.keys)):
            digest.update(self.read(i))
        return digest.hexdigest()

    def _open(self, i: int, use: Callable) -> object:
        if ImageFile.LOAD_TRUNCATED_IMAGES:  # then nothing tells a whole picture from half of one
            raise RuntimeError(
                "expected PIL.ImageFile.LOAD_TRUNCATED_IMAGES to be False, found True: "
                "truncated files would be read as half grey"
            )
        data = io.BytesIO(self.read(i))
        try:
            with Image.open(data) as image:
                _refuse_bomb(image)
                return use(image)
        except Exception as error:  # Pillow's decoders raise whatever they like on broken files
            reason = " ".join(re.sub(r" <.*>", "", str(error)).split()) or type(error).__name__
            raise ImageError(f"{self.keys[i]} ({self.sizes[i]} bytes) does not decode: {reason}") from error


def _rgb(image: Image.Image) -> Image.Image:
    """Convert to RGB, unless Pillow would cut values off at 255: one of 16 bits would come out white."""
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"expected 8 bits a channel, found mode {image.mode}")
    return image.convert("RGB")


def _refuse_bomb(image: Image.Image) -> None:
    """Refuse a picture of more pixels than Pillow's limit, before they are made."""
    pixels, most = image.width * image.height, Image.MAX_IMAGE_PIXELS
    if most is not None and pixels > most:
        raise ValueError(f"expected at most {most:,} pixels, found {image.width:,} x {image.height:,}")


def members(path: Path) -> list[tarfile.TarInfo]:
    """Regular files of an uncompressed tar, in its order.

    Raises:
        ValueError: no tar, a compressed one, or one that ends too early.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            return [member for member in tar if member.isreg()]
    except tarfile.TarError as error:
        raise ValueError(f"{path.name}: expected an uncompressed .tar, found: {error}") from None


def hidden(name: str) -> bool:
    """Whether a file or one of its folders has a name with a dot in front."""
    return "/." in f"/{name}"


def listed(path: Path) -> Files:
    """List the pictures of a folder or tar, by suffix, in order of their names.

    Hidden files are left out, and so is a first folder of a tar that has the name of the tar.

    Raises:
        ValueError: no folder and no uncompressed tar, or no pictures in it.
    """
    if path.is_dir():
        found = [
            (p.relative_to(path).as_posix(), p.stat().st_size, 0) for p in path.rglob("*") if p.is_file()
        ]
    elif tarfile.is_tarfile(path):
        found = [
            (m.name.removeprefix("./").removeprefix(f"{path.stem}/"), m.size, m.offset_data)
            for m in members(path)
        ]
    else:
        raise ValueError(f"expected a folder or an uncompressed .tar of pictures, found the file {path.name}")
    rows = sorted(row for row in found if Path(row[0]).suffix.lower() in SUFFIXES and not hidden(row[0]))
    if not rows:
        raise ValueError(f"expected pictures in {path}, found {len(found)} other files")
    keys, sizes, offsets = (list(column) for column in zip(*rows, strict=True))
    return Files(path, keys, sizes, None if path.is_dir() else offsets)
