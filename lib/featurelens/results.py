"""Result tables: a finding at a scale is one tidy CSV in ``data/results/``, whether fresh or stored.

A chapter asks for a table and says how to compute it. What it gets back is always what the file holds, so
a page drawn from a stored result and one drawn from a fresh result look the same.
``FEATURELENS_RESULTS`` names another folder to write to; tables not in it are read from the project's.
"""

import os
import time
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from featurelens import atomic, paths, scales, stamps

PROVENANCE = ("scale", "source", "computed_on", "commit", "hardware", "seconds")
# Values closer than this are the same result, and the stored file stays as it is.
RTOL, ATOL = 1e-6, 1e-9


def table(name: str, scale: str, compute: Callable[[], pd.DataFrame], source: str) -> pd.DataFrame:
    """Table ``name`` at ``scale``, computed when this run reaches that scale, otherwise as stored.

    Args:
        name: file stem, ``<chapter>-<what>``.
        scale: one of ``scales.SCALES``.
        compute: returns a tidy frame, one row per model and quantity.
        source: what the numbers were computed from, one phrase.

    Returns:
        The table with the columns of ``PROVENANCE``; ``attrs["stored"]`` is True when nothing was computed.

    Raises:
        Unreachable: the scale cannot be computed here and no result of it is stored.
        ValueError: ``compute`` returned no rows, or columns that are reserved for the provenance.
    """
    if not scales.computes(scale):
        return _stored(name, scale, f"this run computes up to the {scales.selected()} scale")
    start = time.perf_counter()
    try:
        frame = _valid(compute(), name)
    except scales.Unreachable as error:
        return _stored(name, scale, str(error))
    seconds = round(time.perf_counter() - start, 2)
    facts = dict(zip(PROVENANCE, (scale, source, *stamps.here().values(), seconds), strict=True))
    return _kept(name, scale, frame.assign(**facts))


def keep(
    name: str, scale: str, frame: pd.DataFrame, source: str, seconds: float, by: Sequence[str] = ()
) -> pd.DataFrame:
    """Store a table that was computed outside a page; return what is now stored.

    Rows of the stored table stay, with the provenance they have, if ``frame`` has none with the same values
    in the columns ``by``. Without such columns the whole table is replaced.

    Raises:
        ValueError: as :func:`table`.
    """
    facts = dict(zip(PROVENANCE, (scale, source, *stamps.here().values(), round(seconds, 2)), strict=True))
    frame = _valid(frame, name).assign(**facts)
    if by and (path := _find(name, scale)) is not None:
        stored, key = _load(path), list(by)
        again = pd.MultiIndex.from_frame(stored[key]).isin(pd.MultiIndex.from_frame(frame[key]))
        frame = pd.concat([stored[~again], frame], ignore_index=True)
    return _kept(name, scale, frame)


def read(name: str, scale: str) -> pd.DataFrame:
    """Stored table ``name`` at ``scale``.

    Raises:
        Unreachable: there is none.
    """
    return _stored(name, scale, "the table has not been computed yet")


def bare(frame: pd.DataFrame) -> pd.DataFrame:
    """The table without its provenance columns, for showing on a page."""
    return frame.drop(columns=[column for column in PROVENANCE if column in frame])


def caption(frame: pd.DataFrame) -> str:
    """Where a table comes from, one line: scale, source, date, commit, hardware, seconds, fresh or stored.

    Rows of several runs are told apart: each run is named.
    """
    state = "stored result" if frame.attrs.get("stored") else "computed by this page"
    runs = frame[list(PROVENANCE)].drop_duplicates().to_dict("records")
    described = (
        f"from {run['source']}; {run['computed_on']}, commit {run['commit']}, {run['hardware']}, "
        f"{run['seconds']:g} s"
        for run in runs
    )
    return f"Scale {runs[0]['scale']}, {'; and '.join(described)}; {state}."


def _valid(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    if frame.empty:
        raise ValueError(f"table {name}: expected at least one row, found none")
    if taken := sorted(set(PROVENANCE) & set(frame.columns)):
        raise ValueError(f"table {name}: columns {', '.join(taken)} are reserved for the provenance")
    return frame.reset_index(drop=True)


def _folders() -> list[Path]:
    """Where tables are looked for; the first is where they are written."""
    override = os.environ.get("FEATURELENS_RESULTS")
    return [Path(override), paths.data() / "results"] if override else [paths.data() / "results"]


def _find(name: str, scale: str) -> Path | None:
    found = (folder / f"{name}.{scale}.csv" for folder in _folders())
    return next((path for path in found if path.is_file()), None)


def _load(path: Path | StringIO) -> pd.DataFrame:
    # Model names like "NA" stay text (only an empty cell is a missing value), and so does a commit of digits.
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"commit": str})


def _stored(name: str, scale: str, why: str) -> pd.DataFrame:
    path = _find(name, scale)
    if path is None:
        raise scales.Unreachable(
            f"no stored result {name}.{scale}.csv, and {why}; "
            f"to compute it: FEATURELENS_SCALE={scale} make refresh"
        )
    frame = _load(stamps.read(path))
    frame.attrs["stored"] = True
    return frame


def _kept(name: str, scale: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Write ``frame`` unless the stored table holds the same values; return what is now stored."""
    text = frame.to_csv(index=False, lineterminator="\n")
    fresh = _load(StringIO(text))
    path, old = _folders()[0] / f"{name}.{scale}.csv", _find(name, scale)
    if old is not None and _same(bare(fresh), bare(stored := _load(old))) and _same_source(fresh, stored):
        text, fresh = old.read_text(), stored
    if not path.is_file() or path.read_text() != text:
        atomic.write_text(path, text)
    stamps.read(path)
    fresh.attrs["stored"] = False
    return fresh


def _same(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    if list(a.columns) != list(b.columns) or len(a) != len(b):
        return False
    return all(_equal(a[column], b[column]) for column in a)


def _same_source(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    return "source" in b and a["source"].equals(b["source"])


def _equal(a: pd.Series, b: pd.Series) -> bool:
    if pd.api.types.is_float_dtype(a) or pd.api.types.is_float_dtype(b):
        both = pd.api.types.is_numeric_dtype(a) and pd.api.types.is_numeric_dtype(b)
        return both and np.allclose(a, b, rtol=RTOL, atol=ATOL, equal_nan=True)
    return a.equals(b)
