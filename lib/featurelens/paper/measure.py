"""The tables of one encoder: accuracies, kurtosis, directions, pruning curves, concepts.

Every function takes features that are there and returns a tidy frame without the encoder's name.
"""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd
import torch

from featurelens import (
    candidates,
    concepts,
    heads,
    outliers,
    privileged,
    pruning,
    robustness,
    subsets,
)
from featurelens.concept_labels import ConceptSet
from featurelens.extract import Features
from featurelens.heads import LinearHead
from featurelens.pruning import Labelled

BASE = "val"
# Orders of the pruning curves: all of them would take three times as long.
ORDERS = ("importance", "random", "singular value", "centred")


class Judged(NamedTuple):
    """Features of one image set where the head reads them, and the set's name among subsets."""

    found: Features
    subset: str


def accuracy(head: LinearHead, sets: Mapping[str, Judged]) -> pd.DataFrame:
    """Return top-1 accuracy on each image set, with what was left out.

    One row per set: ``images`` that were judged, ``left_out`` (they did not decode), ``correct``,
    ``accuracy`` (a fraction of ``images``) and ``accuracy_of_all``, where those left out count as wrong.

    Raises:
        ValueError: a set without labels, or a head of other classes than ImageNet's 1,000.
    """
    rows = []
    for name, (found, subset) in sets.items():
        if found.y_N is None:
            raise ValueError(f"{name}: expected labels, found none")
        part = subsets.head(head, subset)
        label_N = subsets.of(subset).predict(heads.logits(found.h_ND, part.w_CD, part.b_C))
        correct, images = int((label_N == found.y_N).sum()), len(found.y_N)
        whole = images + len(found.failures)
        rows.append(
            {
                "image_set": name,
                "images": images,
                "left_out": len(found.failures),
                "correct": correct,
                "accuracy": correct / max(images, 1),
                "accuracy_of_all": correct / max(whole, 1),
            }
        )
    return pd.DataFrame(rows)


def kurtosis(by_point: Mapping[str, torch.Tensor]) -> pd.DataFrame:
    """Return :func:`featurelens.outliers.summary` of the features at each point, one row a point."""
    return pd.DataFrame(
        [
            {"point": point, "images": len(h_ND), "width": h_ND.shape[1], **outliers.summary(h_ND)}
            for point, h_ND in by_point.items()
        ]
    )


def directions(head: LinearHead, h_ND: torch.Tensor) -> pd.DataFrame:
    """Return :func:`featurelens.privileged.signature` of the head on these features, in one row."""
    return pd.DataFrame([{"point": head.point, **privileged.signature(head.w_CD, h_ND)}])


def curves(
    head: LinearHead, sets: Mapping[str, Judged], fits: Mapping[str, robustness.Fit]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return counts at every k in the form of ``pruning.wide``, and the share that can be pruned.

    Orders come from one half of the base images and are judged on the other, see
    :func:`featurelens.pruning.two_fold`. The second table has a row per image set and order.
    """
    labelled = {
        name: Labelled(found.h_ND, found.y_N, _group(subset, len(head.w_CD)))
        for name, (found, subset) in sets.items()
    }
    every = pruning.two_fold(head, labelled, fits, ORDERS)
    mean = every.groupby(["image_set", "order", "k"], sort=False, as_index=False)["accuracy"].mean()
    return pruning.wide(every), pruning.prunable(mean)


def _group(subset: str, classes: int) -> torch.Tensor:
    """Label that each row of the head stands for on an image set, -1 where it is out of the question."""
    chosen = subsets.of(subset)
    group_C = torch.full((classes,), -1)
    group_C[chosen.rows_R] = chosen.group_R
    return group_C


def encoded(head: LinearHead, found: Features, concept_set: ConceptSet) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return how many concepts are encoded at each threshold, and the best average precision of each.

    Coordinates, the head's right singular vectors and as many random directions, where the head reads;
    negatives are balanced. The second table is for coordinates: ``concept``, ``category``, ``ap``.
    """
    judged = concepts.labels(concept_set, "balanced", rows=found.row_N)
    counts, best = [], None
    for kind, v_DK in candidates.by_kind(found.h_ND.shape[1], head).items():
        best_T = concepts.detect(found.h_ND, v_DK, judged).best_T
        best = best_T if best is None else best
        size = {"kind": kind, "directions": v_DK.shape[1], "concepts": len(judged.names)}
        swept = zip(concepts.THRESHOLDS, concepts.sweep(best_T), strict=True)
        counts += [{**size, "threshold": threshold, "count": count} for threshold, count in swept]
    by_concept = {"concept": judged.names, "category": judged.categories, "ap": best.numpy().round(5)}
    return pd.DataFrame(counts), pd.DataFrame(by_concept)
