"""Which labels occur in Broden's masks: read in threads, once, and remembered.

The cache file is named after a hash of ``index.csv`` and ``label.csv``. For each picture it holds the labels,
one bit each, and a stamp of its masks (sizes and times of change): a picture whose masks changed, or that
could not be read the last time, is read again.
"""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from featurelens import atomic, concept_labels, paths
from featurelens.files import Files

SAVED_EVERY = 4096  # pictures


class Row(NamedTuple):
    """A picture of ``index.csv``: its name, split, the height and width of its masks, its cells by column."""

    key: str
    split: str
    shape: tuple[int, int]
    cells: tuple[tuple[str, ...], ...]


def presence(folder: Path, rows: list[Row], position: dict[int, int]) -> tuple[torch.Tensor, dict[int, str]]:
    """Find the labels of each row; ``position`` gives the concept of each label number.

    Returns:
        present_NT: bool; it says nothing of rows that could not be read.
        Why each of those could not be read.
    """
    file = paths.cache() / "concepts" / f"broden-{_key(folder)}.safetensors"
    stamp_N = np.array([_stamp(folder / "images", row) for row in rows])
    known = _remembered(file, len(rows), len(position))
    todo, unread = np.flatnonzero(known["stamp_N"] != stamp_N).tolist(), {}

    def read(i: int) -> np.ndarray:
        return np.packbits(_labels(folder / "images", rows[i], position))

    for start in range(0, len(todo), SAVED_EVERY):
        block = todo[start : start + SAVED_EVERY]
        found, failed = concept_labels.read_each(read, block, f"masks, from {start:,} of {len(todo):,}")
        unread |= failed
        if found:
            known["bits_NB"][list(found)] = np.stack(list(found.values()))
            known["stamp_N"][list(found)] = stamp_N[list(found)]
            with atomic.replacing(file) as part:
                save_file(known, part)
    present_NT = np.unpackbits(known["bits_NB"], axis=1, count=len(position)).view(bool)
    return torch.from_numpy(present_NT), unread


def _key(folder: Path) -> str:
    tables = (hashlib.sha256((folder / name).read_bytes()).digest() for name in ("index.csv", "label.csv"))
    return hashlib.sha256(b"1" + b"".join(tables)).hexdigest()[:16]


def _remembered(file: Path, n_rows: int, n_labels: int) -> dict[str, np.ndarray]:
    """What the cache knows; a stamp of 0 is that of a picture that was not read yet."""
    if file.exists():
        return load_file(file)
    bits_NB = np.zeros((n_rows, -(-n_labels // 8)), np.uint8)
    return {"stamp_N": np.zeros(n_rows, np.int64), "bits_NB": bits_NB}


def _stamp(images: Path, row: Row) -> int:
    """A number that changes with any of the row's masks."""
    digest = hashlib.blake2b(digest_size=7)
    for name in _masks(row):
        try:
            stat = os.stat(f"{images}/{name}")  # 200,000 times: pathlib would take several times as long
            digest.update(f"{stat.st_size} {stat.st_mtime_ns}\n".encode())
        except OSError:
            digest.update(b"none\n")
    return 1 + int.from_bytes(digest.digest(), "big")


def _masks(row: Row) -> list[str]:
    return [label for cell in row.cells for label in cell if not label.isdecimal()]


def _labels(images: Path, row: Row, position: dict[int, int]) -> np.ndarray:
    """Labels of one picture, one-hot.

    Raises:
        ValueError: a mask that is missing, damaged or of another size; a label that is not in the list.
    """
    present_T = np.zeros(len(position), bool)
    numbers = {"index.csv": {int(label) for cell in row.cells for label in cell if label.isdecimal()}}
    numbers |= {name: _pixels(images, name, row.shape) for name in _masks(row)}
    for where, found in numbers.items():
        unknown = found - position.keys() - {0}
        if unknown:
            raise ValueError(f"{where}: expected labels of label.csv, found {min(unknown)}")
        present_T[[position[number] for number in found if number]] = True
    return present_T


def _pixels(images: Path, name: str, shape: tuple[int, int]) -> set[int]:
    """Labels that occur in a mask."""
    if not (images / name).is_file():
        raise ValueError(f"{name}: expected a mask, found no such file")
    mask_HW3 = Files(images, [name], [(images / name).stat().st_size]).mask(0).numpy()
    if mask_HW3.shape != (*shape, 3):
        expected = " x ".join(map(str, shape))
        found = " x ".join(map(str, mask_HW3.shape))
        raise ValueError(f"{name}: expected a mask of {expected} x 3, as index.csv says, found {found}")
    code_HW = mask_HW3[..., 0] + 256 * mask_HW3[..., 1].astype(np.intp)
    return set(np.flatnonzero(np.bincount(code_HW.ravel())).tolist())
