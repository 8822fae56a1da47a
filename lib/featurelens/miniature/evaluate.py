"""Accuracy and activation kurtosis of miniature networks, as tidy tables."""

from functools import cache

import pandas as pd
import torch
from torch.nn import functional as F

from featurelens import kernels
from featurelens.miniature import objectives, sets
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
