"""Which concepts are in which picture: the one type that every source of labels gives, and what all share."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from PIL import Image
from rich.console import Console
from rich.progress import track

from featurelens.files import Files
from featurelens.imagesets import ImageSet

# Most of the time goes to Pillow's decoders, which let go of the interpreter lock.
THREADS = min(8, os.cpu_count() or 1)

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class ConceptSet:
    """Pictures and the concepts in them.

    A picture is in the set only if all its labels could be read. A concept may have no positive, or no
    negative: whoever measures it asks for a minimum of both.

    Attributes:
        images: the pictures, N of them.
        names: name of each concept, unique; T of them.
        categories: category of each concept (color, object, part, material, scene, texture, …).
        present_NT: bool; true where any pixel shows the concept, or the picture as a whole has its label.
        known_NT: bool; true where somebody looked for the concept: its absence is a finding there and an
            assumption elsewhere. None where every picture was looked at for every concept.
        failures: ``key`` and ``reason`` of each picture that was left out.
    """

    images: ImageSet
    names: list[str]
    categories: list[str]
    present_NT: torch.Tensor
    known_NT: torch.Tensor | None = None
    failures: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuse labels that do not fit together.

        Raises:
            ValueError: no concepts, a name twice, other lengths or shapes, present where unknown.
        """
        label = self.images.name
        if not self.names:
            raise ValueError(f"{label}: expected at least one concept, found none")
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise ValueError(f"{label}: expected unique concept names, found {twice[0]!r} more than once")
        if len(self.categories) != len(self.names):
            found = f"{len(self.categories)} for {len(self.names)}"
            raise ValueError(f"{label}: expected one category a concept, found {found}")
        for what, x_NT in (("present", self.present_NT), ("known", self.known_NT)):
            shape = (len(self.images), len(self.names))
            if x_NT is not None and (x_NT.dtype != torch.bool or tuple(x_NT.shape) != shape):
                found = f"{x_NT.dtype} {tuple(x_NT.shape)}"
                raise ValueError(f"{label}: expected {what} as torch.bool {shape}, found {found}")
        if self.known_NT is not None and (self.present_NT & ~self.known_NT).any():
            raise ValueError(f"{label}: expected every concept that is present to be known, found others")


def distinct(names: Sequence[str], categories: Sequence[str]) -> list[str]:
    """Add the category to each name that several concepts share: ``door (part)``, ``door (object)``.

    Two concepts with both the same stay the same; ``ConceptSet`` refuses them.
    """
    count = Counter(names)
    pairs = zip(names, categories, strict=True)
    return [f"{name} ({category})" if count[name] > 1 else name for name, category in pairs]


def of_rows(rows: Iterable[Iterable[int]], n_concepts: int) -> torch.Tensor:
    """Presence from the positions of the concepts in each picture: bool, images x concepts."""
    rows = [list(row) for row in rows]
    present_NT = torch.zeros(len(rows), n_concepts, dtype=torch.bool)
    for present_T, row in zip(present_NT, rows, strict=True):
        present_T[row] = True
    return present_NT


def read_each(
    read: Callable[[int], T], rows: Sequence[int], what: str
) -> tuple[dict[int, T], dict[int, str]]:
    """Call ``read`` for each row, in threads; what cannot be read costs nothing else.

    Returns:
        What was read, by row in the given order, and why the other rows could not be read.
    """

    def attempt(i: int) -> tuple[T | None, str | None]:
        try:
            return read(i), None
        except (ValueError, OSError) as error:  # files.ImageError is a ValueError
            return None, _reason(error)

    found, unread = {}, {}
    console = Console(stderr=True)
    with ThreadPoolExecutor(THREADS) as pool:
        results = pool.map(attempt, rows)
        shown = track(
            results, what, len(rows), console=console, transient=True, disable=not console.is_terminal
        )
        for i, (value, reason) in zip(rows, shown, strict=True):
            if reason is None:
                found[i] = value
            else:
                unread[i] = reason
    return found, unread


def readable(
    folder: Path, keys: list[str], unread: dict[int, str]
) -> tuple[list[int], Files, list[dict[str, str]]]:
    """Keep the rows whose labels could be read, whose picture is there, and whose key is new.

    Returns:
        Rows that are kept, their files, and ``ConceptSet.failures`` for the others.

    Raises:
        ValueError: no row is kept.
    """
    sizes, failures, seen = {}, [], set()
    for i, key in enumerate(keys):
        reason = unread.get(i) or ("listed again" if key in seen else None)
        seen.add(key)
        if reason is None and (folder / key).is_file():
            sizes[i] = (folder / key).stat().st_size
        else:
            failures.append({"key": key, "reason": reason or "the picture is missing"})
    if not sizes:
        why = f"{failures[0]['key']}: {failures[0]['reason']}" if failures else "the list is empty"
        raise ValueError(f"{folder.name}: expected pictures with labels that can be read, found none; {why}")
    return list(sizes), Files(folder, [keys[i] for i in sizes], list(sizes.values())), failures


def image_set(name: str, files: Files, attributes: dict[str, list[str]] | None = None) -> ImageSet:
    """Make a set of picture files; what is in them is for the ``ConceptSet`` to say."""
    identity = {"images": name, "count": str(len(files.keys)), "sha256": files.sha256()}
    return ImageSet(name, files.keys, [], None, identity, files.picture, attributes or {})


def _reason(error: Exception) -> str:
    """One line, with no folder of this machine in it."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def without(images: ImageSet, unread: dict[int, str]) -> tuple[ImageSet, list[int], list[dict[str, str]]]:
    """Leave out the pictures that could not be read.

    Returns:
        The others, under an identity of their own; their rows; ``ConceptSet.failures`` for those left out.

    Raises:
        ValueError: none could be read.
    """
    failures = [{"key": images.keys[i], "reason": reason} for i, reason in unread.items()]
    rows = [i for i in range(len(images)) if i not in unread]
    if not rows:
        why = failures[0]["reason"] if failures else "it is empty"
        raise ValueError(f"{images.name}: expected pictures that can be read, found none; {why}")
    return (_some(images, rows) if unread else images), rows, failures


def _some(images: ImageSet, rows: list[int]) -> ImageSet:
    keys = [images.keys[i] for i in rows]
    lines = "\n".join([images.identity["sha256"], *keys])
    identity = {"count": str(len(rows)), "sha256": hashlib.sha256(lines.encode()).hexdigest()}
    return replace(
        images,
        keys=keys,
        y_N=None if images.y_N is None else images.y_N[rows],
        identity={**images.identity, **identity},
        decode=partial(_picture, images, rows),
        attributes={name: [values[i] for i in rows] for name, values in images.attributes.items()},
        mask=images.mask and partial(_mask, images, rows),
    )


def _picture(images: ImageSet, rows: list[int], i: int) -> Image.Image:
    return images.decode(rows[i])


def _mask(images: ImageSet, rows: list[int], i: int) -> torch.Tensor:
    return images.mask(rows[i])
