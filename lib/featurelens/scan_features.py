"""A feature matrix, or a head, from a file: ``.npy``, ``.safetensors``, ``.parquet``, or a store's folder.

Nothing is unpickled. What a file holds beside the matrix is not guessed at: where there are several
matrices the one that is meant has to be named.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from featurelens import housekeeping, storage
from featurelens.heads import LinearHead
from featurelens.shards import MANIFEST

KINDS = (".npy", ".safetensors", ".parquet")
OWN = "h_ND"  # as shards of the store name it


class Given(NamedTuple):
    """Features and what the file says about them; ``point`` is empty where it does not say."""

    name: str
    h_ND: torch.Tensor
    point: str


def load(path: str | Path, point: str | None = None) -> Given:
    """Read the features (``h_ND``, one row an image) in a file, or in the folder of a feature store.

    Args:
        path: a file of one of :data:`KINDS`; the folder of a store, or a folder inside it. In a parquet file
            the features are the column whose cells are lists, or else all columns of floating numbers.
        point: which of several: a tensor's name, the name of a column of lists, a feature point of a store.

    Raises:
        FileNotFoundError: nothing there, or no features in a folder.
        ValueError: another kind of file, a damaged one, no matrix of floating numbers in it, or several.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return _stored(path, point)
    h_ND = _floating(path, _matrices(path, point), point)
    return Given(path.stem, h_ND, point or "")


def head(path: str | Path, point: str = "") -> LinearHead:
    """Read a linear head: the only matrix in the file (classes x features), and its bias, if there is one.

    Raises:
        FileNotFoundError, ValueError: as :func:`load`; a bias of another length than there are classes.
    """
    path = Path(path).expanduser()
    tensors = _tensors(path)
    w_CD = _floating(path, {name: t for name, t in tensors.items() if t.ndim == 2})
    biases = [t for t in tensors.values() if t.ndim == 1 and t.is_floating_point()]
    if len(biases) > 1 or (biases and len(biases[0]) != len(w_CD)):
        found = " and ".join(str(len(b_C)) for b_C in biases)
        raise ValueError(f"{path}: expected at most one bias, of {len(w_CD)} classes, found lengths {found}")
    return LinearHead(w_CD.float(), biases[0].float() if biases else None, point)


def _matrices(path: Path, point: str | None) -> dict[str, torch.Tensor]:
    """Matrices in a file by name."""
    tensors = _frame(path, point) if path.suffix == ".parquet" else _tensors(path)
    if OWN in tensors and point is None:
        return {OWN: tensors[OWN]}
    if point is None:
        return {name: t for name, t in tensors.items() if t.ndim == 2} or tensors
    if point not in tensors:
        raise ValueError(f"{path}: expected {point!r} among what it holds, found {', '.join(tensors)}")
    return {point: tensors[point]}


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"expected a file, found nothing at {path}")
    if path.suffix == ".npy":
        try:
            x = np.load(path, allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise ValueError(f"{path}: expected an array of numbers, found: {error}") from error
        return {"array": _tensor(path, x)}
    if path.suffix == ".safetensors":
        return storage.tensors(path)
    kinds = f"{', '.join(KINDS)} or the folder of a feature store"
    raise ValueError(f"{path}: expected {kinds}, found a file of kind {path.suffix or 'unknown'!r}")


def _tensor(path: Path, x: np.ndarray) -> torch.Tensor:
    """In the machine's own byte order, and no wider than float64."""
    if x.dtype.kind not in "fiub":
        raise ValueError(f"{path}: expected numbers, found {x.dtype}")
    wide = x.dtype.kind == "f" and x.dtype.itemsize > 8
    return torch.from_numpy(np.array(x, dtype=np.float64 if wide else x.dtype.newbyteorder("=")))


def _frame(path: Path, point: str | None) -> dict[str, torch.Tensor]:
    """The columns of lists of a table, as matrices; where there are none, all floating columns as one."""
    if not path.is_file():
        raise FileNotFoundError(f"expected a file, found nothing at {path}")
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise ValueError(f"{path}: expected a parquet file, found: {str(error).splitlines()[0]}") from error
    lists = [name for name in frame if len(frame) and isinstance(frame[name].iloc[0], np.ndarray)]
    if not lists:
        columns = frame.select_dtypes("floating")
        return {"columns": _tensor(path, columns.to_numpy(np.float64))} if columns.shape[1] else {}
    found = {}
    for name in [point] if point in lists else lists:
        try:
            found[str(name)] = _tensor(path, np.stack(list(frame[name])))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: expected lists of one length in {name}, found others") from error
    return found


def _floating(path: Path, found: dict[str, torch.Tensor], point: str | None = None) -> torch.Tensor:
    """The one matrix of floating numbers."""
    if len(found) > 1:
        raise ValueError(f"{path}: expected one matrix, or the name of one, found {', '.join(sorted(found))}")
    shapes = [f"{tuple(t.shape)} of {str(t.dtype).removeprefix('torch.')}" for t in found.values()]
    if not found or not all(t.ndim == 2 and t.is_floating_point() for t in found.values()):
        expected = "a matrix of floating numbers (rows x features)"
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
        names = ", ".join(str(stored.folder.relative_to(inside)) for stored in found[:4])
        more = f" and {len(found) - 4} more" if len(found) > 4 else ""
        raise ValueError(f"{folder}: expected one feature matrix, or its folder, found {names}{more}")
    [stored] = found
    h_ND = torch.cat([shard["h_ND"].float() for shard in stored.part.tensors(check=True)])
    name = f"{stored.identity['encoder']} on {stored.identity['images']}"
    return Given(name, h_ND, stored.identity["point"])
