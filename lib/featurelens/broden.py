"""Broden in its published format: pictures with labels of pixels and of whole images, in six categories.

Bau et al., "Network Dissection: Quantifying Interpretability of Deep Visual Representations" (2017), joined
ADE20K, Pascal, OpenSurfaces and the Describable Textures: 63,305 pictures, 1,197 concepts. What the files
mean, and what this module makes of it:

* ``index.csv``: ``image,split,ih,iw,sh,sw`` and one column a category. A cell holds labels separated by
  ``;``: a number is a label of the whole picture, a file name is a mask of sh x sw pixels whose labels are
  R + 256 G. 0 is no label. Paths are relative to ``images/``.
* ``label.csv``: number, name and categories of each label: ``material(36);object(3)`` is a word used in two
  categories, with the pictures of each. A label is one concept, in the category with the most pictures.
  ``category.csv`` and ``c_*.csv`` say nothing more and are not read.
* A concept is present if a number or any pixel says so, in whichever column: there is no minimum area.
* It is known where the column of its category is not empty, or where it is present. A label too rare for
  Broden's list was written as 0, so a 0 is an annotation too. Each source names things from a list of its
  own, and Broden does not keep these lists: "known" is as exact as the published files allow.
* What is not known is not present. Whether it may then count as absent is left to who measures: the rule of
  the paper that this book follows is not published.
"""

import csv
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import torch

from featurelens import concept_labels, downloads
from featurelens.broden_masks import Row, presence
from featurelens.concept_labels import ConceptSet

URL = "http://netdissect.csail.mit.edu/data/broden1_{size}.zip"
SIZES = (224, 227, 384)
_FIXED = ["image", "split", "ih", "iw", "sh", "sw"]


def download(folder: str | Path, size: int = 227) -> Path:
    """Download the published archive (about 1 GB) and unpack it; return the folder that ``load`` takes.

    Stopped, it goes on where it was. The authors publish no checksum: every file is compared with the
    CRC-32 in the archive, and the archive's sha256 is noted beside it at the first download, so that a
    second one is the same. The pictures are for research only.

    Args:
        folder: where ``broden1_<size>`` will be.
        size: side of the pictures, 224, 227 or 384.

    Raises:
        ValueError: another size, a damaged archive, or another one than the first time.
        Unreachable: the server does not answer.
    """
    if size not in SIZES:
        raise ValueError(f"Broden: expected size {', '.join(map(str, SIZES))}, found {size}")
    target = Path(folder).expanduser() / f"broden1_{size}"
    if not target.exists():
        archive = downloads.fetch(URL.format(size=size), target.with_name(f"{target.name}.zip"))
        downloads.unpack(archive, target, holds="index.csv")
        archive.unlink()
    return target


def load(folder: str | Path) -> ConceptSet:
    """Load pictures and labels; the masks are read once and remembered in the cache.

    A picture that is missing, or with a label that cannot be read or is not in the list, is left out and
    recorded. The first time takes minutes; it goes on where it was if it is stopped.

    Raises:
        FileNotFoundError: no ``index.csv`` or ``label.csv`` there.
        ValueError: an index without pictures or categories, or labels that contradict one another.
    """
    folder = Path(folder).expanduser().absolute()
    labels = _labels(folder / "label.csv")
    categories, rows, faults = _index(folder / "index.csv")
    present_NT, unread = presence(folder, rows, labels.position)
    keys = [row.key for row in rows]
    keep, files, failures = concept_labels.readable(folder / "images", keys, unread | faults)
    rows, present_NT = [rows[i] for i in keep], present_NT[keep]
    images = concept_labels.image_set(folder.name, files, {"split": [row.split for row in rows]})
    names = concept_labels.distinct(labels.names, labels.categories)
    known_NT = _annotated(rows, categories, labels.categories) | present_NT
    return ConceptSet(images, names, labels.categories, present_NT, known_NT, failures)


def _annotated(rows: list[Row], columns: list[str], categories: list[str]) -> torch.Tensor:
    """Whether a picture has anything in the column of each concept's category: bool, images x concepts."""
    filled_NC = torch.tensor([[bool(cell) for cell in row.cells] + [False] for row in rows])
    column = {category: c for c, category in enumerate(columns)}
    return filled_NC[:, [column.get(category, -1) for category in categories]]


class Labels(NamedTuple):
    """Rows of ``label.csv``, and the position of each label's number among them."""

    names: list[str]
    categories: list[str]
    position: dict[int, int]


def _table(file: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a CSV file."""
    if not file.is_file():
        raise FileNotFoundError(f"expected Broden's {file.name} in {file.parent.name}, found no such file")
    with file.open(newline="", encoding="utf-8") as opened:
        header, *rows = list(csv.reader(opened)) or [[]]
    if not rows:
        raise ValueError(f"{file.name}: expected rows below the header, found none")
    return header, [row for row in rows if row]


def _labels(file: Path) -> Labels:
    header, rows = _table(file)
    if header[:3] != ["number", "name", "category"]:
        raise ValueError(f"{file.name}: expected columns number, name, category, …, found {header}")
    for row in rows:
        if len(row) < 3 or not re.fullmatch(r"[1-9]\d*", row[0]) or not all(row[1:3]):
            raise ValueError(f"{file.name}: expected a number from 1, a name and a category, found {row}")
    numbers = [int(row[0]) for row in rows]
    twice = [number for number, count in Counter(numbers).items() if count > 1]
    if twice:
        raise ValueError(f"{file.name}: expected each number once, found {twice[0]} more than once")
    position = {number: t for t, number in enumerate(numbers)}
    return Labels([row[1] for row in rows], [_main_category(row[2]) for row in rows], position)


def _main_category(cell: str) -> str:
    """The category with the most pictures: ``material(36);object(3)`` is a material."""
    counts = re.findall(r"([^;()]+)(?:\((\d+)\))?", cell)
    return max(counts, key=lambda pair: int(pair[1] or 0))[0]


def _index(file: Path) -> tuple[list[str], list[Row], dict[int, str]]:
    """Categories and rows of ``index.csv``, and which rows say nothing sensible."""
    header, table = _table(file)
    categories = header[len(_FIXED) :]
    if header[: len(_FIXED)] != _FIXED or not categories or len(set(categories)) < len(categories):
        expected = f"columns {', '.join(_FIXED)} and one for each category"
        raise ValueError(f"{file.name}: expected {expected}, found {', '.join(header)}")
    rows, faults = [], {}
    for i, line in enumerate(table):
        if fault := _fault(line, len(header)):
            faults[i] = fault
            rows.append(Row(line[0], "", (0, 0), ()))
        else:
            cells = [tuple(filter(None, cell.split(";"))) for cell in line[len(_FIXED) :]]
            rows.append(Row(line[0], line[1], (int(line[4]), int(line[5])), tuple(cells)))
    return categories, rows, faults


def _fault(line: list[str], columns: int) -> str | None:
    if len(line) != columns:
        return f"index.csv: expected {columns} cells, found {len(line)}"
    if not all(re.fullmatch(r"[1-9]\d*", cell) for cell in line[4:6]):
        return f"index.csv: expected sh and sw as numbers from 1, found {line[4]!r} and {line[5]!r}"
    return None
