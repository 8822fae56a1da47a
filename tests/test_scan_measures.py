"""Numbers of a scan against scipy and numpy, on features whose pattern is known."""

import made_features as made
import numpy as np
import pytest
import torch
from scipy import stats

from featurelens import scan_fields, scan_measures
from featurelens.scan_measures import measure

SETS = {
    "gaussian": made.gaussian(),
    "constant offset": made.planted("constant offset"),
    "image-dependent": made.planted("image-dependent"),
    "both": made.planted("both"),
    "sparse": made.sparse(),
    "few images": made.gaussian(9, 64, seed=4) + 3,
}
each_set = pytest.mark.parametrize("name", SETS)


def scores(h_ND):
    """Standard scores within each image."""
    return stats.zscore(h_ND.double().numpy(), axis=1)


@each_set
def test_kurtosis_is_scipy_s(name):
    h_ND = SETS[name]
    x, values = h_ND.double().numpy(), measure(h_ND).values
    k_N = stats.kurtosis(x, axis=1, fisher=False)
    low, high = stats.ttest_1samp(k_N, 0).confidence_interval(0.95)
    expected = {
        "images": len(x),
        "width": x.shape[1],
        "kurtosis": k_N.mean(),
        "kurtosis_low": low,
        "kurtosis_high": high,
        **{f"kurtosis_p{q:02d}": np.quantile(k_N, q / 100) for q in (5, 25, 50, 75, 95)},
        "kurtosis_centred": stats.kurtosis(x - x.mean(0), axis=1, fisher=False).mean(),
        "kurtosis_gaussian": 3 * (x.shape[1] - 1) / (x.shape[1] + 1),
        "kurtosis_ceiling": stats.kurtosis(np.eye(x.shape[1])[0], fisher=False),
    }
    for key, value in expected.items():
        assert values[key] == pytest.approx(value, rel=2e-5), key
    assert values["kurtosis_rotated"] == pytest.approx(3, abs=0.35)


def test_the_interval_of_two_images_ends_where_kurtosis_does():
    two = torch.stack([made.planted("constant offset")[0], made.gaussian()[0]])
    values = measure(two).values
    low, high = scan_measures.student(stats.kurtosis(two.numpy(), axis=1, fisher=False))
    assert low < 1 and high > values["kurtosis_ceiling"]
    assert (values["kurtosis_low"], values["kurtosis_high"]) == (1, values["kurtosis_ceiling"])


@each_set
def test_causes_size_and_rank_are_numpy_s(name):
    h_ND = SETS[name]
    x, values, z_ND = h_ND.double().numpy(), measure(h_ND).values, scores(h_ND)
    c_D = (z_ND**4).mean(0)
    share_D = np.sort(c_D / c_D.sum())[::-1]
    leaders, counts = np.unique(np.abs(z_ND).argmax(1), return_counts=True)
    s_K = np.linalg.svd(x - x.mean(0), compute_uv=False)
    p_K = s_K[s_K > 1e-9 * s_K[0]] / s_K.sum()
    lengths = np.linalg.norm(x, axis=1)
    expected = {
        "top_coordinate": c_D.argmax(),
        "top_share": share_D[0],
        "top2_share": share_D[:2].sum(),
        "leaders": len(leaders),
        "leader_share": counts.max() / len(x),
        "zeros": (x == 0).mean(),
        "effective_rank": np.exp(-(p_K * np.log(p_K)).sum()),
        "norm": lengths.mean(),
        "norm_variation": lengths.std() / lengths.mean(),
        "outliers": ((z_ND**4 / x.shape[1] >= 3).mean(0) >= 0.5).sum(),
    }
    for key, value in expected.items():
        assert values[key] == pytest.approx(value, rel=2e-5), key
    assert list(values) == list(scan_fields.FIELDS)
    assert values["effective_rank"] <= min(len(x) - 1, x.shape[1]) + 1e-9


@pytest.mark.parametrize("kind", ["constant offset", "image-dependent", "both"])
def test_planted_outlier_is_found_and_named(kind):
    h_ND = made.planted(kind, at=17)
    measured, z_ND = measure(h_ND), scores(h_ND)
    [found] = measured.coordinates
    z_N, distance_D = z_ND[:, 17], np.median(np.abs(z_ND), axis=0)
    assert (found.index, found.kind, measured.pattern) == (17, kind, "outlier direction")
    expected = {
        "kurtosis_share": (z_N**4).sum() / (z_ND**4).sum(),
        "distance": distance_D[17],
        "times_median": distance_D[17] / np.median(distance_D),
        "present": (z_N**4 >= 3 * 128).mean(),
        "leads": (np.abs(z_ND).argmax(1) == 17).mean(),
        "offset": z_N.mean(),
        "spread": z_N.std(),
        "constant_share": z_N.mean() ** 2 / (z_N.mean() ** 2 + z_N.var()),
    }
    for key, value in expected.items():
        assert getattr(found, key) == pytest.approx(value, rel=1e-5), key
    assert np.allclose(measured.distance_D, distance_D, rtol=1e-5)
    # What is constant goes with the mean feature vector, what is not stays.
    left = measured.values["kurtosis_centred"] / measured.values["kurtosis_gaussian"]
    assert (left < 1.1) == (kind == "constant offset")


