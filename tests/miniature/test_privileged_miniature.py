"""Directions of the miniature's heads: features whose answer is known, and two of the shipped networks."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logit

from featurelens import extract, heads, imagesets, outliers, pruning, robustness, zoo
from featurelens import privileged as all_heads
from featurelens.miniature import checkpoints, evaluate, privileged

TRAINED, UNTRAINED, SHIFT = "clip-web-resnet-s0", "random-init-resnet-s0", "sketch"


@pytest.fixture
def two(monkeypatch):
    """Only two of the shipped networks and one shift; nothing is kept from other tests, or for them."""
    monkeypatch.setattr(checkpoints, "names", lambda: [TRAINED, UNTRAINED])
    monkeypatch.setattr(privileged.sets, "SHIFTS", (SHIFT,))
    monkeypatch.setattr(pruning, "RANDOM_ORDERS", 2)
    privileged._curves.cache_clear()
    yield
    privileged._curves.cache_clear()


def gaussian(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


# Baselines


def test_baselines_are_least_squares_lines_on_logit_axes():
    table = pd.read_csv(evaluate.baselines_path()).pivot(
        index="model", columns="image_set", values="accuracy"
    )
    fits = privileged.baseline_fits()
    assert set(fits) == set(table) - {"base-val"}
    for shift, fit in fits.items():
        slope, intercept = np.polyfit(logit(table["base-val"]), logit(table[shift]), 1)
        assert (fit.slope, fit.intercept) == pytest.approx((slope, intercept))
        assert fit.n == len(table)


def test_networks_without_a_logit_are_left_out_of_the_line(tmp_path, monkeypatch):
    base, shift = [0.2, 0.4, 0.6, 0.8, 0.5, 1.0, 0.5], [0.1, 0.3, 0.4, 0.7, 0.0, 0.9, 1.0]
    table = pd.DataFrame(
        [
            (f"m{i}", name, a)
            for name, curve in (("base-val", base), ("x", shift))
            for i, a in enumerate(curve)
        ],
        columns=["model", "image_set", "accuracy"],
    )
    table.to_csv(tmp_path / "baselines.csv", index=False)
    monkeypatch.setattr(evaluate, "baselines_path", lambda: tmp_path / "baselines.csv")
    assert privileged.baseline_fits() == {"x": robustness.fit_baseline(base[:4], shift[:4])}


# Shipped networks


def test_features_are_those_that_the_head_reads():
    for name, point in ((TRAINED, "joint"), ("supervised-resnet-s0", "pre")):
        encoder = zoo.load(f"miniature/{name}")
        head, found = privileged.head_and_features(name, ("base-val",))
        images = imagesets.load("miniature/base-val")
        assert head.point == point and torch.equal(head.w_CD, encoder.head.w_CD)
        assert torch.equal(found["base-val"].h_ND, extract.features(encoder, images, point=point).h_ND)
        assert torch.equal(found["base-val"].y_N, images.y_N)
        assert heads.accuracy(found["base-val"].h_ND, head.w_CD, found["base-val"].y_N, head.b_C) > 0.6


def test_an_untrained_network_gets_a_gaussian_head_as_a_control():
    head, found = privileged.head_and_features(UNTRAINED, ("base-val",))
    assert head.w_CD.shape == (12, found["base-val"].h_ND.shape[1]) and head.b_C is None
    again, _ = privileged.head_and_features(UNTRAINED, ("base-val",))
    other, _ = privileged.head_and_features("random-init-resnet-s1", ("base-val",))
    assert torch.equal(head.w_CD, again.w_CD) and not torch.equal(head.w_CD, other.w_CD)
    assert heads.accuracy(found["base-val"].h_ND, head.w_CD, found["base-val"].y_N) < 0.25


def test_signatures_of_networks_survive_a_rotation_but_for_the_axes(two):
    table = privileged.signature_table().set_index("model")
    assert list(table.index) == [TRAINED, UNTRAINED]
    assert table["regime"].tolist() == ["clip-web", "random-init"] and set(table["point"]) == {"joint"}
    for name in ("top_share", "effective", "kurtosis"):
        np.testing.assert_allclose(table[f"rotated_{name}"], table[name], rtol=1e-4)
    head, found = privileged.head_and_features(TRAINED, ("base-val",))
    expected = all_heads.signature(head.w_CD, found["base-val"].h_ND)
    assert table.loc[TRAINED, list(expected)].to_dict() == pytest.approx(expected)
    assert outliers.summary(found["base-val"].h_ND)["outliers"] == "none", "so overlap asks for the largest"


def test_curves_end_at_the_accuracy_of_the_network_and_its_robustness(two):
    stored, points = privileged.curve_table(), privileged.robustness_table()
    assert stored["k"].tolist() == list(range(13)) and set(stored["model"]) == {TRAINED}
    assert not any(column.startswith("v2") for column in stored)
    head, found = privileged.head_and_features(TRAINED, ("base-val", SHIFT))
    accuracy = {name: heads.accuracy(h, head.w_CD, y, head.b_C) for name, (h, y, _) in found.items()}
    tall = pruning.long(stored)
    assert tall.groupby("image_set")["images"].unique().to_dict() == {"base-val": [4000], SHIFT: [8000]}
    for name, rows in tall[tall["k"] == 12].groupby("image_set"):
        assert len(rows) == 7 and rows["accuracy"].eq(accuracy[name]).all(), name

    assert set(points["order"]) == set(privileged.ER_ORDERS) and len(points) == 3 * 13
    assert list(points.columns) == ["model", "regime", "backbone", "seed", "order", "k", SHIFT]
    fit = privileged.baseline_fits()[SHIFT]
    whole = robustness.effective_robustness(accuracy["base-val"], accuracy[SHIFT], fit)
    assert points.loc[points["k"] == 12, SHIFT].tolist() == pytest.approx([whole] * 3, abs=1e-4)
    curve = tall[tall["order"] == "centred"].pivot(index="k", columns="image_set", values="accuracy")
    expected = robustness.effective_robustness(curve["base-val"], curve[SHIFT], fit)
    np.testing.assert_allclose(points.loc[points["order"] == "centred", SHIFT], expected, atol=1e-4)


def test_robustness_of_random_orders_is_the_mean_over_draws(two):
    points = privileged.robustness_table().set_index(["order", "k"])[SHIFT]
    rows = privileged._curves()
    draws = rows[(rows["order"] == "random") & (rows["image_set"] == SHIFT)].pivot(
        index="k", columns="draw", values="er"
    )
    assert draws.shape == (13, 2) and draws[0].ne(draws[1]).any()
    np.testing.assert_allclose(points["random"], draws.mean(axis=1), atol=1e-4)
