"""Rank correlation over groups: against scipy and brute force, its extremes, and what it refuses."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from featurelens import checks
from featurelens.association import rank_correlation

GROUPS = ("a", "b", "c", "d", "e")


def _table(seed=0, seeds=3):
    random = np.random.default_rng(seed)
    rows = [
        {"regime": g, "seed": s, "x": random.normal(), "y": i + random.normal()}
        for i, g in enumerate(GROUPS)
        for s in range(seeds)
    ]
    return pd.DataFrame(rows)


def test_equals_scipy_and_counting_all_permutations():
    table = _table()
    found = rank_correlation(table, "x", "y", "regime", ["seed"])
    assert found["rho"] == pytest.approx(stats.spearmanr(table.x, table.y).statistic)
    by_seed = [stats.spearmanr(rows.x, rows.y).statistic for _, rows in table.groupby("seed")]
    assert (found["low"], found["high"]) == (pytest.approx(min(by_seed)), pytest.approx(max(by_seed)))
    means = table.groupby("regime")[["x", "y"]].mean()
    own = abs(stats.spearmanr(means.x, means.y).statistic)
    every = [abs(stats.spearmanr(x, means.y).statistic) for x in permutations(means.x)]
    assert found["p"] == pytest.approx(np.mean(np.array(every) >= own - 1e-9))
    assert found["groups"] == 5


def test_five_groups_can_not_give_a_smaller_p_than_one_in_sixty():
    table = _table().assign(x=lambda t: t.regime.map(GROUPS.index), y=lambda t: 2.0 * t.x)
    found = rank_correlation(table, "x", "y", "regime", ["seed"])
    assert found["rho"] == pytest.approx(1) and found["rho_groups"] == pytest.approx(1)
    assert found["p"] == pytest.approx(2 / 120)


def test_a_constant_quantity_has_no_correlation():
    found = rank_correlation(_table().assign(x=1.0), "x", "y", "regime", ["seed"])
    assert all(np.isnan(found[key]) for key in ("rho", "rho_groups", "p", "low", "high"))


def test_bad_input_is_one_line():
    table = _table()
    with pytest.raises(checks.UnknownNameError, match="unknown column 'z'"):
        rank_correlation(table, "z", "y", "regime", ["seed"])
    with pytest.raises(ValueError, match="found 2 rows without"):
        rank_correlation(table.assign(x=table.x.where(table.index > 1)), "x", "y", "regime", ["seed"])
    with pytest.raises(ValueError, match="at least 3 groups, found 2"):
        rank_correlation(table[table.regime.isin(["a", "b"])], "x", "y", "regime", ["seed"])
