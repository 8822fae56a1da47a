"""How many images a scan needs: random samples of a feature set, held against the whole set.

The set plays the world: samples are drawn from it *with* replacement, so that they are independent draws, as
from a world with endlessly many images distributed like these. Without replacement a sample of half the set
would have little left to miss, and every interval would seem better than it is.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from scipy import stats

from featurelens import checks, explorers, extract, imagesets, kernels, outliers, published_features, zoo
from featurelens.miniature import grown
from featurelens.scan_measures import CONFIDENCE, student

SIZES = (2, 5, 10, 20, 50, 100, 200, 500)
SAMPLES, RESAMPLES = 1000, 999
WITHIN = 0.1  # relative distance from the value of all images that counts as near
PUBLISHED = (
    "clip-b16/coco-images",
    "clip-b16/coco-captions",
    "clip-b32/imagenet-photo",
    "videoclip/first",
    "clip-b16-random/coco-images",
)
MINIATURE = (grown.COMPANION, grown.NAME, "supervised-resnet-s0")

Interval = tuple[np.ndarray, np.ndarray]


def percentile(x_RN: np.ndarray, weight_BN: np.ndarray) -> Interval:
    """Return the ends of the percentile bootstrap's 95 % interval of the mean of each row.

    Args:
        x_RN: R samples of N numbers.
        weight_BN: how often each number is in each of B resamples, over N; the same resamples for all rows.
    """
    mean_RB = np.sort(x_RN @ weight_BN.T, axis=1)
    tail_R = np.full(len(x_RN), (1 - CONFIDENCE) / 2)
    return _quantile(mean_RB, tail_R), _quantile(mean_RB, 1 - tail_R)


def bca(x_RN: np.ndarray, weight_BN: np.ndarray) -> Interval:
    """Return the ends of the bias-corrected and accelerated bootstrap's interval, as :func:`percentile`.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), section 14.3; what scipy's
        ``bootstrap`` does unless told otherwise. For a mean the acceleration has a closed form.
    """
    mean_RB, centred_RN = np.sort(x_RN @ weight_BN.T, axis=1), x_RN - x_RN.mean(1, keepdims=True)
    off_RB = mean_RB - x_RN.mean(1, keepdims=True)
    hair_R1 = 1e-12 * np.abs(mean_RB).max(1, keepdims=True)
    below_R = ((off_RB < -hair_R1).mean(1) + (off_RB <= hair_R1).mean(1)) / 2
    bias_R = stats.norm.ppf(below_R.clip(0.5 / len(weight_BN), 1 - 0.5 / len(weight_BN)))
    scale_R = 6 * (centred_RN**2).sum(1) ** 1.5
    skew_R = np.divide((centred_RN**3).sum(1), scale_R, out=np.zeros(len(x_RN)), where=scale_R > 0)
    ends = []
    for tail in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2):
        z_R = bias_R + stats.norm.ppf(tail)
        ends.append(_quantile(mean_RB, stats.norm.cdf(bias_R + z_R / (1 - skew_R * z_R))))
    return ends[0], ends[1]


def _quantile(sorted_RB: np.ndarray, at_R: np.ndarray) -> np.ndarray:
    """Quantile of each row, at another level in each, by linear interpolation."""
    place_R = at_R * (sorted_RB.shape[1] - 1)
    under_R = np.floor(place_R).astype(int).clip(0, sorted_RB.shape[1] - 2)
    row_R = np.arange(len(sorted_RB))
    low_R, high_R = sorted_RB[row_R, under_R], sorted_RB[row_R, under_R + 1]
    return low_R + (place_R - under_R) * (high_R - low_R)


def needed(k_N: np.ndarray, within: float = WITHIN) -> int:
    """Return how many images Student's interval of the mean of ``k_N`` needs to be as narrow as ``within``.

    The half-width of the interval and ``within`` are shares of the mean.

    Raises:
        ValueError: fewer than two numbers.
    """
    if len(k_N) < 2:
        raise ValueError(f"expected the kurtosis of two images or more, found {len(k_N)}")
    relative = np.std(k_N, ddof=1) / np.mean(k_N)
    count = 2
    while stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * relative / np.sqrt(count) > within:
        count += 1
    return count


class Population:
    """A feature set from which random samples are drawn: what each image adds to a sample's statistics."""

    def __init__(self, h_ND: torch.Tensor):
        """Take the features of all images.

        Raises:
            TypeError, ValueError: as :func:`featurelens.kernels.activation_kurtosis`.
        """
        h_ND = checks.features(h_ND).double()
        self.k_N = kernels.activation_kurtosis(h_ND).numpy()
        z4_ND = explorers.standard_scores(h_ND).pow_(4).div_(h_ND.shape[1]).numpy()
        self.share = z4_ND.mean(0).max() / self.k_N.mean()
        self.present_D = (z4_ND >= 3).mean(0)
        self._ever_D = self.present_D > 0  # coordinates that some sample might name
        self._big_NE = (z4_ND[:, self._ever_D] >= 3).astype(np.float32)
        self._z4_ND = z4_ND.astype(np.float32)

    def draw(self, size: int, samples: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Return of each of R random samples: its kurtoses, its top share, and whether it names the same.

        Returns:
            k_RN: kurtosis of its ``size`` images; share_R: largest share of one coordinate; same_R: whether
            its outlier coordinates are exactly those of all images.
        """
        count = len(self.k_N)
        row_RN = rng.integers(0, count, (samples, size))
        flat = (row_RN + count * np.arange(samples)[:, None]).ravel()
        times_RN = np.bincount(flat, minlength=samples * count).reshape(samples, count).astype(np.float32)
        c_RD = times_RN @ self._z4_ND
        named_RE = 2 * (times_RN @ self._big_NE) >= size
        same_R = (named_RE == (self.present_D[self._ever_D] >= 0.5)).all(1)
        return self.k_N[row_RN], c_RD.max(1) / c_RD.sum(1), same_R


def study(
    features: Mapping[str, torch.Tensor], sizes: Sequence[int] = SIZES, samples: int = SAMPLES, seed: int = 0
) -> pd.DataFrame:
    """Return what random samples of each size say of each feature set, one row a set and size.

    Columns: ``name``, ``images`` (of the set), ``n`` (of a sample); ``kurtosis_low`` and ``kurtosis_high``,
    5 % and 95 % quantile over samples of the mean kurtosis over that of all images; ``share_low`` and
    ``share_high``, the same of the top share; ``same``, share of samples that name the outlier coordinates
    of all images and no other; ``student``, ``percentile`` and ``bca``, share of samples whose 95 % interval
    contains the mean kurtosis of all images.

    Raises:
        TypeError, ValueError: as :func:`featurelens.kernels.activation_kurtosis`.
    """
    rows = []
    for name, h_ND in features.items():
        whole, rng = Population(h_ND), np.random.default_rng(seed)
        mean = whole.k_N.mean()
        for size in sizes:
            k_RN, share_R, same_R = whole.draw(size, samples, rng)
            weight_BN = rng.multinomial(size, np.full(size, 1 / size), RESAMPLES) / size
            ends = {"student": student(k_RN), "percentile": percentile(k_RN, weight_BN)}
            ends["bca"] = bca(k_RN, weight_BN)
            covers = {key: np.mean((low <= mean) & (mean <= high)) for key, (low, high) in ends.items()}
            kurtosis_low, kurtosis_high = np.quantile(k_RN.mean(1) / mean, (0.05, 0.95))
            share_low, share_high = np.quantile(share_R / whole.share, (0.05, 0.95))
            row = {"name": name, "images": len(whole.k_N), "n": size, "kurtosis_low": kurtosis_low}
            row |= {"kurtosis_high": kurtosis_high, "share_low": share_low, "share_high": share_high}
            rows.append(row | {"same": same_R.mean()} | covers)
    return pd.DataFrame(rows)


def enough(features: Mapping[str, torch.Tensor], samples: int = SAMPLES, seed: int = 1) -> pd.DataFrame:
    """Return how many images are enough for ±10 % of each set's mean kurtosis, and whether they are.

    Columns: ``name``, ``images``, ``kurtosis``, ``deviation`` (of the kurtosis over images, relative to the
    mean), ``share`` (of the top coordinate), ``outliers``, ``present`` (share of images in which a coordinate
    adds 3 or more, of the one nearest to one half), ``needed`` (:func:`needed`), ``within`` (share of random
    samples of that many images whose mean kurtosis is within 10 %).
    """
    rows = []
    for name, h_ND in features.items():
        whole, rng = Population(h_ND), np.random.default_rng(seed)
        mean, size = whole.k_N.mean(), needed(whole.k_N)
        k_RN, _, _ = whole.draw(size, samples, rng)
        named = np.flatnonzero(whole.present_D >= 0.5)
        row = {"name": name, "images": len(whole.k_N), "kurtosis": mean}
        row |= {"deviation": whole.k_N.std(ddof=1) / mean, "share": whole.share}
        row |= {"outliers": " ".join(map(str, named)) or "none"}
        row |= {"present": whole.present_D[np.abs(whole.present_D - 0.5).argmin()], "needed": size}
        rows.append(row | {"within": np.mean(np.abs(k_RN.mean(1) / mean - 1) <= WITHIN)})
    return pd.DataFrame(rows)


def published() -> dict[str, torch.Tensor]:
    """Return real features that others published: CLIP's and VideoCLIP's.

    Raises:
        Unreachable: a file is neither in a mirror nor downloadable.
    """
    return {name: published_features.load(name) for name in PUBLISHED}


def supervised() -> dict[str, torch.Tensor]:
    """Return EfficientNet-Lite0's features of 1,000 photographs.

    Raises:
        Unreachable: images or weights are not here.
    """
    name, photos = outliers.SUPERVISED[0], imagesets.load(outliers.SAMPLE)
    return {name: extract.features(outliers.supervised_encoders()[name], photos).h_ND}


def miniature() -> dict[str, torch.Tensor]:
    """Return the features of three miniature networks on ``base-val``, at every feature point."""
    images, found = imagesets.load("miniature/base-val"), {}
    for name in MINIATURE:
        encoder = zoo.load(f"miniature/{name}")
        found |= {f"{name} ({p})": extract.features(encoder, images, point=p).h_ND for p in encoder.dims}
    return found
