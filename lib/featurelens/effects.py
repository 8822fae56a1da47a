"""Main effects of a two-level factorial experiment, with intervals from its repetitions."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from featurelens import checks


def main_effects(
    table: pd.DataFrame, factors: Mapping[str, object], response: str, level: float = 0.95
) -> pd.DataFrame:
    """How much a response changes when one factor goes from its low to its high level.

    A linear model with one coefficient a factor, fitted by least squares. The error is that between runs of
    the same settings, so that what the factors do together does not pass for noise.

    Args:
        table: one row per run, each setting at least twice.
        factors: column -> its high level; all other values of the column are the low level.
        response: column of the response.
        level: confidence of the intervals.

    Returns:
        One row a ``factor``: its ``effect``, in units of the response, the interval from ``low`` to ``high``,
        and ``p``.

    Raises:
        UnknownNameError: no such column.
        ValueError: a factor with one level only, settings that cannot tell the factors apart, or no setting
            run twice.

    Source: Box, Hunter and Hunter, Statistics for Experimenters, 2nd edition, chapters 5 and 6.
    """
    for column in (*factors, response):
        checks.known("column", column, table)
    x_NF = np.stack([np.where(table[name] == high, 1.0, -1.0) for name, high in factors.items()], axis=1)
    x_NP, y_N = np.column_stack([np.ones(len(x_NF)), x_NF]), table[response].to_numpy(dtype=float)
    if constant := [name for name, x_N in zip(factors, x_NF.T, strict=True) if np.ptp(x_N) == 0]:
        raise ValueError(f"expected two levels of every factor, found one of {', '.join(constant)}")
    if np.linalg.matrix_rank(x_NP) < x_NP.shape[1]:
        raise ValueError("expected settings that tell the factors apart, found factors that go together")
    variance, freedom = _pure_error(x_NF, y_N)
    coefficient_P = np.linalg.lstsq(x_NP, y_N, rcond=None)[0]
    se_P = np.sqrt(variance * np.diag(np.linalg.inv(x_NP.T @ x_NP)))
    half_P = stats.t.ppf((1 + level) / 2, freedom) * se_P
    p_P = 2 * stats.t.sf(np.abs(coefficient_P) / np.maximum(se_P, np.finfo(float).tiny), freedom)
    # From -1 to +1 is two units of x.
    effect_F, half_F = 2 * coefficient_P[1:], 2 * half_P[1:]
    return pd.DataFrame(
        {
            "factor": list(factors),
            "effect": effect_F,
            "low": effect_F - half_F,
            "high": effect_F + half_F,
            "p": p_P[1:],
        }
    )


def _pure_error(x_NF: np.ndarray, y_N: np.ndarray) -> tuple[float, int]:
    """Variance between runs of the same settings, and its degrees of freedom."""
    _, setting_N = np.unique(x_NF, axis=0, return_inverse=True)
    by_setting = [y_N[setting_N == setting] for setting in range(setting_N.max() + 1)]
    freedom = len(y_N) - len(by_setting)
    if freedom == 0:
        raise ValueError(f"expected a setting that was run twice, found {len(y_N)} different settings")
    return sum(((y - y.mean()) ** 2).sum() for y in by_setting) / freedom, freedom