def test_several_outliers_come_largest_first():
    h_ND = made.planted("constant offset", at=90)
    h_ND[:, 3] -= 14
    found = measure(h_ND).coordinates
    assert [each.index for each in found] == [90, 3] and found[1].offset < 0 < found[0].offset
    assert found[0].kurtosis_share > found[1].kurtosis_share


def test_sparse_features_are_heavy_without_an_outlier():
    measured = measure(made.sparse())
    assert measured.pattern == "heavy tails without an outlier" and measured.coordinates == []
    assert measured.values["kurtosis"] > 10 and measured.values["zeros"] > 0.9
    assert measured.values["leaders"] > 100 and measured.values["top_share"] < 0.05
    assert measure(made.gaussian()).pattern == "no heavy tails"


def test_tails_are_heavy_from_twice_the_gaussian_kurtosis_on():
    seen = {}
    for strength in (0.5, 1, 1.5, 2, 3):
        measured = measure(made.gaussian(width=256) + strength * made.sparse())
        times = measured.values["kurtosis"] / measured.values["kurtosis_gaussian"]
        seen[times] = measured.pattern
        assert measured.pattern == ("heavy tails without an outlier" if times >= 2 else "no heavy tails")
    assert any(1.2 < times < 2 for times in seen) and any(2 < times < 4 for times in seen)


def test_an_outlier_in_a_third_of_the_images_is_none():
    h_ND = made.gaussian()
    h_ND[::3, 5] += 20
    assert measure(h_ND).coordinates == [] and measure(h_ND).values["top_coordinate"] == 5


def brute_agreement(h_ND, head):
    """Share of decisions that stay with the k most important directions, rebuilding the head at each k."""
    x, w, b = h_ND.double().numpy(), head.w_CD.double().numpy(), head.b_C.double().numpy()
    u, s, v = np.linalg.svd(w, full_matrices=False)
    cosines = np.abs(x / np.linalg.norm(x, axis=1, keepdims=True) @ v.T)
    y = (x @ w.T + b).argmax(1)
    fold_N = (torch.randperm(len(x), generator=torch.Generator().manual_seed(0)) % 2).numpy()
    same = np.zeros(len(s) + 1)
    for fold in (0, 1):
        order = np.argsort(-s * cosines[fold_N != fold].mean(0), kind="stable")
        for k in range(len(s) + 1):
            kept = order[:k]
            scores = x[fold_N == fold] @ v[kept].T @ (u[:, kept] * s[kept]).T + b
            same[k] += (scores.argmax(1) == y[fold_N == fold]).sum()
    return same / len(x), s / s.sum() * cosines.mean(0), v


def test_head_is_judged_as_by_rebuilding_it():
    h_ND, head = made.planted("constant offset", at=8), made.head()
    agreement_K1, i_K, v_KD = brute_agreement(h_ND, head)
    measured = measure(h_ND, head)
    values = measured.values
    assert np.allclose(measured.agreement_K1, agreement_K1)
    kept = next(k for k in range(41) if (agreement_K1[k:] >= 0.98 - 1e-9).all())
    p_K = i_K / i_K.sum()
    expected = {
        "classes": 40,
        "directions": 40,
        "importance_top_share": p_K.max(),
        "importance_effective": np.exp(stats.entropy(p_K)),
        "importance_kurtosis": stats.kurtosis(i_K, fisher=False),
        "importance_overlap": v_KD[i_K.argmax(), 8] ** 2,
        "prunable": 1 - kept / 40,
    }
    for key, value in expected.items():
        assert values[key] == pytest.approx(value, rel=1e-6), key
    assert list(values) == [*scan_fields.FIELDS, *scan_fields.HEAD_FIELDS]


def test_a_head_of_low_rank_can_be_pruned_to_it():
    h_ND, head = made.gaussian(), made.head(bias=False)
    u, s, v = torch.linalg.svd(head.w_CD, full_matrices=False)
    low = head._replace(w_CD=(u[:, :10] * s[:10]) @ v[:10])
    assert measure(h_ND, low).values["prunable"] >= 0.75 > 0.2 > measure(h_ND, head).values["prunable"]


def test_a_whole_head_keeps_all_its_decisions_though_classes_tie():
    h_ND, head = made.gaussian(), made.head(bias=False)
    twice = head._replace(w_CD=torch.cat([head.w_CD, head.w_CD]))
    measured, once = measure(h_ND, twice), measure(h_ND, head)
    assert measured.agreement_K1[-1] == once.agreement_K1[-1] == 1
    kept, kept_once = ((1 - m.values["prunable"]) * m.values["directions"] for m in (measured, once))
    assert kept == pytest.approx(kept_once)


