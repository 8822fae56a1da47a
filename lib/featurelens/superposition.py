"""Superposition: how much the directions of concepts get into each other's way.

A network may know more concepts than it has dimensions, at a price: their directions cannot all be at right
angles, so reading one concept picks up something of others. The price is *interference*, ``|cos|`` between
two concepts' directions.

The direction of a concept is here the difference of two means, of the images with it and of those without
it: what changes on average when the concept appears. Concepts that go together then share direction, and
all lean to where features vary most. Whitened directions (linear discriminant analysis) would undo both,
and with them the space that heads read; two baselines, shuffled labels and labels as features, measure it.

Source: Elhage et al., "Toy models of superposition" (2022).
"""

from functools import cache
from math import exp, lgamma, pi, sqrt
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.special import betainc

from featurelens import checks, concepts, conceptsets, extract, zoo
from featurelens.imagesets import ImageSet
from featurelens.miniature import checkpoints, recipes

# Rows of features per step: bounds the memory for copies in float64.
ROWS = 4096
# Two concepts are unrelated if their labels correlate by less: |phi| of binary labels.
UNRELATED = 0.03
MINIMUM = 30  # positive and negative images that a concept must have
SHUFFLES = 10


class Interference(NamedTuple):
    """``|cos|`` of every two directions, zero on the diagonal; mean and largest of each with the others."""

    cos_TT: torch.Tensor
    mean_T: torch.Tensor
    max_T: torch.Tensor


class RandomInterference(NamedTuple):
    """Expected interference of a random direction with others: mean, and largest."""

    mean: float
    max: float


@torch.no_grad()
def concept_directions(h_ND: torch.Tensor, present_NT: torch.Tensor) -> torch.Tensor:
    """Return the direction of each concept: mean feature with it minus mean feature without it, of length 1.

    Args:
        h_ND: features of images.
        present_NT: bool; whether an image shows a concept.

    Returns:
        c_TD: float64, on the features' device.

    Raises:
        TypeError, ValueError: features as :func:`featurelens.checks.features`; labels that are not one bool
            an image and concept; a concept without positive or negative images, or with equal means.
    """
    h_ND = checks.features(h_ND)
    if present_NT.dtype != torch.bool or present_NT.ndim != 2 or len(present_NT) != len(h_ND):
        found = f"{present_NT.dtype} {tuple(present_NT.shape)}"
        raise ValueError(f"labels: expected torch.bool ({len(h_ND)}, concepts), found {found}")
    n_T = present_NT.sum(0).to(h_ND.device)
    _refuse((n_T == 0) | (n_T == len(h_ND)), "images with it and images without it")
    # The same vector taken from all features changes no difference, and leaves smaller numbers to round.
    origin_D = h_ND[0].double()
    total_D, with_TD = torch.zeros_like(origin_D), origin_D.new_zeros(len(n_T), len(origin_D))
    for part_BD, present_BT in zip(h_ND.split(ROWS), present_NT.split(ROWS), strict=True):
        part_BD = part_BD.double() - origin_D
        total_D += part_BD.sum(0)
        with_TD += present_BT.to(part_BD).T @ part_BD
    c_TD = with_TD / n_T[:, None] - (total_D - with_TD) / (len(h_ND) - n_T)[:, None]
    length_T1 = c_TD.norm(dim=1, keepdim=True)
    _refuse(length_T1[:, 0] == 0, "mean features that differ")
    return c_TD / length_T1


def _refuse(wrong_T: torch.Tensor, expected: str) -> None:
    if wrong_T.any():
        first, count = int(wrong_T.int().argmax()), int(wrong_T.sum())
        raise ValueError(f"concepts: expected {expected}, found {count} without, first concept {first}")


