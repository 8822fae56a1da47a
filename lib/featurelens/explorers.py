"""Data of the explorers: which coordinates carry the kurtosis, which directions detect which concept."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from PIL import Image

from featurelens import checks, concepts, kernels, outliers, scan_coordinates
from featurelens.concepts import Detection, Labels

SIDE, COLUMNS = 32, 30  # of a picture in pixels, and of the sheet in pictures
PERMUTATIONS = 5  # shuffles for the level of luck


class Sheet(NamedTuple):
    """P small pictures in one image: its address, what each shows in words, and how many stand in a row."""

    uri: str
    words: list[str]
    columns: int

    @property
    def lines(self) -> int:
        """How many rows of pictures there are."""
        return math.ceil(len(self.words) / self.columns)


class Searched(NamedTuple):
    """What K directions detect: average precisions, the level of luck, and scores of the shown pictures."""

    found: Detection
    luck_T: torch.Tensor
    scores_PK: torch.Tensor


def sheet(pictures: Sequence[Image.Image], words: Sequence[str]) -> Sheet:
    """Put pictures side by side, each once, as one WebP image inside a ``data:`` address.

    Raises:
        ValueError: no pictures, or not one text for each.
    """
    if not pictures or len(words) != len(pictures):
        raise ValueError(f"expected one text a picture, found {len(words)} for {len(pictures)} pictures")
    columns = min(COLUMNS, len(pictures))
    whole = Image.new("RGB", (SIDE * columns, SIDE * math.ceil(len(pictures) / columns)))
    for place, picture in enumerate(pictures):
        small_one = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        whole.paste(small_one, (place % columns * SIDE, place // columns * SIDE))
    data = io.BytesIO()
    whole.save(data, "WEBP", quality=80, method=6)
    return Sheet(f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}", list(words), columns)


def standard_scores(h_ND: torch.Tensor) -> torch.Tensor:
    """Return each coordinate's distance from its image's mean in that image's standard deviations, float64.

    Raises:
        TypeError, ValueError: as :func:`featurelens.kernels.activation_kurtosis`.
    """
    kernels.activation_kurtosis(h_ND)  # refuses rows that have no standard deviation
    std_N1, mean_N1 = torch.std_mean(h_ND.double(), 1, correction=0, keepdim=True)
    return (h_ND.double() - mean_N1) / std_N1


def coordinates(h_ND: torch.Tensor) -> pd.DataFrame:
    """Return what each coordinate has to do with the kurtosis, one row each, in order.

    Columns as :class:`featurelens.scan_coordinates.Coordinate` has them, for every coordinate: ``distance``
    (:func:`featurelens.outliers.distances`), ``times_median``, ``share`` of the kurtosis, ``leads`` and
    ``present`` (shares of the images), ``outlier``, ``offset``, ``spread``, ``constant_share``, ``kind``.

    Raises:
        TypeError, ValueError: as :func:`featurelens.kernels.activation_kurtosis`.
    """
    width, distance_D = h_ND.shape[1], outliers.distances(h_ND).numpy()
    table = pd.DataFrame(scan_coordinates.described(h_ND, distance_D, range(width)))
    table = table.rename(columns={"index": "coordinate", "kurtosis_share": "share"})
    named = kernels.outlier_coordinates(h_ND).tolist()
    return table.assign(
        times_median=table["times_median"].astype(float), outlier=table["coordinate"].isin(named)
    )


def coordinate_table(features: Mapping[str, torch.Tensor]) -> pd.DataFrame:
    """Return :func:`coordinates` of several features, told apart by ``view``.

    Raises:
        ValueError: no features; as :func:`coordinates`.
    """
    if not features:
        raise ValueError("expected features of at least one network, found none")
    parts = [coordinates(h_ND).round(9).assign(view=view) for view, h_ND in features.items()]
    table = pd.concat(parts, ignore_index=True)
    return table[["view", *table.columns.drop("view")]]


def search(h_ND: torch.Tensor, directions_DK: torch.Tensor, judged: Labels, shown: int) -> Searched:
    """Return what directions detect, with scores of the first ``shown`` pictures.

    Raises:
        TypeError, ValueError: as :func:`featurelens.concepts.detect`.
    """
    found = concepts.detect(h_ND, directions_DK, judged)
    luck_T = concepts.by_luck(h_ND, directions_DK, judged, PERMUTATIONS).mean(0)
    return Searched(found, luck_T, concepts.project(h_ND[:shown], directions_DK))


def pair_table(searches: Mapping[str, Searched], threshold: float = concepts.THRESHOLD) -> pd.DataFrame:
    """Return each direction and concept with an average precision of at least ``threshold``, best first.

    Columns: view, concept, category, direction, sense (1: highest scores first), ap.
    """
    rows = []
    for view, (found, _, _) in searches.items():
        for k, t in (found.ap_KT >= threshold).nonzero().tolist():
            sense, ap = found.sense_KT[k, t].item(), found.ap_KT[k, t].item()
            facts = {"view": view, "concept": found.names[t], "category": found.categories[t]}
            rows.append({**facts, "direction": k, "sense": sense, "ap": ap})
    columns = ["view", "concept", "category", "direction", "sense", "ap"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("ap", ascending=False, kind="stable", ignore_index=True)


def ends(scores_PK: torch.Tensor, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the ``count`` pictures with the highest and with the lowest scores of each direction, K x count.

    Raises:
        ValueError: fewer pictures than that.
    """
    if len(checks.features(scores_PK, "scores")) < count:
        raise ValueError(f"scores: expected at least {count} pictures, found {len(scores_PK)}")
    high, low = (scores_PK.argsort(dim=0, descending=way, stable=True)[:count].T for way in (True, False))
    return high.numpy(), low.numpy()
