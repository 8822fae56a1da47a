"""Accuracy and activation kurtosis of miniature networks, as tidy tables.

Networks that ship are encoders like any other: their features come from the feature store, so that all
chapters share one encoding. Only networks in training, and those that do not ship, are encoded here.
"""

from functools import cache
from pathlib import Path

import pandas as pd
import torch

from featurelens import extract, heads, imagesets, kernels, outliers, paths, stamps, zoo
from featurelens.heads import LinearHead
from featurelens.miniature import checkpoints, objectives, sets, world
from featurelens.miniature.recipes import REFERENCE, Recipe, recipe, recipes
from featurelens.miniature.towers import Tower

SETS = ("base-val", *sets.SHIFTS)
_BATCH = 500


@torch.inference_mode()
def encode(tower: Tower, data: sets.MiniSet) -> dict[str, torch.Tensor]:
    """Features of an image set at each point of a network, (N, D) each."""
    parts = [tower.encode(data.pixels(slice(i, i + _BATCH))) for i in range(0, len(data), _BATCH)]
    return {point: torch.cat([part[point] for part in parts]) for point in parts[0]}


@cache
def _snapshot_set() -> sets.MiniSet:
    return sets.load("base-val", limit=1024)


def snapshot(tower: Tower) -> dict[str, float]:
    """Accuracy, kurtosis at each feature point and logit scale, on 1,024 `base` pictures."""
    tower.eval()
    h, data = encode(tower, _snapshot_set()), _snapshot_set()
    out = {f"kurtosis_{point}": kernels.activation_kurtosis(h_ND).mean().item() for point, h_ND in h.items()}
    if tower.classifier is not None or tower.text is not None:
        head = objectives.head(tower, data.classes)
        out["accuracy"] = heads.accuracy(h[head.point], head.w_CD, data.y_N, head.b_C)
    if tower.log_scale is not None:
        out["logit_scale"] = tower.log_scale.exp().item()
    return {key: round(value, 4) for key, value in out.items()}


def _identity(spec: Recipe) -> dict:
    return {"model": spec.name, "regime": spec.regime, "backbone": spec.backbone, "seed": spec.seed}


def _accuracy(
    spec: Recipe, image_set: str, head: LinearHead, h_ND: torch.Tensor, y_N: torch.Tensor
) -> dict[str, str | int | float]:
    kind = "baseline" if spec.regime == "baseline" else "zoo"
    value = heads.accuracy(h_ND, head.w_CD, y_N, head.b_C)
    return {**_identity(spec), "image_set": image_set, "accuracy": value, "kind": kind}


def accuracy_table() -> pd.DataFrame:
    """Accuracy (a fraction) of every trained network on ``base-val`` and each shift, one row per pair.

    Shipped networks are evaluated; those of the baseline line, which do not ship, come from the table
    that ``featurelens miniature baselines`` wrote when they were trained.
    """
    images = {name: imagesets.load(f"miniature/{name}") for name in SETS}
    trained = (name for name in checkpoints.names() if recipe(name).objective != "none")
    rows = []
    for name in trained:
        encoder = zoo.load(f"miniature/{name}")
        for image_set in SETS:
            h_ND, y_N, *_ = extract.features(encoder, images[image_set], point=encoder.head.point)
            rows.append(_accuracy(recipe(name), image_set, encoder.head, h_ND, y_N))
    return pd.concat([pd.DataFrame(rows), pd.read_csv(stamps.read(baselines_path()))], ignore_index=True)


def baselines_path() -> Path:
    """Table of the baseline networks' accuracies."""
    return paths.data() / "miniature" / "baselines.csv"


def baseline_table() -> pd.DataFrame:
    """Accuracies of the baseline networks, all of which must have been trained on this machine.

    The reference network is left out: ``adversarial`` holds only pictures that it gets wrong.
    """
    rows = []
    for spec in recipes().values():
        if spec.regime == "baseline" and spec.name != REFERENCE:
            head = objectives.head(tower := checkpoints.load(spec.name), world.names("object"))
            for data in map(sets.load, SETS):
                rows.append(_accuracy(spec, data.name, head, encode(tower, data)[head.point], data.y_N))
    return pd.DataFrame(rows)


def adversarial_table() -> pd.DataFrame:
    """Index of the pictures of ``candidates`` that the reference network gets wrong, and its answer.

    As ImageNet-A was filtered against a ResNet-50 (Hendrycks et al., 2021).
    """
    data, tower = sets.load("candidates"), checkpoints.load(REFERENCE)
    with torch.inference_mode():
        guess_N = tower.logits(encode(tower, data)).argmax(1)
    index_N = (guess_N != data.y_N).nonzero().flatten()
    taken_for = [data.classes[guess] for guess in guess_N[index_N]]
    return pd.DataFrame({"index": index_N.numpy(), "taken_for": taken_for})


def kurtosis_table() -> pd.DataFrame:
    """Summaries (:func:`featurelens.outliers.summary`) of the networks at each point, on ``base-val``."""
    images = imagesets.load("miniature/base-val")
    rows = []
    for name in checkpoints.names():
        encoder = zoo.load(f"miniature/{name}")
        for point in encoder.dims:
            summary = outliers.summary(extract.features(encoder, images, point=point).h_ND)
            rows.append({**_identity(recipe(name)), "point": point, "image_set": "base-val", **summary})
    return pd.DataFrame(rows)


def training_curve() -> pd.DataFrame:
    """Training logs of the shipped networks: accuracy and kurtosis on 1,024 `base` pictures, by step."""
    specs = [spec for spec in map(recipe, checkpoints.names()) if spec.steps]
    logs = [
        pd.read_csv(stamps.read(checkpoints.log_path(spec.name))).assign(**_identity(spec)) for spec in specs
    ]
    return pd.concat(logs, ignore_index=True)
