"""What a run will take: from measured rates where there are some, otherwise estimated and marked as such.

Published rates are others' (timm's benchmark tables). A GPU without one is estimated from the RTX 3090 by
its memory bandwidth; RN101 is taken from RN50 by its parameters everywhere. Pictures are decoded once for
all encoders, beside the GPU: the slower of the two decides.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

_TABLES = Path(__file__).parents[1] / "tables"
DECODED_PER_CORE = 385  # ImageNet JPEGs a second, one thread: torchvision's benchmark
REFERENCE = "RTX 3090"


def rates() -> pd.DataFrame:
    """Return images a second by ``hardware`` and ``backbone``; ``kind`` is *published* or *estimate*."""
    published = pd.read_csv(_TABLES / "rates.csv")
    gpus = pd.read_csv(_TABLES / "gpus.csv").set_index("hardware")
    width = gpus["bandwidth_gb_s"]
    reference = published[published["hardware"] == REFERENCE]
    parts = [published]
    for gpu in width.index.difference(published["hardware"], sort=False):
        rate = (reference["images_per_second"] * width[gpu] / width[REFERENCE]).round()
        parts.append(reference.assign(hardware=gpu, images_per_second=rate, kind="estimate"))
    table = pd.concat(parts)
    size = pd.read_csv(_TABLES / "clip16.csv").drop_duplicates("backbone").set_index("backbone")
    share = size["image_params_M"]["RN50"] / size["image_params_M"]["RN101"]
    small = table[table["backbone"] == "RN50"]
    rate = (small["images_per_second"] * share).round()
    large = small.assign(backbone="RN101", images_per_second=rate)
    table = pd.concat([table, large], ignore_index=True)
    return table.drop(columns="source").join(gpus["cores"], on="hardware").fillna({"cores": 16})


def backbone(model: str) -> str:
    """Backbone of one of the 16 encoders or of timm's controls, by its name in the zoo; empty for others."""
    encoders = pd.read_csv(_TABLES / "clip16.csv").set_index("name")["backbone"]
    controls = (
        pd.read_csv(_TABLES / "timm_controls.csv").drop_duplicates("model").set_index("model")["backbone"]
    )
    return encoders.get(model) or controls.get(model.removeprefix("timm/")) or ""


def hours(backbones: Sequence[str], images: int) -> pd.DataFrame:
    """Return the hours that encoders of these backbones need for some images, one row a GPU.

    ``encode`` and ``decode`` run side by side, so ``hours`` is the larger; ``kind`` is *estimate* as soon as
    one rate is. Backbones without a rate are not counted.

    Raises:
        ValueError: no backbone has a rate.
    """
    table = rates()
    wanted = pd.Series(list(backbones), dtype=object).value_counts().rename("encoders")
    chosen = table.join(wanted, on="backbone", how="inner")
    if chosen.empty:
        raise ValueError(
            f"expected backbones of {sorted(set(table['backbone']))}, found {sorted(wanted.index)}"
        )
    chosen = chosen.assign(
        encode=chosen["encoders"] * images / chosen["images_per_second"] / 3600,
        decode=images / (DECODED_PER_CORE * chosen["cores"]) / 3600,
    )
    rows = chosen.groupby("hardware", sort=False).agg(
        cores=("cores", "first"),
        encode=("encode", "sum"),
        decode=("decode", "first"),
        kind=("kind", lambda kinds: "estimate" if "estimate" in set(kinds) else "published"),
    )
    rows["hours"] = rows[["encode", "decode"]].max(axis=1)
    return rows.reset_index().sort_values("hours", ascending=False, ignore_index=True)
