"""Sample sizes: samples against brute force, intervals against scipy, coverage against theory."""

import made_features as made
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from featurelens import kernels, samplesize, scan_measures, variety
from featurelens.variety import Kinds

GAUSSIAN = made.gaussian(3000, 64)


def near(share, samples=1000):
    """A share that was counted in ``samples``: four standard errors either side."""
    return pytest.approx(share, abs=4 * np.sqrt(max(share * (1 - share), 1e-4) / samples))


def now_and_then(share, count=400, width=64):
    """Gaussian features with a coordinate that is large in a share of the images."""
    h_ND = made.gaussian(count, width)
    h_ND[: int(share * count), 9] += 40
    return h_ND


# Intervals


@pytest.mark.parametrize("size", [2, 3, 10, 80])
def test_student_is_scipys_interval(size):
    x_RN = np.random.default_rng(size).exponential(size=(20, size))
    low_R, high_R = scan_measures.student(x_RN)
    for x_N, low, high in zip(x_RN, low_R, high_R, strict=True):
        expected = stats.ttest_1samp(x_N, 0).confidence_interval(0.95)
        assert (low, high) == pytest.approx((expected.low, expected.high))
    assert scan_measures.student(x_RN[0]) == pytest.approx((low_R[0], high_R[0]))


@pytest.mark.parametrize("size", [10, 20, 100])
@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_bootstrap_is_scipys(method, size):
    rng = np.random.default_rng(size)
    x_RN = rng.exponential(size=(6, size)) ** 1.5
    weight_BN = rng.multinomial(size, np.full(size, 1 / size), 20_000) / size
    low_R, high_R = getattr(samplesize, method)(x_RN, weight_BN)
    for x_N, low, high in zip(x_RN, low_R, high_R, strict=True):
        found = stats.bootstrap([x_N], np.mean, n_resamples=20_000, method=method, rng=1).confidence_interval
        # Ends are quantiles of 20,000 resamples: they move by about a hundredth of the width.
        assert np.abs([low - found.low, high - found.high]).max() < 0.03 * (found.high - found.low)


def test_bca_of_equal_numbers_is_that_number():
    low_R, high_R = samplesize.bca(np.full((1, 4), 7.0), np.full((50, 4), 0.25))
    assert (low_R[0], high_R[0]) == pytest.approx((7, 7))


# Samples


@pytest.mark.parametrize("size", [2, 7, 40])
def test_a_sample_says_what_its_images_say(size):
    h_ND = torch.cat([now_and_then(0.6), made.sparse(80, 64) + 0.01 * made.gaussian(80, 64)]).double()
    k_RN, share_R, same_R = samplesize.Population(h_ND).draw(size, 30, np.random.default_rng(3))
    row_RN = np.random.default_rng(3).integers(0, len(h_ND), (30, size))
    every = set(kernels.outlier_coordinates(h_ND).tolist())
    for row_N, k_N, share, same in zip(row_RN, k_RN, share_R, same_R, strict=True):
        part_ND = h_ND[row_N]
        c_D = kernels.kurtosis_contributions(part_ND)
        assert k_N == pytest.approx(kernels.activation_kurtosis(part_ND).numpy())
        assert share == pytest.approx((c_D.max() / c_D.sum()).item(), rel=1e-5)
        assert same == (set(kernels.outlier_coordinates(part_ND).tolist()) == every)
    assert same_R.any()


@pytest.mark.parametrize("size", [5, 20, 200])
def test_the_range_of_gaussian_features_is_the_known_one(size):
    """Variance of the kurtosis of D Gaussian numbers: 24 D (D-2) (D-3) / ((D+1)² (D+3) (D+5))."""
    width = GAUSSIAN.shape[1]
    variance = 24 * width * (width - 2) * (width - 3) / ((width + 1) ** 2 * (width + 3) * (width + 5))
    relative = np.sqrt(variance) / (3 * (width - 1) / (width + 1))
    [row] = samplesize.study({"g": GAUSSIAN}, (size,)).itertuples()
    reach = stats.norm.ppf(0.95) * relative / np.sqrt(size)
    assert row.kurtosis_high - row.kurtosis_low == pytest.approx(2 * reach, rel=0.12)
    assert row.student == near(0.95) and row.same == 1
    with pytest.raises(ValueError, match="two images or more, found 1"):
        samplesize.needed(np.array([3.0]))
    count = samplesize.needed(samplesize.Population(GAUSSIAN).k_N, 0.02)
    assert count == pytest.approx((stats.t.ppf(0.975, count - 1) * relative / 0.02) ** 2, rel=0.1)