def test_numbers_do_not_depend_on_scale_order_or_precision():
    h_ND = made.planted("constant offset")
    first = measure(h_ND).values
    order = torch.randperm(len(h_ND), generator=torch.Generator().manual_seed(3))
    for other in (h_ND[order], 1000 * h_ND, h_ND.double()):
        again = measure(other).values
        for key in first.keys() - {"norm"}:
            assert again[key] == pytest.approx(first[key], rel=1e-4), key
    assert measure(h_ND.half()).values["kurtosis"] == pytest.approx(first["kurtosis"], rel=1e-2)


def test_an_image_that_is_the_mean_has_no_say_in_the_centred_kurtosis():
    a_ND, base_D = made.gaussian(6, 32).double(), torch.linspace(0, 1, 32).double()
    h_ND = torch.cat([base_D + a_ND, base_D - a_ND, base_D[None]])
    expected = stats.kurtosis(a_ND.numpy(), axis=1, fisher=False).mean()
    assert measure(h_ND).values["kurtosis_centred"] == pytest.approx(expected)


def test_median_coordinate_that_does_not_move_gives_no_ratio():
    h_ND = torch.zeros(4, 64)
    h_ND[:, 3], h_ND[:, 4] = 1.0, -1.0
    h_ND[0, 3], h_ND[0, 4] = 1.5, -1.5
    assert [each.times_median for each in measure(h_ND).coordinates] == [None, None]


@pytest.mark.parametrize(
    ("h_ND", "head", "message"),
    [
        (made.gaussian(1), None, "features: expected two images or more, found one"),
        (
            made.gaussian().index_fill(0, torch.tensor([7]), float("nan")),
            None,
            "NaN or inf in 1 rows, first row 7",
        ),
        (made.gaussian(1).repeat(5, 1), None, "expected images that differ, found 5 that are the same"),
        (torch.ones(4, 8), None, "expected rows whose coordinates differ"),
        (made.gaussian()[0], None, "expected a non-empty matrix"),
        (made.gaussian(), made.head(width=64), "head: expected one of 128 features, found one of 64"),
        (made.gaussian(), made.head(classes=1), "head: expected two classes or more, found one"),
    ],
)
def test_bad_features_are_one_line(h_ND, head, message):
    with pytest.raises(ValueError, match=message) as error:
        measure(h_ND, head)
    assert "\n" not in str(error.value)


def test_conditions_of_the_command():
    values = measure(made.planted("constant offset")).values
    holds = {"kurtosis>10": True, "outliers == 1": True, "top_share<.5": False, "kurtosis <= 1e1": False}
    holds |= {"outliers>=1": True, "outliers<=1": True, "outliers>1": False, "outliers<1": False}
    holds |= {"outliers!=1": False, "outliers!=2": True}
    for text, expected in holds.items():
        assert scan_fields.condition(text).holds(values) is expected, text
    assert str(scan_fields.condition(" kurtosis >= 1e1")) == "kurtosis>=10"
    for number in ("3", "3.0", "-3", "+.5", "2e-3"):
        assert scan_fields.condition(f"norm>{number}").number == float(number)
    for bad in (
        "kurtosis",
        "kurtosis>",
        ">3",
        "kurtosis=3",
        "kurtosis>x",
        "kurtosis>3 or 1",
        "kurtosis=>3",
        "a b>3",
    ):
        with pytest.raises(ValueError, match="expected a field, a comparison and a number"):
            scan_fields.condition(bad)
    with pytest.raises(KeyError, match="unknown field 'kurtosi': did you mean kurtosis"):
        scan_fields.condition("kurtosi>3")
    with pytest.raises(ValueError, match="prunable: expected a scan with a head, found one without"):
        scan_fields.condition("prunable>0.5").holds(values)
    assert scan_measures.LOSS == 0.02 and "98%" in scan_fields.HEAD_FIELDS["prunable"]


def test_numbers_as_they_are_shown():
    shown = [scan_fields.shown(value) for value in (3, 1280, 12345.0, 0.96321, 87.24, 139.64, 0.00022)]
    assert shown == ["3", "1,280", "12,345", "0.963", "87.2", "139.6", "0.000220"]


def test_features_as_large_as_numbers_go_are_measured():
    h_ND = torch.randn(50, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    small, large = (scan_measures.measure(scale * h_ND).values for scale in (1, 1e300))
    assert large["norm"] == pytest.approx(1e300 * small["norm"], rel=1e-9)
    for name in ("kurtosis", "effective_rank", "norm_variation"):
        assert large[name] == pytest.approx(small[name], rel=1e-9)
    assert small["left_out"] == 0 and scan_measures.measure(h_ND, left_out=3).values["left_out"] == 3
