"""How a quantity goes along with another over a few groups of models: rank correlation, stated honestly.

Networks of one training regime are repetitions, not independent evidence. The correlation over all networks
is therefore given beside its range over seeds, and the p-value counts regimes: of all ways to hand out the
regimes' values, the share with a correlation at least as strong.
"""

import numpy as np
import pandas as pd
from scipy import stats

from featurelens import checks


def rank_correlation(
    table: pd.DataFrame, x: str, y: str, group: str, repetition: list[str]
) -> dict[str, float]:
    """Spearman correlation of two columns, and how much of it would be luck.

    Args:
        table: one row per model.
        x: column of the first quantity.
        y: column of the second quantity.
        group: column that says which models are repetitions of one another.
        repetition: columns that number repetitions, such as backbone and seed.

    Returns:
        ``rho`` over all models; ``low`` and ``high``, the range over repetitions, each with one model per
        group; ``groups``, their number, ``rho_groups`` over the means of the groups, and ``p``, exact and
        two-sided over all their permutations. A constant quantity has no correlation: NaN.

    Raises:
        UnknownNameError: no such column.
        ValueError: missing values, or fewer than three groups.
    """
    for column in (x, y, group, *repetition):
        checks.known("column", column, table)
    if missing := int(table[[x, y]].isna().any(axis=1).sum()):
        raise ValueError(f"expected numbers in {x} and {y}, found {missing} rows without")
    means = table.groupby(group)[[x, y]].mean()
    if len(means) < 3:
        raise ValueError(f"a rank correlation needs at least 3 groups, found {len(means)}")
    by_repetition = [_spearman(rows[x], rows[y]) for _, rows in table.groupby(repetition)]
    return {
        "rho": _spearman(table[x], table[y]),
        "low": np.min(by_repetition),
        "high": np.max(by_repetition),
        "groups": len(means),
        "rho_groups": _spearman(means[x], means[y]),
        "p": _exact_p(means[x].to_numpy(), means[y].to_numpy()),
    }


def _spearman(x, y) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    return float(stats.spearmanr(x, y).statistic)


def _exact_p(x_G: np.ndarray, y_G: np.ndarray) -> float:
    if np.ptp(x_G) == 0 or np.ptp(y_G) == 0:
        return np.nan
    test = stats.permutation_test(
        (x_G,),
        lambda x: abs(_spearman(x, y_G)),
        permutation_type="pairings",
        n_resamples=np.inf,
        alternative="greater",
    )
    return float(test.pvalue)
