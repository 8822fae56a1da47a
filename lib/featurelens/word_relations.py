"""What the words have in common that lie far out on a direction: rank correlations, and groups of words.

Tables are those of :func:`featurelens.words.loadings`, or some of their rows: what holds for all words may
come from one family of them, so it has to be asked again within families.
"""

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from featurelens import checks
from featurelens.words import FACTS, score_columns

RESAMPLES = 1000
FEWEST = 30
# With fewer words off a fact's commonest value, a resample might have none, and no correlation.
FEWEST_OFF = 15


def relations(table: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Return how scores go with the facts known of the words; all on ranks.

    ``measure`` is *spearman*, the rank correlation with one ``fact``; *partial*, the same with all other
    facts of the table held fixed (linearly, on ranks); and *explained*, the share of a score's variance (of
    ranks) that all facts explain together. ``low`` and ``high`` bound the middle 95 % of 1,000 bootstrap
    resamples of the words. They take words for independent draws: with families of alike words the truth is
    wider.

    Args:
        table: scores and some of ``words.FACTS``; other columns are ignored.
        seed: of the resamples.

    Returns:
        ``score``, ``fact`` (*all* for *explained*), ``measure``, ``value``, ``low``, ``high``.

    Raises:
        ValueError: no facts or no scores, fewer than 30 words, or a column with one value for nearly all.
    """
    known, columns = [fact for fact in FACTS if fact in table], score_columns(table)
    if not known or not columns:
        raise ValueError(f"expected scores and facts ({', '.join(FACTS)}), found {', '.join(table)}")
    if len(table) < FEWEST:
        raise ValueError(f"expected at least {FEWEST} words, found {len(table)}")
    for column in known + columns:
        if (off := len(table) - table[column].value_counts().max()) < FEWEST_OFF:
            expected = f"at least {FEWEST_OFF} words off the commonest value"
            raise ValueError(f"{column}: expected {expected}, found {off}; leave the column out")
    x_NV = table[known + columns].to_numpy(float)
    generator = np.random.default_rng(seed)
    draws = (generator.integers(len(x_NV), size=len(x_NV)) for _ in range(RESAMPLES))
    value_M = _measured(x_NV, len(known))
    low_M, high_M = np.quantile(
        [_measured(x_NV[draw_N], len(known)) for draw_N in draws], (0.025, 0.975), axis=0
    )
    rows = [
        (score, fact, measure)
        for score in columns
        for measure, each in (("spearman", known), ("partial", known), ("explained", ["all"]))
        for fact in each
    ]
    frame = pd.DataFrame(rows, columns=["score", "fact", "measure"])
    return frame.assign(value=value_M, low=low_M, high=high_M)


def _measured(x_NV: np.ndarray, n_facts: int) -> np.ndarray:
    """The three measures of every score, facts first among the columns, in the order of the rows above."""
    r_VV = np.corrcoef(rankdata(x_NV, axis=0), rowvar=False)
    parts = []
    for score in range(n_facts, len(r_VV)):
        chosen = [score, *range(n_facts)]
        p_VV = np.linalg.inv(r_VV[np.ix_(chosen, chosen)])
        partial_F = -p_VV[0, 1:] / np.sqrt(p_VV[0, 0] * p_VV.diagonal()[1:])
        parts += [r_VV[score, :n_facts], partial_F, [1 - 1 / p_VV[0, 0]]]
    return np.concatenate(parts)


def groups(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """Return the mean score of each group of words, and the share of a score's variance between groups.

    Args:
        table: with scores.
        by: column that names the groups.

    Returns:
        ``score``, ``group``, ``words`` (how many), ``mean``, ``between`` (once a score).

    Raises:
        UnknownNameError: no such column.
    """
    checks.known("column", by, table)
    columns = score_columns(table)
    size_G = table.groupby(by, sort=False).size()
    mean_GS = table.groupby(by, sort=False)[columns].mean()
    off_GS = mean_GS - table[columns].mean()
    between_S = off_GS.pow(2).mul(size_G, axis=0).sum() / len(table) / table[columns].var(ddof=0)
    parts = [
        pd.DataFrame({"score": column, "group": size_G.index, "words": size_G.to_numpy()}).assign(
            mean=mean_GS[column].to_numpy(), between=between_S[column]
        )
        for column in columns
    ]
    return pd.concat(parts, ignore_index=True)
