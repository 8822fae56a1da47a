"""A feature matrix, or a head, from a file: ``.npy``, ``.safetensors``, ``.parquet``, or a store's folder.

Nothing is unpickled. What a file holds beside the matrix is not guessed at: where there are several
matrices the one that is meant has to be named.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from featurelens import checks, housekeeping, scan_tables, storage
from featurelens.heads import LinearHead
from featurelens.scan_tables import OWN
from featurelens.shards import MANIFEST

HEAD_KINDS = (".npy", ".safetensors")
KINDS = (*HEAD_KINDS, ".parquet")
PLACES = (*KINDS, "the folder of a feature store")
_BIAS = re.compile(r"(.*bias|(.*[._])?b(_C)?)", re.IGNORECASE)


class Given(NamedTuple):
    """Features and what the file says about them; ``point`` is empty where it does not say."""

    name: str
    h_ND: torch.Tensor
    point: str


def load(path: str | Path, point: str | None = None) -> Given:
    """Read the features (``h_ND``, one row an image) in a file, or in the folder of a feature store.

    Args:
        path: a file of one of :data:`KINDS`; the folder of a store, or a folder inside it. In a parquet file
            the features are the column of lists of floating numbers, or else all columns.
        point: which of several: a tensor's name, the name of a column of lists, a feature point of a store.
            In a table without lists, how the names of the columns begin: ``f`` takes ``f0``, ``f1`` and so
            on, or, where no numbers follow, every column that begins so.

    Raises:
        FileNotFoundError: nothing there, or no features in a folder.
        OSError: a file that may not be read.
        ValueError: another kind of file, a damaged one, no matrix of floating numbers in it, or several; a
            table in which columns that are no features stand beside those that are.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return _stored(path, point)
    h_ND = _floating(path, _matrices(path, point), point)
    return Given(path.stem, h_ND, point or "")


def head(path: str | Path, point: str = "") -> LinearHead:
    """Read a linear head from a file of one of :data:`HEAD_KINDS`: its only matrix, and its bias, if any.

    The matrix is classes x features; the bias is known by its name: ``bias``, ``fc.bias``, ``b``.

    Raises:
        FileNotFoundError, OSError, ValueError: as :func:`load`; a vector that is named otherwise, and a bias
            of another length than there are classes, or with entries that are not finite.
    """
    path = Path(path).expanduser()
    tensors = _tensors(path, HEAD_KINDS)
    w_CD = _floating(path, {name: t for name, t in tensors.items() if t.ndim == 2})
    vectors = {name: t for name, t in tensors.items() if t.ndim == 1 and t.is_floating_point()}
    # A running mean, or the weight of a normalisation, means that the head is not linear in the features.
    if others := [name for name in vectors if not _BIAS.fullmatch(name)]:
        raise ValueError(f"{path}: expected a matrix and its bias only, found also {checks.few(others)}")
    biases = list(vectors.values())
    if len(biases) > 1 or (biases and len(biases[0]) != len(w_CD)):
        found = " and ".join(str(len(b_C)) for b_C in biases)
        raise ValueError(f"{path}: expected at most one bias, of {len(w_CD)} classes, found lengths {found}")
    b_C = biases[0].float() if biases else None
    if b_C is not None and not b_C.isfinite().all():
        raise ValueError(f"{path}: expected a bias of finite numbers, found NaN or inf")
    return LinearHead(w_CD.float(), b_C, point)


def _matrices(path: Path, point: str | None) -> dict[str, torch.Tensor]:
    """Matrices in a file by name."""
    if path.suffix.lower() == ".parquet":
        _is_file(path)
        return {point or "columns": _tensor(path, scan_tables.read(path, point))}
    tensors = _tensors(path)
    if OWN in tensors and point is None:
        return {OWN: tensors[OWN]}
    if point is None:
        matrices = {name: t for name, t in tensors.items() if t.ndim == 2}
        _beside(path, tensors, matrices)
        return matrices or tensors
    if point not in tensors:
        raise ValueError(f"{path}: expected a matrix named {point!r}, found {checks.few(tensors)}")
    return {point: tensors[point]}


