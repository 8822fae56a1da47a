"""Outlier coordinates of a matrix of features: how large, in how many images, constant or not."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch

from featurelens import kernels

# Of the mean square of a coordinate's standard scores, the square of their mean is what is the same in every
# image. From this share on the coordinate is a constant offset, below that one it is image-dependent.
CONSTANT, DEPENDENT = 0.9, 0.5


class Coordinate(NamedTuple):
    """One coordinate; z is its distance from its image's mean in that image's standard deviations.

    Attributes:
        index: which coordinate.
        kurtosis_share: its share of the mean kurtosis.
        distance: median over images of ``|z|``.
        times_median: ``distance`` over that of the median coordinate; None where that is 0.
        present: share of images in which it alone adds 3 or more to the kurtosis.
        leads: share of images in which it lies furthest from the mean.
        offset: mean of z over images; ``spread``: its standard deviation.
        constant_share: offset squared over the mean of z squared.
        kind: *constant offset*, *image-dependent* or *both*.
    """

    index: int
    kurtosis_share: float
    distance: float
    times_median: float | None
    present: float
    leads: float
    offset: float
    spread: float
    constant_share: float
    kind: str


def found(h_ND: torch.Tensor, distance_D: np.ndarray) -> list[Coordinate]:
    """Return the outlier coordinates (:func:`featurelens.kernels.outlier_coordinates`), largest first.

    Args:
        h_ND: features.
        distance_D: their :func:`featurelens.outliers.distances`.

    Raises:
        TypeError, ValueError: as :func:`featurelens.kernels.activation_kurtosis`.
    """
    return described(h_ND, distance_D, kernels.outlier_coordinates(h_ND).tolist())


def described(h_ND: torch.Tensor, distance_D: np.ndarray, chosen: Iterable[int]) -> list[Coordinate]:
    """Return the ``chosen`` coordinates in their order, with the arguments and errors of :func:`found`."""
    c_D, width, usual = kernels.kurtosis_contributions(h_ND), h_ND.shape[1], float(np.median(distance_D))
    leader_N = (h_ND - h_ND.mean(1, keepdim=True)).abs().argmax(1)
    std_N1, mean_N1 = torch.std_mean(h_ND.double(), 1, correction=0, keepdim=True)
    rows = []
    for j in chosen:
        z_N = ((h_ND[:, [j]] - mean_N1) / std_N1)[:, 0].numpy()
        square = float((z_N**2).mean())
        constant = float(z_N.mean()) ** 2 / square if square else 0.0
        rows.append(
            Coordinate(
                index=j,
                kurtosis_share=(c_D[j] / c_D.sum()).item(),
                distance=float(distance_D[j]),
                times_median=float(distance_D[j]) / usual if usual else None,
                present=float((z_N**4 >= 3 * width).mean()),
                leads=(leader_N == j).double().mean().item(),
                offset=float(z_N.mean()),
                spread=float(z_N.std()),
                constant_share=constant,
                kind=_kind(constant),
            )
        )
    return rows


def _kind(constant: float) -> str:
    if constant >= CONSTANT:
        return "constant offset"
    return "both" if constant >= DEPENDENT else "image-dependent"