def interference(c_TD: torch.Tensor) -> Interference:
    """Return the ``|cos|`` of every two directions, and for each direction the mean and the largest.

    Raises:
        TypeError, ValueError: as :func:`featurelens.checks.features`; fewer than two directions, or one
            of length 0.

    >>> interference(torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]])).max_T
    tensor([0.6000, 0.8000, 0.8000], dtype=torch.float64)
    """
    c_TD = checks.features(c_TD, "directions").double()
    if len(c_TD) < 2:
        raise ValueError("directions: expected at least two, found 1")
    length_T1 = c_TD.norm(dim=1, keepdim=True)
    if not length_T1.all():
        raise ValueError(f"directions: expected lengths above 0, found 0 in row {int(length_T1.argmin())}")
    c_TD = c_TD / length_T1
    cos_TT = (c_TD @ c_TD.T).abs().clamp(max=1).fill_diagonal_(0)
    return Interference(cos_TT, cos_TT.sum(1) / (len(cos_TT) - 1), cos_TT.amax(1))


def random_interference(n_concepts: int, width: int) -> RandomInterference:
    """Return what :func:`interference` expects of ``n_concepts`` random directions in ``width`` dimensions.

    The mean is Gamma(D/2) / (sqrt(pi) Gamma((D+1)/2)), near sqrt(2 / (pi D)). The largest: the ``|cos|`` of
    one direction with the others are independent, and their squares follow Beta(1/2, (D-1)/2).

    Raises:
        ValueError: fewer than two directions or dimensions.

    >>> round(random_interference(2, 2).mean, 6)  # 2 / pi
    0.63662
    """
    if n_concepts < 2 or width < 2:
        raise ValueError(f"expected at least two directions and dimensions, found {n_concepts} and {width}")
    mean = exp(lgamma(width / 2) - lgamma((width + 1) / 2)) / sqrt(pi)
    cos = np.linspace(0, 1, 10_001)
    below = betainc(0.5, (width - 1) / 2, cos**2) ** (n_concepts - 1)
    return RandomInterference(mean, float(np.trapezoid(1 - below, cos)))


def welch_bound(n_concepts: int, width: int) -> float:
    """Least that the largest ``|cos|`` among so many directions can be; 0 if there is room for all.

    Source: Welch, "Lower bounds on the maximum cross correlation of signals" (1974).

    >>> welch_bound(3, 2)  # three directions at 60 degrees
    0.5
    """
    return sqrt(max(n_concepts - width, 0) / (width * max(n_concepts - 1, 1)))


def dimensionality(w_TD: torch.Tensor) -> torch.Tensor:
    """Share of a dimension that each concept has to itself, ``|w_i|^2 / sum_j (w_i/|w_i| . w_j)^2``.

    1 if it is at right angles to all others, 1/2 if it shares a line with one of its length, 0 for zeros.

    Raises:
        TypeError, ValueError: as :func:`featurelens.checks.features`.

    Source: Elhage et al. (2022), section on the geometry of superposition.

    >>> dimensionality(torch.tensor([[1.0, 0, 0], [0, 2, 0], [0, -2, 0]]))
    tensor([1.0000, 0.5000, 0.5000], dtype=torch.float64)
    """
    w_TD = checks.features(w_TD, "directions").double()
    squares_TT = (w_TD @ w_TD.T).square()
    return squares_TT.diagonal() / squares_TT.sum(1).clamp(min=torch.finfo(torch.float64).tiny)


def concepts_per_dimension(w_TD: torch.Tensor) -> float:
    """Return ``|W|_F^2 / D`` (Elhage et al. 2022 print its inverse); of unit directions it only counts them.

    Raises:
        TypeError, ValueError: as :func:`featurelens.checks.features`.
    """
    w_TD = checks.features(w_TD, "directions").double()
    return w_TD.square().sum().item() / w_TD.shape[1]


def effective_rank(c_TD: torch.Tensor) -> float:
    """Return how many dimensions directions fill: exp of the entropy of squared singular values' shares.

    Raises:
        TypeError, ValueError: as :func:`featurelens.checks.features`; all zero.

    Source: Roy and Vetterli, "The effective rank" (2007), with squares: shares of variance.
    """
    s2_K = torch.linalg.svdvals(checks.features(c_TD, "directions").double()).square()
    if not s2_K.sum():
        raise ValueError("directions: expected some length above 0, found zeros only")
    return torch.special.entr(s2_K / s2_K.sum()).sum().exp().item()


