"""Small copies of images for the page of a dissection: only of those that may be copied, and not too many."""

import base64
import io
import os
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from featurelens import imagesets, tar_shards
from featurelens.files import ImageError
from featurelens.imagesets import ImageSet

SIDE = 96  # pixels of the longer side; smaller pictures stay as they are
MAX_BYTES = 10 * 2**20  # of all copies together, as text


class Copies(NamedTuple):
    """Pictures as ``data:`` addresses, each once, and the positions among them for each direction."""

    uris: list[str]
    of_direction: dict[int, list[int]]


def may_show(name: str | Path) -> bool:
    """Whether a page may show pictures of the concept set that was loaded by this name or path.

    The miniature's and those of one's own folder or tar, yes. Never those of named image sets, wherever
    their files are, nor of shards as the hub has them, Broden or annotations in COCO's format: others'
    pictures have others' terms.
    """
    if str(name) in imagesets.names():
        return str(name).startswith("miniature/")
    path, sets = Path(name).expanduser().resolve(), os.environ.get("FEATURELENS_IMAGES")
    among_sets = sets is not None and path.is_relative_to(Path(sets).expanduser().resolve())
    formats = path.suffix == ".json" or (path / "index.csv").is_file() or tar_shards.split_of(path)
    return path.exists() and not (among_sets or formats or path.stem in imagesets.names())


def copies(images: ImageSet, ends: dict[int, list[int]]) -> Copies:
    """Copy the images of each direction, in the given order of directions, until ``MAX_BYTES`` are used."""
    uris, place, of_direction, room = [], {}, {}, MAX_BYTES
    for direction, rows in ends.items():
        new = {row: uri for row in rows if row not in place and (uri := _copy(images, row))}
        room -= sum(map(len, new.values()))
        if room < 0:
            break
        for row, uri in new.items():
            place[row] = len(uris)
            uris.append(uri)
        of_direction[direction] = [place[row] for row in rows if row in place]
    return Copies(uris, of_direction)


def _copy(images: ImageSet, row: int) -> str | None:
    """One picture, small; None if it does not decode any more."""
    try:
        picture = images[row]
    except (ImageError, OSError):
        return None
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    picture.save(data, "WEBP", quality=85)
    return f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"
