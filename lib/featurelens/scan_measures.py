"""What a scan measures on a matrix of features: kurtosis, who causes it, rank, norm, and what a head uses."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats

from featurelens import checks, kernels, outliers, pruning, scan_coordinates
from featurelens.heads import LinearHead
from featurelens.scan_coordinates import Coordinate

# Without an outlier coordinate kurtosis counts as heavy from this multiple of the Gaussian value on.
HEAVY = 2
CONFIDENCE = 0.95  # of the interval of the mean kurtosis
LOSS = 0.02  # decisions that a pruned head may change, a share of the images


@dataclass(frozen=True, eq=False)
class Measured:
    """Numbers by name, outlier coordinates (largest first), and what figures are drawn from.

    Attributes:
        values: see :func:`measure`.
        coordinates: outlier coordinates.
        pattern: *outlier direction*, *heavy tails without an outlier* or *no heavy tails*.
        k_N: kurtosis of each image.
        distance_D: median over images of each coordinate's ``|z|``.
        agreement_K1: share of decisions that stay with the k most important directions; None without a head.
    """

    values: dict[str, float | int]
    coordinates: list[Coordinate]
    pattern: str
    k_N: np.ndarray
    distance_D: np.ndarray
    agreement_K1: np.ndarray | None


@torch.no_grad()
def measure(h_ND: torch.Tensor, head: LinearHead | None = None, left_out: int = 0) -> Measured:
    """Measure features, and what a head does with them.

    Outlier coordinates are those of :func:`featurelens.kernels.outlier_coordinates`; importance is
    that of :func:`featurelens.kernels.importance`. How far a head can be pruned is judged by its own
    decisions, since labels are not known: one half of the images gives the order of importance, the other
    is judged.

    Args:
        h_ND: features, one row an image, two or more.
        head: that reads them.
        left_out: images that have no features; only counted.

    Returns:
        Measured; its ``values`` are those of :mod:`featurelens.scan_fields`.

    Raises:
        TypeError, ValueError: as :func:`featurelens.kernels.activation_kurtosis`; one image, images whose
            features are all the same, a head of another width or of one class.
    """
    h_ND = checks.features(h_ND).cpu()
    if len(h_ND) < 2:
        raise ValueError("features: expected two images or more, found one")
    if head is not None:
        _fits(head, h_ND)
    k_N = kernels.activation_kurtosis(h_ND).double()
    distance_D = outliers.distances(h_ND).numpy()
    coordinates = scan_coordinates.found(h_ND, distance_D)
    values = {"images": len(h_ND), "left_out": left_out}
    values |= _kurtosis(h_ND, k_N) | _causes(h_ND, coordinates) | _size(h_ND)
    agreement_K1 = None
    if head is not None:
        importances, agreement_K1 = _head(h_ND, head, [each.index for each in coordinates])
        values |= importances
    heavy = values["kurtosis"] >= HEAVY * values["kurtosis_gaussian"]
    pattern = "heavy tails without an outlier" if heavy else "no heavy tails"
    pattern = "outlier direction" if coordinates else pattern
    return Measured(values, coordinates, pattern, k_N.numpy(), distance_D, agreement_K1)


def _fits(head: LinearHead, h_ND: torch.Tensor) -> None:
    w_CD = checks.features(head.w_CD, "head")
    if w_CD.shape[1] != h_ND.shape[1]:
        raise ValueError(f"head: expected one of {h_ND.shape[1]} features, found one of {w_CD.shape[1]}")
    if len(w_CD) < 2:
        raise ValueError("head: expected two classes or more, found one")


def _kurtosis(h_ND: torch.Tensor, k_N: torch.Tensor) -> dict[str, float]:
    n_images, width = h_ND.shape
    low, high = student(k_N.numpy())
    ceiling = width - 2 + 1 / (width - 1)
    centred_ND = h_ND.double() - h_ND.double().mean(0)
    spread_N = centred_ND.amax(1) - centred_ND.amin(1)
    differs_N = spread_N > 1e-9 * (h_ND.amax() - h_ND.amin())  # of an image that is the mean nothing is left
    if not differs_N.any():
        raise ValueError(f"features: expected images that differ, found {n_images} that are the same")
    return {
        "width": width,
        "kurtosis": k_N.mean().item(),
        # No kurtosis is below 1 or above the ceiling, however few the images.
        "kurtosis_low": max(low.item(), 1.0),
        "kurtosis_high": min(high.item(), ceiling),
        **{f"kurtosis_p{100 * q:02.0f}": k_N.quantile(q).item() for q in outliers.QUANTILES},
        "kurtosis_gaussian": 3 * (width - 1) / (width + 1),
        "kurtosis_ceiling": ceiling,
        "kurtosis_rotated": outliers.rotated_kurtosis(h_ND, seed=0),
        "kurtosis_centred": outliers.mean_kurtosis(centred_ND[differs_N]),
    }


def student(x_RN: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of Student's 95 % interval of the mean of each row, which has two numbers or more.

    Chapter 7 measures how often it holds the value of all images: about as often as it says from two images
    on, where intervals of the bootstrap are too short.
    """
    count = x_RN.shape[-1]
    reach_R = stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * stats.sem(x_RN, axis=-1)
    mean_R = x_RN.mean(-1)
    return mean_R - reach_R, mean_R + reach_R


