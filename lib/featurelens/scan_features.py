"""A feature matrix, or a head, from a file: ``.npy``, ``.safetensors``, ``.parquet``, or a store's folder.

Nothing is unpickled. What a file holds beside the matrix is not guessed at: where there are several
matrices the one that is meant has to be named.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from featurelens import housekeeping, storage
from featurelens.heads import LinearHead
from featurelens.shards import MANIFEST

HEAD_KINDS = (".npy", ".safetensors")
KINDS = (*HEAD_KINDS, ".parquet")
PLACES = (*KINDS, "the folder of a feature store")
OWN = "h_ND"  # as shards of the store name it
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
        raise ValueError(f"{path}: expected a matrix and its bias only, found also {', '.join(others)}")
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
        return {point or "columns": _frame(path, point)}
    tensors = _tensors(path)
    if OWN in tensors and point is None:
        return {OWN: tensors[OWN]}
    if point is None:
        return {name: t for name, t in tensors.items() if t.ndim == 2} or tensors
    if point not in tensors:
        raise ValueError(f"{path}: expected {point!r} among what it holds, found {', '.join(tensors)}")
    return {point: tensors[point]}


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
            raise ValueError(f"{path}: expected an array of numbers, found: {error}") from error
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


def _frame(path: Path, point: str | None) -> torch.Tensor:
    """The column of lists of a table as a matrix; where there is none, columns of numbers as one."""
    _is_file(path)
    try:
        with pq.ParquetFile(path) as file:
            lists = [field.name for field in file.schema_arrow if _is_vector(field.type)]
            names = [_named(path, lists, point)] if lists else _numbers(path, file.schema_arrow, point)
            table = file.read(names)
            columns = [table.column(name) for name in names]
    except (OSError, KeyError, pa.ArrowException) as error:  # KeyError: two columns of one name
        raise ValueError(f"{path}: expected a parquet file, found: {str(error).splitlines()[0]}") from error
    if not lists:
        return _tensor(path, np.column_stack([column.to_numpy() for column in columns]).astype(np.float64))
    [column], [name] = columns, names
    if column.null_count:
        found = f"{column.null_count} without"
        raise ValueError(f"{path}: expected a list in every row of {name}, found {found}")
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(lengths) != 1:
        found = f"lengths {min(lengths)} to {max(lengths)}" if lengths else "no rows"
        raise ValueError(f"{path}: expected lists of one length in {name}, found {found}")
    # Chunk by chunk: all of them in one array could be too many for its offsets.
    flat = np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks])
    return _tensor(path, flat.reshape(len(column), lengths[0]))


def _is_vector(kind: pa.DataType) -> bool:
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return listed and pa.types.is_floating(kind.value_type)


def _named(path: Path, lists: list[str], point: str | None) -> str:
    """The column of lists that is meant."""
    if point is None and len(lists) > 1 and OWN not in lists:
        raise ValueError(f"{path}: expected one matrix, or the name of one, found {', '.join(sorted(lists))}")
    name = point if point is not None else OWN if OWN in lists else lists[0]
    if name not in lists:
        raise ValueError(f"{path}: expected {name!r} among its columns of lists, found {', '.join(lists)}")
    return name


def _numbers(path: Path, schema: pa.Schema, point: str | None) -> list[str]:
    """Names of the columns that are features, in a table without lists: those that ``point`` says, or all."""
    index = (schema.pandas_metadata or {}).get("index_columns", [])
    kinds = {field.name: field.type for field in schema if field.name not in index}
    floats = [name for name, kind in kinds.items() if pa.types.is_floating(kind)]
    if point is None:
        # Most names end in a number, and one does not: nothing else tells a score from a feature.
        stems = Counter(name.rstrip("0123456789") for name in floats if name[-1:].isdecimal())
        [(stem, count)] = stems.most_common(1) or [("", 0)]
        chosen, such = (_numbered(floats, stem), f", such as {stem!r}") if count > 1 else (floats, "")
        odd = [name for name in kinds if name not in chosen]
        expected = f"nothing but features, or --point with how their names begin{such}"
    else:
        begun = [name for name in kinds if name.startswith(point)]
        chosen = _numbered(begun, point) or begun
        odd = [name for name in chosen if name not in floats and not pa.types.is_integer(kinds[name])]
        odd = odd if chosen else list(kinds)
        expected = f"columns of numbers with names that begin with {point!r}"
    if odd:
        more = f" and {len(odd) - 4} more" if len(odd) > 4 else ""
        found = ", ".join(f"{name} ({kinds[name]})" for name in odd[:4]) + more
        raise ValueError(f"{path}: expected {expected}, found {found}")
    return chosen


def _numbered(names: list[str], stem: str) -> list[str]:
    return [name for name in names if name.startswith(stem) and name.removeprefix(stem).isdecimal()]


def _floating(path: Path, found: dict[str, torch.Tensor], point: str | None = None) -> torch.Tensor:
    """The one matrix of floating numbers."""
    if len(found) > 1:
        raise ValueError(f"{path}: expected one matrix, or the name of one, found {', '.join(sorted(found))}")
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
        names = ", ".join(str(stored.folder.relative_to(inside)) for stored in found[:4])
        more = f" and {len(found) - 4} more" if len(found) > 4 else ""
        raise ValueError(f"{folder}: expected one feature matrix, or its folder, found {names}{more}")
    [stored] = found
    h_ND = torch.cat([shard["h_ND"].float() for shard in stored.part.tensors(check=True)])
    name = f"{stored.identity['encoder']} on {stored.identity['images']}"
    return Given(name, h_ND, stored.identity["point"])
