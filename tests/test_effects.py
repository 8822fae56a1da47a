"""Main effects: recovered exactly without noise, against scikit-learn with it; coverage of the intervals."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from featurelens import checks
from featurelens.effects import main_effects

FACTORS = {"colour": "red", "size": 2, "norm": True}


def _runs(noise=0.0, seed=0, repetitions=2):
    random = np.random.default_rng(seed)
    rows = []
    for colour, size, norm in product(("blue", "red"), (1, 2), (False, True)):
        for _ in range(repetitions):
            y = 3 + 1.5 * (colour == "red") - 0.5 * (size == 2) + noise * random.normal()
            rows.append({"colour": colour, "size": size, "norm": norm, "y": y})
    return pd.DataFrame(rows)


def test_effects_without_noise_are_exact():
    found = main_effects(_runs(), FACTORS, "y").set_index("factor")
    assert found["effect"].to_dict() == pytest.approx({"colour": 1.5, "size": -0.5, "norm": 0.0}, abs=1e-12)
    assert np.allclose(found["high"], found["low"])


def test_equals_scikit_learn_on_an_unbalanced_design():
    table = _runs(noise=0.3).iloc[:-3]
    found = main_effects(table, FACTORS, "y")["effect"].to_numpy()
    x = np.stack([(table[name] == high).to_numpy(dtype=float) for name, high in FACTORS.items()], axis=1)
    assert found == pytest.approx(LinearRegression().fit(x, table["y"]).coef_)


def test_intervals_cover_the_truth_as_often_as_they_say():
    hits = []
    for seed in range(300):
        found = main_effects(_runs(noise=1.0, seed=seed), FACTORS, "y").set_index("factor")
        hits.append(found.loc["colour", "low"] <= 1.5 <= found.loc["colour", "high"])
    assert 0.91 <= np.mean(hits) <= 0.985


def test_what_factors_do_together_is_not_taken_for_noise():
    table = _runs()
    table["y"] += 5.0 * ((table["colour"] == "red") == (table["size"] == 2))
    found = main_effects(table, FACTORS, "y").set_index("factor")
    assert found.loc["colour", "effect"] == pytest.approx(1.5)
    assert found.loc["colour", "high"] - found.loc["colour", "low"] == pytest.approx(0, abs=1e-9)


def test_bad_input_is_one_line():
    with pytest.raises(checks.UnknownNameError, match="unknown column 'colou'"):
        main_effects(_runs(), {"colou": "red"}, "y")
    with pytest.raises(ValueError, match="two levels of every factor, found one of colour"):
        main_effects(_runs().query("colour == 'red'"), FACTORS, "y")
    with pytest.raises(ValueError, match="factors that go together"):
        main_effects(_runs().assign(twin=lambda t: t["size"]), {"size": 2, "twin": 2}, "y")
    with pytest.raises(ValueError, match="a setting that was run twice, found 8 different"):
        main_effects(_runs(repetitions=1), FACTORS, "y")
