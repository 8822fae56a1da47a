"""A feature matrix in a parquet table: which of its columns are features is read, never guessed at."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from featurelens import checks

OWN = "h_ND"  # as shards of the store name it


def read(path: Path, point: str | None) -> np.ndarray:
    """Read a matrix: the column of lists of floating numbers, or else all columns of such numbers.

    Args:
        path: the file.
        point: the name of the column of lists; without lists how the names of the columns begin: ``f`` takes
            ``f0``, ``f1`` and so on, or, where no numbers follow, every column that begins so.

    Raises:
        ValueError: no parquet, several columns of lists, a list that is missing or of another length, or
            columns that are no features beside those that are.
    """
    try:
        with pq.ParquetFile(path) as file:
            lists = [field.name for field in file.schema_arrow if _is_vector(field.type)]
            names = [_named(path, lists, point)] if lists else _numbers(path, file.schema_arrow, point)
            table = file.read(names)
            columns = [table.column(name) for name in names]
    except (OSError, KeyError, pa.ArrowException) as error:  # KeyError: two columns of one name
        raise ValueError(f"{path}: expected a parquet file, found: {str(error).splitlines()[0]}") from error
    if not lists:
        return np.column_stack([column.to_numpy() for column in columns]).astype(np.float64)
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
    return flat.reshape(len(column), lengths[0])


def _is_vector(kind: pa.DataType) -> bool:
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return listed and pa.types.is_floating(kind.value_type)


def _named(path: Path, lists: list[str], point: str | None) -> str:
    """The column of lists that is meant."""
    if point is None and len(lists) > 1 and OWN not in lists:
        raise ValueError(
            f"{path}: expected one matrix, or the name of one, found {checks.few(sorted(lists))}"
        )
    name = point if point is not None else OWN if OWN in lists else lists[0]
    if name not in lists:
        raise ValueError(f"{path}: expected {name!r} among its columns of lists, found {checks.few(lists)}")
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
        found = checks.few(f"{name} ({kinds[name]})" for name in odd)
        raise ValueError(f"{path}: expected {expected}, found {found}")
    return chosen


def _numbered(names: list[str], stem: str) -> list[str]:
    return [name for name in names if name.startswith(stem) and name.removeprefix(stem).isdecimal()]
