"""Baseline fits, effective robustness and their intervals, against independent references."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit, logit
from scipy.stats import binomtest, linregress

from featurelens import robustness
from featurelens.checks import UnknownNameError

fractions = st.floats(0.01, 0.99)
several = hnp.arrays(float, st.integers(4, 30), elements=fractions, unique=True)


def scattered(n=40, slope=0.9, intercept=-1.2, noise=0.1, seed=0):
    """Accuracies of ``n`` models around a known line."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.5, 0.9, n)
    return x, expit(slope * logit(x) + intercept + noise * rng.standard_normal(n))


def test_fit_equals_linregress_on_logits():
    x, y = scattered()
    fit, reference = robustness.fit_baseline(x, y), linregress(logit(x), logit(y))
    assert fit.slope == pytest.approx(reference.slope, rel=1e-12)
    assert fit.intercept == pytest.approx(reference.intercept, rel=1e-12)
    assert fit.r2 == pytest.approx(reference.rvalue**2, rel=1e-12)
    assert (fit.n, fit.x_min, fit.x_max) == (40, x.min(), x.max())


@given(several, st.floats(-3, 3), st.floats(-2, 2))
def test_line_is_recovered_and_gives_no_effective_robustness(x, slope, intercept):
    spread = np.ptp(logit(x))
    y = expit(slope * logit(x) + intercept)
    fit = robustness.fit_baseline(x, y)
    assert fit.slope == pytest.approx(slope, abs=1e-6 / spread)
    assert robustness.effective_robustness(x, y, fit) == pytest.approx(np.zeros(len(x)), abs=1e-6)


@given(several)
def test_order_of_models_does_not_matter(x):
    y = expit(logit(x) - 1 + np.sin(50 * x))
    fit, turned = robustness.fit_baseline(x, y), robustness.fit_baseline(x[::-1], y[::-1])
    assert (fit.slope, fit.intercept) == pytest.approx((turned.slope, turned.intercept))


def test_effective_robustness_is_in_percentage_points():
    fit = robustness.BaselineFit(1.0, 0.0, 1.0, 3, 0.5, 0.9)
    er = robustness.effective_robustness(0.6, 0.75, fit)
    assert isinstance(er, float) and er == pytest.approx(15)
    assert robustness.effective_robustness([0.6, 0.7], [0.5, 0.7], fit) == pytest.approx([-10, 0])


@pytest.mark.parametrize("bad", [0.0, 1.0, 76.13, -0.1, np.nan])
@pytest.mark.parametrize("side", ["acc_in", "acc_shift"])
def test_accuracies_outside_the_open_interval_are_refused(bad, side):
    good = [0.6, 0.7, 0.8]
    given = {"acc_in": good, "acc_shift": good} | {side: [0.6, 0.7, bad]}
    with pytest.raises(ValueError, match=f"{side}: expected fractions strictly between 0 and 1, found"):
        robustness.fit_baseline(**given)
    fit = robustness.fit_baseline(good, good)
    with pytest.raises(ValueError, match=side):
        robustness.effective_robustness(**given, fit=fit)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([0.5, 0.6, 0.7], [0.5, 0.6], r"one pair of accuracies per model, found shapes \(3,\) and \(2,\)"),
        ([0.5, 0.6], [0.4, 0.5], "at least 3 different accuracies, found 2"),
        ([0.5, 0.5, 0.6, 0.6], [0.4, 0.5, 0.4, 0.5], "at least 3 different accuracies, found 2"),
        ([], [], "at least 3 different accuracies, found 0"),
        (0.5, 0.5, "one pair of accuracies per model"),
    ],
)
def test_what_cannot_be_fitted_is_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        robustness.fit_baseline(x, y)


def test_fit_says_where_it_extrapolates():
    fit = robustness.fit_baseline([0.5, 0.6, 0.8], [0.4, 0.5, 0.7])
    assert fit.extrapolates([0.49, 0.5, 0.7, 0.8, 0.81]).tolist() == [True, False, False, False, True]


