"""Features of real models that others host publicly: a table of them, and one way to load any of them.

``tables/published_features.csv`` says which file (a key of ``published.csv``) holds them, which half of it,
and what they are features of. Where a file does not record which half is which, ``side`` says "by order".
"""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from featurelens import checks, published

TABLE = Path(__file__).parent / "tables" / "published_features.csv"


@cache
def _table() -> pd.DataFrame:
    return pd.read_csv(TABLE, dtype={"index": "Int64"}).set_index("name")


def names() -> list[str]:
    """Return the names of the feature sets, in the table's order."""
    return list(_table().index)


def table() -> pd.DataFrame:
    """Return one row per feature set: model, side, what is described, weights, rows, width, licence."""
    licence = {key: entry.licence for key, entry in published.registry().items()}
    return (
        _table().assign(licence=_table()["file"].map(licence)).drop(columns=["file", "index"]).reset_index()
    )


def load(name: str) -> torch.Tensor:
    """Return a feature set as published (some are L2-normalised, some are not), widened to float32.

    Raises:
        UnknownNameError: no such feature set; the message names the nearest ones.
        Unreachable: its file is neither in a mirror nor in the cache, and cannot be fetched.
        ValueError: the file is not the registered one, or holds another shape than the table says.
    """
    row = _table().loc[checks.known("published feature set", name, names())]
    path = published.fetch(row["file"])
    if path.suffix == ".npy":
        h = torch.from_numpy(np.load(path, allow_pickle=False))
    else:
        h = torch.load(path, map_location="cpu", weights_only=True)
    h_ND = checks.features(h if pd.isna(row["index"]) else h[row["index"]], name)
    if h_ND.shape != (row["rows"], row["width"]):
        raise ValueError(f"{name}: expected {row['rows']} x {row['width']}, found {tuple(h_ND.shape)}")
    return h_ND
