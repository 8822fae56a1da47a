"""Image sets as numbered tars with labels inside: the webdataset layout of CLIP-benchmark.

::

    <set>/classnames.txt        one class a line; a label is the number of a line, from 0
    <set>/test/nshards.txt      how many tars there are
    <set>/test/0.tar, 1.tar …   for each sample a picture and a .cls file: s0000000.jpg, s0000000.cls

Other splits lie beside ``test``. As in webdataset, what is before the first dot of a file's name says which
sample it belongs to; files of other kinds are left alone. Each tar is listed once and every picture is then
read at its offset, so that samples can be had in any order. Measured for 50,000 samples on a local disk:
8 s, so nothing is remembered from one time to the next.
"""

import re
from pathlib import Path
from typing import NamedTuple

from featurelens import files
from featurelens.files import Files


class Samples(NamedTuple):
    """Pictures in the order of the tars and of the files in each, class names, and the class of each."""

    name: str
    files: Files
    classes: list[str]
    y: list[int]


def split_of(path: Path) -> Path | None:
    """Folder of the tars for a set's folder or a split's: ``test`` or the only split; None for other folders.

    Raises:
        ValueError: several splits, and none is called ``test``.
    """
    if (path / "nshards.txt").is_file():
        return path
    splits = sorted(file.parent for file in path.glob("*/nshards.txt"))
    if len(splits) > 1 and path / "test" not in splits:
        found = " and ".join(split.name for split in splits)
        raise ValueError(f"{path.name}: expected one split or one called test, found {found}: give its path")
    return path / "test" if path / "test" in splits else splits[0] if splits else None


def read(split: Path) -> Samples:
    """List the samples of a split.

    The set is named after the folder that holds the split; a split other than ``test`` is added to it.

    Raises:
        ValueError: no samples; a sample without a picture or without a label, or with two of them; a label
            that is no line of classnames.txt; a tar that is compressed or cut off; no sensible nshards.txt.
        FileNotFoundError: a tar or classnames.txt is missing.
    """
    split = split.resolve()
    name = split.parent.name + ("" if split.name == "test" else f"-{split.name}")
    classes, count = _classes(split.parent / "classnames.txt"), _count(split / "nshards.txt")
    rows = [row for i in range(count) for row in _rows(split / f"{i}.tar", count, len(classes))]
    if not rows:
        raise ValueError(f"{name}: expected samples, found none in {count} tars")
    keys, sizes, offsets, tars, y = (list(column) for column in zip(*rows, strict=True))
    return Samples(name, Files(split, keys, sizes, offsets, tars), classes, y)


def _count(file: Path) -> int:
    text = file.read_text().strip() if file.is_file() else "no such file"
    if not re.fullmatch(r"[1-9]\d*", text):
        raise ValueError(f"{file.name}: expected the number of tars, found {text[:40]!r}")
    return int(text)


def _classes(file: Path) -> list[str]:
    if not file.is_file():
        raise FileNotFoundError(f"{file.parent.name}: expected classnames.txt, one class a line, found none")
    return [line.strip() for line in file.read_text(encoding="utf-8").strip().splitlines()]


def _rows(path: Path, count: int, n_classes: int) -> list[tuple[str, int, int, Path, int]]:
    """Key, size, offset, tar and class of each sample of a tar."""
    if not path.is_file():
        raise FileNotFoundError(f"expected {count} tars, as nshards.txt says, found no {path.name}")
    found: dict[str, dict] = {}  # sample -> {"picture" or "label": its file}
    for member in files.members(path):
        folder, _, base = member.name.removeprefix("./").rpartition("/")
        sample, _, ending = base.partition(".")
        suffix = f".{ending.rpartition('.')[2].lower()}"
        kind = "label" if suffix == ".cls" else "picture" if suffix in files.SUFFIXES else None
        if kind and not files.hidden(member.name.removeprefix("./")):
            parts = found.setdefault(f"{folder}/{sample}", {})
            if kind in parts:
                both = f"{parts[kind].name} and {member.name}"
                raise ValueError(f"{path.name}: expected one {kind} a sample, found {both}")
            parts[kind] = member
    with path.open("rb") as file:
        return [_row(path, file, parts, n_classes) for parts in found.values()]


def _row(path: Path, file, parts: dict, n_classes: int) -> tuple[str, int, int, Path, int]:
    for kind, other in (("label", "picture"), ("picture", "label")):
        if kind not in parts:
            raise ValueError(f"{path.name}: expected a {kind} with {parts[other].name}, found none")
    picture, label = parts["picture"], parts["label"]
    file.seek(label.offset_data)
    text = file.read(label.size).decode("utf-8", "replace").strip()
    if not re.fullmatch(r"\d+", text, re.ASCII) or int(text) >= n_classes:
        raise ValueError(
            f"{path.name}: expected a class from 0 to {n_classes - 1} in {label.name}, found {text!r:.40}"
        )
    key = f"{path.stem}/{picture.name.removeprefix('./')}"
    return key, picture.size, picture.offset_data, path, int(text)