def test_segments_are_two_independent_fits():
    x = np.array([0.5, 0.6, 0.7, 0.75, 0.8, 0.85])
    y = np.where(x <= 0.7, expit(0.5 * logit(x) - 3), expit(4 * logit(x) - 6))
    fit = robustness.fit_segments(x, y, at=0.7)
    assert (fit.below.slope, fit.above.slope) == pytest.approx((0.5, 4))
    assert (fit.below.n, fit.above.n) == (3, 3)
    assert fit.predict(x) == pytest.approx(y)
    assert fit.extrapolates([0.49, 0.5, 0.72, 0.85, 0.86]).tolist() == [True, False, False, False, True]
    with pytest.raises(ValueError, match="found 2"):
        robustness.fit_segments(x, y, at=0.55 + 0.1)
    with pytest.raises(ValueError, match="one pair"):
        robustness.fit_segments(x, y[1:], at=0.7)


def accuracy_table():
    rows = [
        ("a", "base", 0.7),
        ("a", "sketch", 0.3),
        ("b", "base", 0.8),
        ("b", "sketch", 0.5),
        ("c", "sketch", 0.1),
    ]
    return pd.DataFrame(rows, columns=["model", "image_set", "accuracy"]).assign(kind="baseline")


def test_pairs_keep_models_with_both_accuracies():
    paired = robustness.pairs(accuracy_table(), "base")
    assert paired[["model", "kind", "shift", "acc_in", "acc_shift"]].values.tolist() == [
        ["a", "baseline", "sketch", 0.7, 0.3],
        ["b", "baseline", "sketch", 0.8, 0.5],
    ]
    with pytest.raises(UnknownNameError, match="unknown image set 'bass': did you mean base"):
        robustness.pairs(accuracy_table(), "bass")


def test_score_adds_effective_robustness_to_each_pair():
    paired = robustness.pairs(accuracy_table(), "base")
    scored = robustness.score(paired, {"sketch": robustness.BaselineFit(1.0, 0.0, 1.0, 3, 0.75, 0.9)})
    assert scored["er"].tolist() == pytest.approx([-40, -30])
    assert scored["extrapolated"].tolist() == [True, False]


def test_bootstrap_band_agrees_with_the_standard_error_of_the_line():
    x, y = scattered(n=2000)
    at = np.array([0.55, 0.7, 0.85])
    low, high = robustness.bootstrap_band(x, y, at, seed=1)
    line = linregress(logit(x), logit(y))
    residual = logit(y) - line.intercept - line.slope * logit(x)
    centred = logit(at) - logit(x).mean()
    spread = ((logit(x) - logit(x).mean()) ** 2).sum()
    error = np.sqrt(residual.var(ddof=2) * (1 / len(x) + centred**2 / spread))
    assert (logit(high) - logit(low)) / (2 * 1.96 * error) == pytest.approx(np.ones(3), abs=0.1)
    assert (low < robustness.fit_baseline(x, y).predict(at)).all()


def test_bootstrap_band_is_decided_by_its_seed():
    first, again, other = (robustness.bootstrap_band(*scattered(), [0.6], seed=seed)[0] for seed in (0, 0, 1))
    assert first == again and first != other


def test_bootstrap_band_of_three_models_leaves_out_resamples_without_a_slope():
    low, high = robustness.bootstrap_band([0.5, 0.6, 0.7], [0.3, 0.45, 0.5], [0.55, 0.65])
    assert np.isfinite(low).all() and (low < high).all()


@given(st.integers(1, 500), st.data())
def test_clopper_pearson_equals_scipys_exact_interval(n, data):
    k = data.draw(st.integers(0, n))
    exact = binomtest(k, n).proportion_ci(confidence_level=0.995, method="exact")
    assert robustness.clopper_pearson(k, n) == pytest.approx((exact.low, exact.high), abs=1e-9)


@pytest.mark.parametrize(("k", "n"), [(-1, 10), (11, 10), (0, 0)])
def test_clopper_pearson_refuses_impossible_counts(k, n):
    with pytest.raises(ValueError, match="expected 0 <= correct <= n"):
        robustness.clopper_pearson(k, n)


def test_accuracies_of_0_and_1_have_no_logit():
    paired = pd.DataFrame({"acc_in": [0.5, 0.0, 1.0, 0.5, 0.5], "acc_shift": [0.2, 0.2, 0.2, 0.0, 1.0]})
    assert robustness.with_logit(paired).index.tolist() == [0]
