"""Concepts of the miniature's networks: how many their directions detect, and how mixed directions are."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd
import torch

from featurelens import candidates, concepts, conceptsets, extract, imagesets, zoo
from featurelens.concept_labels import ConceptSet
from featurelens.miniature import checkpoints
from featurelens.miniature.recipes import recipe

BASE = "miniature/base-val"
KINDS = ("features", "right singular vectors", "random")
RANDOM_DRAWS = 2
PERMUTATIONS = 2
RESAMPLES = 10


@cache
def concept_set() -> ConceptSet:
    """Return the concepts of ``base-val``, without those that no image-level label can tell from another.

    Every flower has petals, so that "petal" is in the same images as "flower": of concepts in the same
    images the first is kept, objects before parts.
    """
    whole = conceptsets.load(BASE)
    _, first_T = np.unique(whole.present_NT.numpy(), axis=1, return_index=True)
    kept = sorted(first_T.tolist())
    return ConceptSet(
        whole.images,
        [whole.names[t] for t in kept],
        [whole.categories[t] for t in kept],
        whole.present_NT[:, kept],
    )


def searched(name: str) -> dict[str, tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """Return a network's features at each point, and directions to search there, by kind and draw.

    Coordinates, the head's right singular vectors where it reads this point, and as many random directions
    as there are coordinates.
    """
    encoder = zoo.load(f"miniature/{name}")
    found = {}
    for point, width in encoder.dims.items():
        h_ND = extract.features(encoder, imagesets.load(BASE), point=point).h_ND
        reads = encoder.head is not None and encoder.head.point == point
        directions = candidates.by_kind(width, encoder.head if reads else None)
        for draw in range(1, RANDOM_DRAWS):
            directions[f"random {draw}"] = candidates.random_directions(width, width, seed=draw)
        found[point] = (h_ND, directions)
    return found


def count_table(names: Sequence[str] | None = None) -> pd.DataFrame:
    """Return how many concepts networks encode at each threshold, by point, kind and negatives.

    ``count`` is on all images. For coordinates and balanced negatives, ``low`` and ``high`` are quantiles (5
    and 95 %) over draws of the images with the best directions kept, and ``luck`` is the mean count when
    labels are shuffled. Random directions: the mean of two draws. Networks are those of the compared regimes
    unless ``names`` are given.
    """
    rows = []
    for negatives in concepts.NEGATIVES:
        judged = concepts.labels(concept_set(), negatives)
        for name in names or checkpoints.names():
            for point, (h_ND, directions) in searched(name).items():
                for kind, v_DK in directions.items():
                    rows += _counts(h_ND, v_DK, judged, name, point, kind, negatives)
    table = pd.DataFrame(rows)
    table["kind"] = table["kind"].str.replace(r" \d+$", "", regex=True)
    measured = ["directions", "concepts", "count", "low", "high", "luck"]
    key = [column for column in table if column not in measured]
    return table.groupby(key, sort=False, as_index=False)[measured].mean()


def _counts(h_ND, v_DK, judged, name, point, kind, negatives) -> list[dict]:
    best_T = concepts.detect(h_ND, v_DK, judged).best_T
    counts = concepts.sweep(best_T)
    # Bands and luck cost ten searches: for coordinates and balanced negatives only.
    if kind == "features" and negatives == "balanced":
        drawn_RT = concepts.resampled(h_ND, v_DK, judged, RESAMPLES)
        by_draw = np.array([concepts.sweep(ap_T) for ap_T in drawn_RT])
        low, high = np.quantile(by_draw, [0.05, 0.95], axis=0)
        luck = concepts.sweep(concepts.by_luck(h_ND, v_DK, judged, PERMUTATIONS))
    else:
        low = high = luck = [np.nan] * len(counts)
    facts = {**identity(name), "point": point, "kind": kind, "negatives": negatives}
    size = {"directions": v_DK.shape[1], "concepts": len(judged.names)}
    series = zip(concepts.THRESHOLDS, counts, low, high, luck, strict=True)
    return [
        {**facts, **size, "threshold": t, "count": c, "low": lo, "high": hi, "luck": lu}
        for t, c, lo, hi, lu in series
    ]


def best_table() -> pd.DataFrame:
    """Return the best average precision of each concept (rows) in each network (columns), with its category.

    For coordinates where the head reads (joint features of networks without one), balanced negatives.
    """
    judged = concepts.labels(concept_set(), "balanced")
    table = pd.DataFrame({"concept": judged.names, "category": judged.categories})
    for name in checkpoints.names():
        table[name] = detection(name, judged).best_T.numpy().round(5)
    return table


def mixture_table(threshold: float = concepts.THRESHOLD) -> pd.DataFrame:
    """Return how many concepts each direction of each network detects, and how mixed their categories are.

    One row per network and kind: ``detecting`` directions (share), ``concepts`` a detecting direction has on
    average and at most, and mean ``entropy`` of their categories in bits.
    """
    judged, rows = concepts.labels(concept_set(), "balanced"), []
    for name in checkpoints.names():
        h_ND, directions = _where_the_head_reads(name)
        for kind, v_DK in directions.items():
            if kind in ("features", "right singular vectors"):
                found = concepts.detect(h_ND, v_DK, judged).directions(threshold)
                busy = found[found["concepts"] > 0]
                rows.append(
                    {
                        **identity(name),
                        "kind": kind,
                        "directions": len(found),
                        "detecting": len(busy) / len(found),
                        "concepts": busy["concepts"].mean(),
                        "most": found["concepts"].max(),
                        "entropy": busy["entropy"].mean(),
                    }
                )
    return pd.DataFrame(rows)


def detection(name: str, judged: concepts.Labels) -> concepts.Detection:
    """Return what the coordinates of a network detect, where its head reads."""
    h_ND, directions = _where_the_head_reads(name)
    return concepts.detect(h_ND, directions["features"], judged)


def _where_the_head_reads(name: str) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    found = searched(name)
    head = zoo.load(f"miniature/{name}").head
    return found[head.point if head is not None else "joint"]


def identity(name: str) -> dict[str, str | int]:
    """Return what tells one network from another."""
    spec = recipe(name)
    return {"model": name, "regime": spec.regime, "backbone": spec.backbone, "seed": spec.seed}
