"""Directions of the miniature's heads: what they carry, and accuracy and robustness at every k."""

from collections.abc import Sequence
from functools import cache

import pandas as pd
import torch

from featurelens import extract, imagesets, kernels, privileged, pruning, robustness, stamps, zoo
from featurelens.heads import LinearHead
from featurelens.miniature import checkpoints, evaluate, sets
from featurelens.miniature.recipes import recipe
from featurelens.miniature.world import names as world_names
from featurelens.pruning import Labelled

BASE = "base-val"
ER_ORDERS = ("importance", "centred", "random")


def baseline_fits() -> dict[str, robustness.BaselineFit]:
    """Return the baseline of each shift, fitted to the networks of the baseline line."""
    pairs = robustness.pairs(pd.read_csv(stamps.read(evaluate.baselines_path())), BASE)
    has_logit = pairs[["acc_in", "acc_shift"]].gt(0).all(axis=1) & pairs[["acc_in", "acc_shift"]].lt(1).all(
        axis=1
    )
    lines = pairs[has_logit].groupby("shift", sort=False)
    return {shift: robustness.fit_baseline(rows["acc_in"], rows["acc_shift"]) for shift, rows in lines}


def head_and_features(name: str, image_sets: tuple[str, ...]) -> tuple[LinearHead, dict[str, Labelled]]:
    """Return a shipped network's head, and its features of some image sets where the head reads them.

    An untrained network has no head; it gets a Gaussian one on its joint features, as a control.
    """
    encoder = zoo.load(f"miniature/{name}")
    head = encoder.head
    if head is None:
        rows_CD = torch.ones(len(world_names("object")), encoder.dims["joint"])
        head = LinearHead(kernels.random_head(rows_CD, recipe(name).seed), None, "joint")
    found = {
        image_set: extract.features(encoder, imagesets.load(f"miniature/{image_set}"), point=head.point)
        for image_set in image_sets
    }
    return head, {image_set: Labelled(f.h_ND, f.y_N) for image_set, f in found.items()}


def signature(w_CD: torch.Tensor, h_ND: torch.Tensor) -> dict[str, float]:
    """Return concentration of importances and what the most important direction is.

    ``centred_…`` is the head minus its mean row, ``random_…`` a Gaussian head, for the same features;
    ``mean_length`` the length of the mean row in mean row lengths; ``sameness`` and ``overlap`` (with
    :func:`featurelens.pruning.outliers` of the features) are those of the most important direction,
    ``rotated_overlap`` the latter after one rotation of head and features.
    """
    variants = {
        "": (w_CD, h_ND),
        "centred_": (w_CD - w_CD.mean(0), h_ND),
        "random_": (kernels.random_head(w_CD, seed=0), h_ND),
        "rotated_": (kernels.random_rotation(w_CD, seed=0), kernels.random_rotation(h_ND, seed=0)),
    }
    row, first, coordinates = {}, {}, pruning.outliers(h_ND)
    for prefix, (matrix_CD, features_ND) in variants.items():
        own = kernels.directions(matrix_CD)
        i_K = kernels.importance(own, features_ND)
        first[prefix] = (own, int(i_K.argmax()))
        row |= {f"{prefix}{key}": value for key, value in kernels.concentration(i_K)._asdict().items()}
    for prefix in ("", "rotated_"):
        own, k = first[prefix]
        row[f"{prefix}overlap"] = kernels.overlap(own, coordinates)[k].item()
    own, k = first[""]
    row["mean_length"] = (w_CD.mean(0).norm() / w_CD.norm(dim=1).mean()).item()
    return row | {"sameness": privileged.sameness(own.u_CK[:, k])}


def signature_table(names: Sequence[str] | None = None) -> pd.DataFrame:
    """Return :func:`signature` of networks on ``base-val``; by default those of the compared regimes."""
    rows = []
    for name in names or checkpoints.names():
        head, found = head_and_features(name, (BASE,))
        rows.append({**_identity(name), "point": head.point, **signature(head.w_CD, found[BASE].h_ND)})
    return pd.DataFrame(rows)


@cache
def _curves() -> pd.DataFrame:
    """Return accuracy and effective robustness of every trained network on every image set, at every k."""
    fits, parts = baseline_fits(), []
    for name in checkpoints.names():
        if recipe(name).objective != "none":
            head, found = head_and_features(name, (BASE, *sets.SHIFTS))
            parts.append(pruning.two_fold(head, found, fits).assign(**_identity(name)))
    return pd.concat(parts, ignore_index=True)


def curve_table() -> pd.DataFrame:
    """Return counts of every trained network at every k, in the form of ``pruning.wide``."""
    by_model = _curves().groupby("model", sort=False)
    return pd.concat(
        [pruning.wide(rows).assign(**_identity(name)) for name, rows in by_model], ignore_index=True
    )


def robustness_table() -> pd.DataFrame:
    """Return effective robustness of every trained network at every k: a column per shift (points)."""
    rows = _curves()
    rows = rows[rows["order"].isin(ER_ORDERS) & (rows["image_set"] != BASE)]
    key = ["model", "regime", "backbone", "seed", "order", "k"]
    table = rows.pivot_table("er", key, "image_set", aggfunc="mean", sort=False)
    return table.round(4).reset_index().rename_axis(columns=None)


def _identity(name: str) -> dict[str, str | int]:
    spec = recipe(name)
    return {"model": name, "regime": spec.regime, "backbone": spec.backbone, "seed": spec.seed}
