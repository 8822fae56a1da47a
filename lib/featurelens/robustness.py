"""Effective robustness: accuracy under shift beyond what accuracy without shift predicts.

Baseline models lie close to a line when both accuracies are put on a logit scale. The effective robustness of
a model is its height above that line, in percentage points. All accuracies here are fractions strictly
between 0 and 1: the logit of 0 or 1 is infinite, and clipping it would let one model set the slope.

Source: Taori et al. 2020, Measuring Robustness to Natural Distribution Shifts in Image Classification.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from scipy.stats import beta

from featurelens import checks


@dataclass(frozen=True)
class BaselineFit:
    """A least-squares line on logit axes, and the range of accuracies it was fitted on."""

    slope: float
    intercept: float
    r2: float
    n: int
    x_min: float
    x_max: float

    def predict(self, acc_in: ArrayLike) -> NDArray:
        """Return the accuracy under shift that a baseline of accuracy ``acc_in`` is expected to reach."""
        return expit(self.slope * logit(accuracies(acc_in, "acc_in")) + self.intercept)

    def extrapolates(self, acc_in: ArrayLike) -> NDArray:
        """Return True where ``acc_in`` lies outside the accuracies of the models that were fitted."""
        x = accuracies(acc_in, "acc_in")
        return (x < self.x_min) | (x > self.x_max)


@dataclass(frozen=True)
class SegmentedFit:
    """Two lines on logit axes, one for accuracies up to ``at`` and one above; they need not meet."""

    below: BaselineFit
    above: BaselineFit
    at: float

    def predict(self, acc_in: ArrayLike) -> NDArray:
        """Return the expected accuracy under shift, from the segment that ``acc_in`` falls in."""
        x = np.asarray(acc_in)
        return np.where(x <= self.at, self.below.predict(x), self.above.predict(x))

    def extrapolates(self, acc_in: ArrayLike) -> NDArray:
        """Return True where ``acc_in`` lies outside the accuracies of all models that were fitted."""
        x = accuracies(acc_in, "acc_in")
        return (x < self.below.x_min) | (x > self.above.x_max)


Fit = BaselineFit | SegmentedFit


def accuracies(values: ArrayLike, name: str) -> NDArray:
    """Return ``values`` as float64 fractions.

    Raises:
        ValueError: a value that is not strictly between 0 and 1 (0 %, 100 %, percentages, NaN).
    """
    values = np.asarray(values, dtype=np.float64)
    if (bad := ~((values > 0) & (values < 1))).any():
        raise ValueError(
            f"{name}: expected fractions strictly between 0 and 1, found {values[bad].flat[0]:g}"
        )
    return values


def _logits(acc_in: ArrayLike, acc_shift: ArrayLike) -> tuple[NDArray, NDArray]:
    """Return both coordinates of the models on logit axes, after checking that a line can be fitted."""
    x_N, y_N = accuracies(acc_in, "acc_in"), accuracies(acc_shift, "acc_shift")
    if x_N.shape != y_N.shape or x_N.ndim != 1:
        raise ValueError(
            f"expected one pair of accuracies per model, found shapes {x_N.shape} and {y_N.shape}"
        )
    if len(np.unique(x_N)) < 3:
        raise ValueError(f"a baseline needs at least 3 different accuracies, found {len(np.unique(x_N))}")
    return logit(x_N), logit(y_N)


def _line(x: NDArray, y: NDArray) -> tuple[NDArray, NDArray]:
    """Return least-squares slope and intercept along the last axis."""
    dx = x - x.mean(-1, keepdims=True)
    slope = (dx * y).sum(-1) / (dx * dx).sum(-1)
    return slope, y.mean(-1) - slope * x.mean(-1)


def fit_baseline(acc_in: ArrayLike, acc_shift: ArrayLike) -> BaselineFit:
    """Fit logit(acc_shift) = slope * logit(acc_in) + intercept to N baseline models.

    Raises:
        ValueError: accuracies outside (0, 1), different lengths, fewer than 3 different accuracies.

    Source: Taori et al. 2020, section 3.
    """
    x_N, y_N = _logits(acc_in, acc_shift)
    slope, intercept = _line(x_N, y_N)
    total = ((y_N - y_N.mean()) ** 2).sum()
    r2 = 1 - ((y_N - slope * x_N - intercept) ** 2).sum() / total if total else 1.0
    x_min, x_max = np.min(acc_in), np.max(acc_in)
    return BaselineFit(float(slope), float(intercept), float(r2), len(x_N), float(x_min), float(x_max))


def fit_segments(acc_in: ArrayLike, acc_shift: ArrayLike, at: float) -> SegmentedFit:
    """Fit one line to the models with ``acc_in`` up to ``at`` and another to those above.

    ImageNet-A needs it: its images were chosen because a ResNet-50 gets them wrong, so accuracies bend
    upwards where ImageNet accuracy passes that of the ResNet-50.

    Raises:
        ValueError: as ``fit_baseline``, for either segment.
    """
    x_N, y_N = np.asarray(acc_in), np.asarray(acc_shift)
    if x_N.shape != y_N.shape:
        raise ValueError(
            f"expected one pair of accuracies per model, found shapes {x_N.shape} and {y_N.shape}"
        )
    low_N = x_N <= at
    return SegmentedFit(fit_baseline(x_N[low_N], y_N[low_N]), fit_baseline(x_N[~low_N], y_N[~low_N]), at)


def effective_robustness(acc_in: ArrayLike, acc_shift: ArrayLike, fit: Fit) -> float | NDArray:
    """Return accuracy under shift minus the baseline's, in percentage points; arrays give arrays.

    Raises:
        ValueError: accuracies outside (0, 1).
    """
    er = 100 * (accuracies(acc_shift, "acc_shift") - fit.predict(acc_in))
    return float(er) if np.ndim(er) == 0 else er


def pairs(accuracy: pd.DataFrame, base: str) -> pd.DataFrame:
    """Pair each model's accuracy on every shifted image set with its accuracy on ``base``.

    Args:
        accuracy: one row per model and image set: ``model``, ``image_set``, ``accuracy`` (fraction), and
            columns that describe the model, which are kept.
        base: the image set without shift.

    Returns:
        One row per model and shift, with ``shift``, ``acc_in`` and ``acc_shift``; a model that was not
        measured on ``base`` is left out.

    Raises:
        UnknownNameError: no row has the image set ``base``.
    """
    checks.known("image set", base, accuracy["image_set"].unique())
    on_base = accuracy["image_set"] == base
    acc_in = accuracy[on_base].set_index("model")["accuracy"].rename("acc_in")
    shifted = accuracy[~on_base].rename(columns={"image_set": "shift", "accuracy": "acc_shift"})
    return shifted.join(acc_in, on="model", how="inner").reset_index(drop=True)


def with_logit(paired: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of ``paired`` whose accuracies both lie between 0 and 1: others have no logit."""
    both = paired[["acc_in", "acc_shift"]]
    return paired[(both > 0).all(axis=1) & (both < 1).all(axis=1)]