@cache
def _labels(image_set: str) -> tuple[ImageSet, torch.Tensor, list[torch.Tensor]]:
    """Images of the miniature, labels of concepts with enough images and labels of their own; shuffled."""
    found = conceptsets.load(f"miniature/{image_set}")
    present_NT = concepts.labels(found, "prevalence", minimum=MINIMUM).present_NT
    _, first = np.unique(present_NT.numpy(), axis=1, return_index=True)
    present_NT = present_NT[:, sorted(first)]
    return found.images, present_NT, [shuffle(present_NT, seed) for seed in range(SHUFFLES)]


def shuffle(present_NT: torch.Tensor, seed: int) -> torch.Tensor:
    """Return labels that say nothing: those of each concept in an order of their own."""
    order_TN = torch.rand(present_NT.T.shape, generator=torch.Generator().manual_seed(seed)).argsort(1)
    return present_NT.T.gather(1, order_TN).T


def miniature_table(image_set: str = "base-val", point: str | None = None) -> pd.DataFrame:
    """Return :func:`summary` of every shipped network of the miniature, one row a network.

    Args:
        image_set: of the miniature. In *objectnet* objects have no habits, and most labels are unrelated.
        point: where features are read. Default: where the head reads, *joint* for untrained networks.
    """
    images, present_NT, shuffled = _labels(image_set)
    rows = []
    for spec in map(recipes.recipe, checkpoints.names()):
        encoder = zoo.load(f"miniature/{spec.name}")
        at = point or (encoder.head.point if encoder.head else "joint")
        found = extract.features(encoder, images, point=at)
        own = summary(found.h_ND, present_NT[found.row_N], [labels_NT[found.row_N] for labels_NT in shuffled])
        identity = {"model": spec.name, "regime": spec.regime, "backbone": spec.backbone, "seed": spec.seed}
        rows.append(identity | {"point": at} | own)
    return pd.DataFrame(rows)


def summary(h_ND: torch.Tensor, present_NT: torch.Tensor, shuffled: list[torch.Tensor]) -> dict[str, float]:
    """Return interference between concepts, and what to compare it with.

    ``mean``, ``nearest`` (mean over concepts of the largest) and ``largest`` are over all pairs of concepts,
    ``unrelated`` is the mean over pairs whose labels correlate by less than ``UNRELATED``, if any. Baselines:
    ``random``, ``random_nearest`` of random directions; ``shuffled``, the mean with shuffled labels, of
    directions of nothing in the same features; ``labels``, ``labels_unrelated``, the means with the labels
    themselves as features. ``own_dimension`` is the mean :func:`dimensionality`.
    """
    c_TD = concept_directions(h_ND, present_NT)
    found, chance = interference(c_TD), random_interference(*c_TD.shape)
    floor = interference(concept_directions(present_NT.double(), present_NT))
    unrelated_TT = torch.corrcoef(present_NT.double().T).abs().fill_diagonal_(1) < UNRELATED
    nothing = [interference(concept_directions(h_ND, labels_NT)).mean_T.mean() for labels_NT in shuffled]
    return {
        "width": c_TD.shape[1],
        "concepts": len(c_TD),
        "unrelated_pairs": int(unrelated_TT.sum()) // 2,
        "mean": found.mean_T.mean().item(),
        "unrelated": found.cos_TT[unrelated_TT].mean().item(),
        "nearest": found.max_T.mean().item(),
        "largest": found.max_T.max().item(),
        "random": chance.mean,
        "random_nearest": chance.max,
        "shuffled": sum(nothing).item() / len(nothing),
        "labels": floor.mean_T.mean().item(),
        "labels_unrelated": floor.cos_TT[unrelated_TT].mean().item(),
        "effective_rank": effective_rank(c_TD),
        "own_dimension": dimensionality(c_TD).mean().item(),
        "per_dimension": concepts_per_dimension(c_TD),
    }