def _beside(path: Path, tensors: Mapping[str, torch.Tensor], matrices: Mapping[str, torch.Tensor]) -> None:
    """Refuse what looks like a network: beside features there is something for each image, or nothing."""
    rows = {len(matrix) for matrix in matrices.values()}
    odd = [name for name, t in tensors.items() if matrices and (t.ndim == 0 or len(t) not in rows)]
    if odd:
        raise ValueError(
            f"{path}: expected features, and beside them one entry an image, found {checks.few(odd)}: "
            "to scan a network write timm/MODEL/FILE, with --images"
        )


def _is_file(path: Path) -> None:
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise FileNotFoundError(f"expected a file, found {found} at {path}")
    path.open("rb").close()  # what may not be read is said by the system, in its own words


def _tensors(path: Path, kinds: Sequence[str] = PLACES) -> dict[str, torch.Tensor]:
    _is_file(path)
    if path.suffix.lower() == ".npy":
        try:
            x = np.load(path, allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            # numpy's own words advise to unpickle whatever it is.
            found = "something else, or objects" if "pickle" in str(error) else error
            raise ValueError(f"{path}: expected an array of numbers, found: {found}") from error
        return {"array": _tensor(path, x)}
    if path.suffix.lower() == ".safetensors":
        return storage.tensors(path)
    expected = f"{', '.join(kinds[:-1])} or {kinds[-1]}"
    raise ValueError(f"{path}: expected {expected}, found a file of kind {path.suffix or 'unknown'!r}")


def _tensor(path: Path, x: np.ndarray) -> torch.Tensor:
    """In the machine's own byte order, and no wider than float64."""
    if x.dtype.kind not in "fiub":
        raise ValueError(f"{path}: expected numbers, found {x.dtype}")
    wide = x.dtype.kind == "f" and x.dtype.itemsize > 8
    return torch.from_numpy(np.array(x, dtype=np.float64 if wide else x.dtype.newbyteorder("=")))


def _floating(path: Path, found: dict[str, torch.Tensor], point: str | None = None) -> torch.Tensor:
    """The one matrix of floating numbers."""
    if len(found) > 1:
        raise ValueError(
            f"{path}: expected one matrix, or the name of one, found {checks.few(sorted(found))}"
        )
    shapes = [f"{tuple(t.shape)} of {str(t.dtype).removeprefix('torch.')}" for t in found.values()]
    # Torch cannot add up floating numbers of 8 bits.
    wide = all(t.is_floating_point() and t.dtype.itemsize > 1 for t in found.values())
    if not found or not wide or any(t.ndim != 2 for t in found.values()):
        expected = "a matrix of floating numbers of 16 bits or more (rows x features)"
        raise ValueError(f"{path}: expected {expected}, found {', '.join(shapes) or 'none'}")
    [matrix] = found.values()
    return matrix


def _stored(folder: Path, point: str | None) -> Given:
    """Features of a store: the only finished ones in the folder, or those at ``point``."""
    root = folder.resolve()
    inside = root.parents[2] if (root / MANIFEST).is_file() and len(root.parents) > 2 else root
    found = [stored for stored in housekeeping.parts(inside) if stored.complete and stored.part]
    if inside != root:
        found = [stored for stored in found if stored.folder == root]
    elif point is not None:
        found = [stored for stored in found if stored.identity["point"] == point]
    if not found:
        where = f"{folder} at {point!r}" if point else folder
        raise FileNotFoundError(f"expected finished features of a store in {where}, found none")
    if len(found) > 1:
        names = checks.few(str(stored.folder.relative_to(inside)) for stored in found)
        raise ValueError(f"{folder}: expected one feature matrix, or its folder, found {names}")
    [stored] = found
    h_ND = torch.cat([shard["h_ND"].float() for shard in stored.part.tensors(check=True)])
    name = f"{stored.identity['encoder']} on {stored.identity['images']}"
    return Given(name, h_ND, stored.identity["point"])
