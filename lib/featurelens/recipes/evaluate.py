"""Accuracy and activation kurtosis of a network in training, on the validation pictures."""

import torch
from torch import nn

from featurelens.kernels import activation_kurtosis
from featurelens.recipes import data, networks
from featurelens.recipes.config import Recipe

POINTS = ("pre", "joint")


@torch.no_grad()
def evaluate(
    fabric, network: nn.Module, items: data.Items, recipe: Recipe, batch: int
) -> tuple[dict[str, float], list[tuple[str, str]]]:
    """Top-1 accuracy (a fraction) and mean kurtosis before and after the projection; and what did not decode.

    A CLIP is judged by the zero-shot head of its own text tower. Each process takes its share of the
    pictures. A kurtosis is NaN where it is not defined: all features of some picture equal, or not finite.

    Raises:
        ValueError: no picture decodes.
    """
    network.eval()
    tower, classify = _classifier(network, recipe, items.pictures.classes.names)
    mine = range(fabric.global_rank, len(items), fabric.world_size)
    indices = [[(None, i) for i in mine[start : start + batch]] for start in range(0, len(mine), batch)]
    sums, failures = torch.zeros(2 + len(POINTS), dtype=torch.float64), []
    for x_NCHW, y_N, failed in data.batches(items, indices, recipe.workers):
        failures += failed
        if not len(y_N):
            continue
        x_NCHW, y_N = fabric.to_device((x_NCHW, y_N))
        with fabric.autocast():
            features = {point: h_ND.float() for point, h_ND in tower.encode(x_NCHW).items()}
        right = (classify(features["joint"]).argmax(1) == y_N).sum().item()
        kurtosis = [_kurtosis(features[point]) for point in POINTS]
        sums += torch.tensor([len(y_N), right, *kurtosis], dtype=torch.float64)
    count, right, *kurtosis = fabric.all_reduce(fabric.to_device(sums), reduce_op="sum").tolist()
    if not count:
        raise ValueError(f"validation: expected pictures, found {len(failures)} that do not decode")
    means = {f"kurtosis_{point}": k / count for point, k in zip(POINTS, kurtosis, strict=True)}
    return {"accuracy": right / count, **means}, failures


def _classifier(network: nn.Module, recipe: Recipe, names: list[str]):
    """The image tower, and the function from its output to class scores."""
    if isinstance(network, networks.Classifier):
        return network, network.head
    w_CD = networks.zero_shot_head(network, recipe.model, names)
    return networks.Tower(network.visual).eval(), lambda h_ND: h_ND @ w_CD.T


def _kurtosis(h_ND: torch.Tensor) -> float:
    try:
        return activation_kurtosis(h_ND).double().sum().item()
    except ValueError:
        return float("nan")