def score(paired: pd.DataFrame, fits: dict[str, Fit]) -> pd.DataFrame:
    """Add ``er`` (percentage points) and ``extrapolated`` to the shifts of ``paired`` that have a fit.

    Raises:
        ValueError: accuracies outside (0, 1).
    """
    scored = []
    for shift, fit in fits.items():
        rows = paired[paired["shift"] == shift]
        er = effective_robustness(rows["acc_in"], rows["acc_shift"], fit)
        scored.append(rows.assign(er=er, extrapolated=fit.extrapolates(rows["acc_in"])))
    return pd.concat(scored, ignore_index=True)


def bootstrap_band(
    acc_in: ArrayLike,
    acc_shift: ArrayLike,
    at: ArrayLike,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[NDArray, NDArray]:
    """Return the lower and upper edge of the baseline's band at the accuracies ``at``, by resampling models.

    A resample in which all models are the same has no slope and is left out.

    Raises:
        ValueError: as ``fit_baseline``.
    """
    x_N, y_N = _logits(acc_in, acc_shift)
    drawn_RN = np.random.default_rng(seed).integers(len(x_N), size=(n_resamples, len(x_N)))
    drawn_RN = drawn_RN[np.ptp(x_N[drawn_RN], axis=1) > 0]
    slope_R, intercept_R = _line(x_N[drawn_RN], y_N[drawn_RN])
    lines_RG = slope_R[:, None] * logit(accuracies(at, "at")) + intercept_R[:, None]
    low_G, high_G = np.quantile(lines_RG, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return expit(low_G), expit(high_G)


def clopper_pearson(correct: ArrayLike, n: ArrayLike, alpha: float = 0.005) -> tuple[NDArray, NDArray]:
    """Return the exact binomial interval of an accuracy of ``correct`` out of ``n`` images.

    Raises:
        ValueError: counts that are negative, or more correct than images.

    Source: Clopper and Pearson 1934; alpha = 0.005 is the testbed's choice.
    """
    k, n = np.asarray(correct, dtype=np.float64), np.asarray(n, dtype=np.float64)
    if ((k < 0) | (k > n) | (n < 1)).any():
        raise ValueError("expected 0 <= correct <= n and n >= 1")
    with np.errstate(invalid="ignore"):  # the edges at k = 0 and k = n are set, not computed
        low = np.where(k == 0, 0.0, beta.ppf(alpha / 2, k, n - k + 1))
        high = np.where(k == n, 1.0, beta.ppf(1 - alpha / 2, k + 1, n - k))
    return low, high