def _causes(h_ND: torch.Tensor, coordinates: list[Coordinate]) -> dict[str, float | int]:
    c_D = kernels.kurtosis_contributions(h_ND)
    share_D = (c_D / c_D.sum()).sort(descending=True).values
    leader_N = (h_ND - h_ND.mean(1, keepdim=True)).abs().argmax(1)
    images_of = leader_N.unique(return_counts=True)[1]
    return {
        "outliers": len(coordinates),
        "top_coordinate": int(c_D.argmax()),
        "top_share": share_D[0].item(),
        "top2_share": share_D[:2].sum().item(),
        "leaders": len(images_of),
        "leader_share": images_of.max().item() / len(h_ND),
        "zeros": (h_ND == 0).double().mean().item(),
    }


def _size(h_ND: torch.Tensor) -> dict[str, float]:
    largest = h_ND.double().abs().max()  # large numbers have no squares
    norm_N = (h_ND.double() / largest).norm(dim=1)
    return {
        "effective_rank": effective_rank(h_ND),
        "norm": (largest * norm_N.mean()).item(),
        "norm_variation": (norm_N.std(correction=0) / norm_N.mean()).item(),
    }


def effective_rank(h_ND: torch.Tensor) -> float:
    """Return the effective rank of the features around their mean; at most min(N - 1, D).

    Source: Roy and Vetterli, "The effective rank" (2007): exponential of the entropy of the singular values
        as shares of their sum.
    """
    centred_ND = h_ND.double() - h_ND.double().mean(0)
    centred_ND = centred_ND / centred_ND.abs().max()
    n_images, width = h_ND.shape
    gram = centred_ND @ centred_ND.T if n_images < width else centred_ND.T @ centred_ND
    square_K = torch.linalg.eigvalsh(gram)
    noise = max(n_images, width) * torch.finfo(torch.float64).eps * square_K.max()
    s_K = square_K.where(square_K > noise, 0).sqrt()
    return torch.special.entr(s_K / s_K.sum()).sum().exp().item()


def _head(
    h_ND: torch.Tensor, head: LinearHead, coordinates: list[int]
) -> tuple[dict[str, float], np.ndarray]:
    """Importances of a head's directions, and the share of its decisions that the first k keep."""
    own = kernels.directions(head.w_CD)
    i_K = kernels.importance(own, h_ND)
    concentration = kernels.concentration(i_K)
    bias_C = None if head.b_C is None else head.b_C.double()
    y_N = kernels.decisions(h_ND, own, bias_C)
    fold_N = torch.randperm(len(h_ND), generator=torch.Generator().manual_seed(0)) % 2
    kept_K1 = sum(
        kernels.pruning_curve(
            h_ND[fold_N == fold],
            own,
            y_N[fold_N == fold],
            kernels.importance(own, h_ND[fold_N != fold]).argsort(descending=True, stable=True),
            bias_C,
        )
        for fold in (0, 1)
    )
    agreement_K1 = (kept_K1.double() / len(h_ND)).numpy()
    values = {
        "classes": len(head.w_CD),
        "directions": len(i_K),
        "importance_top_share": concentration.top_share,
        "importance_effective": concentration.effective,
        "importance_kurtosis": concentration.kurtosis,
        "importance_overlap": kernels.overlap(own, coordinates)[int(i_K.argmax())].item(),
        "prunable": 1 - pruning.kept(agreement_K1, LOSS) / len(i_K),
    }
    return values, agreement_K1
