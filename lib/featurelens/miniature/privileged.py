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
    lines = robustness.with_logit(pairs).groupby("shift", sort=False)
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


def signature_table(names: Sequence[str] | None = None) -> pd.DataFrame:
    """Return ``privileged.signature`` of networks on ``base-val``; default: those of the compared regimes."""
    rows = []
    for name in names or checkpoints.names():
        head, found = head_and_features(name, (BASE,))
        measured = privileged.signature(head.w_CD, found[BASE].h_ND)
        rows.append({**_identity(name), "point": head.point, **measured})
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