def test_normal_kurtoses_are_covered_and_the_bootstrap_covers_less_of_few():
    rng = np.random.default_rng(0)
    x_RN = rng.normal(5, 2, (4000, 5))
    weight_BN = rng.multinomial(5, np.full(5, 0.2), 999) / 5
    covered = {}
    for name, (low_R, high_R) in {
        "student": scan_measures.student(x_RN),
        "percentile": samplesize.percentile(x_RN, weight_BN),
    }.items():
        covered[name] = np.mean((low_R <= 5) & (high_R >= 5))
    assert covered["student"] == near(0.95, 4000)
    assert covered["percentile"] < 0.88


@pytest.mark.parametrize("share", [0.55, 0.7])
@pytest.mark.parametrize("size", [5, 10, 50])
def test_naming_the_same_outlier_is_a_binomial_question(share, size):
    [row] = samplesize.study({"x": now_and_then(share)}, (size,)).itertuples()
    half = np.ceil(size / 2)
    assert row.same == near(stats.binom.sf(half - 1, size, share))


def test_enough_is_enough():
    table = samplesize.enough({"gaussian": GAUSSIAN, "rare": now_and_then(0.45)}).set_index("name")
    k_N = kernels.activation_kurtosis(now_and_then(0.45)).double().numpy()
    reach = {n: stats.t.ppf(0.975, n - 1) * k_N.std(ddof=1) / k_N.mean() / np.sqrt(n) for n in range(2, 2000)}
    assert table.loc["rare", "needed"] == min(n for n, each in reach.items() if each <= 0.1)
    assert table.loc["rare", "within"] == near(0.95)
    assert table.loc["rare", "present"] == 0.45 and table.loc["rare", "outliers"] == "none"
    assert table.loc["gaussian", "kurtosis"] == pytest.approx(3 * 63 / 65, rel=0.01)


def test_numbers_are_the_same_each_time():
    first, again = (samplesize.study({"g": GAUSSIAN[:200]}, (5, 20), 50) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)


# Variety


def test_one_kind_is_told_from_as_many_mixed_ones():
    kinds = {"odd": made.planted("constant offset", at=3, n=100), "plain": made.gaussian(100, seed=5)}
    pool_ND = torch.cat([*kinds.values(), made.gaussian(200, seed=6)])
    table = variety.study([Kinds("e", "kind", pool_ND, kinds)]).set_index("group")
    assert table["outliers"].to_dict() == {"odd": "3", "plain": "none"}
    assert (table["pool_outliers"] == "none").all() and (table["images"] == 100).all()
    k_N = kernels.activation_kurtosis(pool_ND).double()
    assert table["pool_kurtosis"].to_numpy() == pytest.approx(k_N.mean().item())
    reach = 1.96 * k_N.std().item() / 10
    assert (table["mixed_high"] - table["mixed_low"]).to_numpy() == pytest.approx(2 * reach, rel=0.15)
    odd = stats.ttest_1samp(kernels.activation_kurtosis(kinds["odd"]).double(), 0).confidence_interval()
    assert tuple(table.loc["odd", ["low", "high"]]) == pytest.approx((odd.low, odd.high))
    counts = variety.judged(table.reset_index()).iloc[0].to_dict()
    assert counts == {"groups": 2, "interval misses": 2, "share above": 1, "other outliers": 1}
    alone = variety.judged(table.loc[["odd"]]).iloc[0].to_dict()
    assert alone == {"groups": 1, "interval misses": 1, "share above": 1, "other outliers": 1}


def test_groups_of_the_miniature_are_its_classes_and_styles():
    by_class, by_style = (next_of for next_of, _ in zip(variety.miniature(), range(2), strict=False))
    assert (by_class.kind, by_style.kind) == ("class", "style") and len(by_class.groups) == 12
    assert sorted(by_style.groups) == ["cartoon", "embroidery", "mosaic", "neon", "painting"]
    for case in (by_class, by_style):
        assert sum(map(len, case.groups.values())) == len(case.pool_ND) == 4000
    # Picture i of `base-val` shows class i mod 12.
    assert by_class.groups["house"].equal(by_class.pool_ND[::12])
