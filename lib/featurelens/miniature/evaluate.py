"""Accuracy and activation kurtosis of miniature networks, as tidy tables."""

from functools import cache
from pathlib import Path

import pandas as pd
import torch
from torch.nn import functional as F

from featurelens import kernels, paths, stamps
from featurelens.miniature import checkpoints, objectives, sets
from featurelens.miniature.recipes import REFERENCE, Recipe, recipe, recipes
from featurelens.miniature.towers import Tower

_BATCH = 500


@torch.inference_mode()
def encode(tower: Tower, data: sets.MiniSet) -> dict[str, torch.Tensor]:
    """Features of an image set at each point of a network, (N, D) each."""
    parts = [tower.encode(data.pixels(slice(i, i + _BATCH))) for i in range(0, len(data), _BATCH)]
    return {point: torch.cat([part[point] for part in parts]) for point in parts[0]}


def head(tower: Tower, classes: tuple[str, ...]) -> tuple[str, torch.Tensor, torch.Tensor | None]:
    """The head a network classifies with: its feature point, W (C, D) and bias (C), if any.

    A contrastive network's is its zero-shot head; an untrained one has none.
    """
    if tower.text is not None:
        return "joint", objectives.zero_shot_head(tower, classes), None
    if tower.classifier is None:
        raise ValueError("an untrained network has no head: expected a classifier or a text tower")
    point = "pre" if tower.project is None else "joint"
    return point, tower.classifier.weight, tower.classifier.bias


@torch.inference_mode()
def accuracy(tower: Tower, h: dict[str, torch.Tensor], data: sets.MiniSet) -> float:
    """Top-1 accuracy (a fraction) of features ``h`` under the network's own head."""
    point, w_CD, b_C = head(tower, data.classes)
    return (F.linear(h[point], w_CD, b_C).argmax(1) == data.y_N).float().mean().item()


@cache
def _snapshot_set() -> sets.MiniSet:
    return sets.load("base-val", limit=1024)


def snapshot(tower: Tower) -> dict[str, float]:
    """Accuracy, kurtosis at each feature point and logit scale, on 1,024 `base` pictures."""
    tower.eval()
    h, data = encode(tower, _snapshot_set()), _snapshot_set()
    out = {f"kurtosis_{point}": kernels.activation_kurtosis(h_ND).mean().item() for point, h_ND in h.items()}
    if tower.classifier is not None or tower.text is not None:
        out["accuracy"] = accuracy(tower, h, data)
    if tower.log_scale is not None:
        out["logit_scale"] = tower.log_scale.exp().item()
    return {key: round(value, 4) for key, value in out.items()}


def _identity(spec: Recipe) -> dict:
    return {"model": spec.name, "regime": spec.regime, "backbone": spec.backbone, "seed": spec.seed}


def _accuracies(tower: Tower, spec: Recipe) -> list[dict]:
    kind = "baseline" if spec.regime == "baseline" else "zoo"
    rows = []
    for name in ("base-val", *sets.SHIFTS):
        data = sets.load(name)
        value = accuracy(tower, encode(tower, data), data)
        rows.append({**_identity(spec), "image_set": name, "accuracy": value, "kind": kind})
    return rows


def accuracy_table() -> pd.DataFrame:
    """Accuracy (a fraction) of every trained network on ``base-val`` and each shift, one row per pair.

    Shipped networks are evaluated; those of the baseline line, which do not ship, come from the table
    that ``featurelens miniature baselines`` wrote when they were trained.
    """
    shipped = [recipe(name) for name in checkpoints.names() if recipe(name).objective != "none"]
    rows = [row for spec in shipped for row in _accuracies(checkpoints.load(spec.name), spec)]
    return pd.concat([pd.DataFrame(rows), pd.read_csv(stamps.read(baselines_path()))], ignore_index=True)


def baselines_path() -> Path:
    """Table of the baseline networks' accuracies."""
    return paths.data() / "miniature" / "baselines.csv"


def baseline_table() -> pd.DataFrame:
    """Accuracies of the baseline networks, all of which must have been trained on this machine.

    The reference network is left out: ``adversarial`` holds only pictures that it gets wrong.
    """
    specs = [spec for spec in recipes().values() if spec.regime == "baseline" and spec.name != REFERENCE]
    return pd.DataFrame([row for spec in specs for row in _accuracies(checkpoints.load(spec.name), spec)])


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
    """Activation kurtosis of every shipped network at each feature point on ``base-val``, one row per pair.

    ``top_share`` is the share of the kurtosis that the ``top_coordinate`` carries; ``ceiling`` is the
    largest kurtosis that the width allows.
    """
    rows, data = [], sets.load("base-val")
    for name in checkpoints.names():
        for point, h_ND in encode(checkpoints.load(name), data).items():
            by_coordinate_D, width = kernels.kurtosis_contributions(h_ND), h_ND.shape[1]
            rows.append(
                {
                    **_identity(recipe(name)),
                    "point": point,
                    "image_set": data.name,
                    "kurtosis": by_coordinate_D.sum().item(),
                    "top_share": (by_coordinate_D.max() / by_coordinate_D.sum()).item(),
                    "top_coordinate": by_coordinate_D.argmax().item(),
                    "ceiling": width - 2 + 1 / (width - 1),
                }
            )
    return pd.DataFrame(rows)


def training_curve() -> pd.DataFrame:
    """Training logs of the shipped networks: accuracy and kurtosis on 1,024 `base` pictures, by step."""
    specs = [spec for spec in recipes().values() if spec.shipped and spec.steps]
    logs = [
        pd.read_csv(stamps.read(checkpoints.log_path(spec.name))).assign(**_identity(spec)) for spec in specs
    ]
    return pd.concat(logs, ignore_index=True)
