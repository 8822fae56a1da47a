"""Published accuracies: which models are baselines, their fits, and published effective robustness."""

import numpy as np
import pytest

from featurelens import robustness, testbed
from featurelens.scales import Unreachable

# Slope, intercept, R2 of the baselines' lines, computed once from the testbed's table by other code.
FITS = {
    ("v2", "val"): (85, 0.9232, -0.4977, 0.996),
    ("rendition", "val"): (80, 0.9116, -1.5999, 0.877),
    ("rendition", "val-rendition"): (80, 0.6368, -2.1077, 0.889),
    ("sketch", "val"): (85, 1.0709, -2.3701, 0.869),
    ("objectnet", "val"): (85, 1.1993, -2.0243, 0.941),
    ("objectnet", "val-objectnet"): (85, 0.9809, -1.9283, 0.953),
    ("adversarial", "val"): (84, 3.0516, -6.2917, 0.773),
    ("mean-5", "val"): (80, 1.0439, -1.8918, 0.948),
    ("mean-4", "val"): (80, 0.9454, -1.5042, 0.956),
}
SEGMENTS = {
    "val": ((33, 0.9516, -4.5977, 0.388), (51, 5.3997, -9.4381, 0.897)),
    "val-adversarial": ((33, 0.6894, -5.1400, 0.411), (51, 2.9560, -10.2774, 0.905)),
}
# V2, R, Sketch, ObjectNet, A, and on the mean of the five.
ENCODERS = {
    "RN50-quickgelu openai": (6.1, 38.2, 22.9, 23.9, 21.8, 24.1),
    "RN50-quickgelu yfcc15m": (4.1, 12.7, 3.0, 12.4, 13.2, 11.1),
    "RN50-quickgelu cc12m": (4.3, 33.8, 19.2, 16.8, 7.0, 18.3),
    "RN101-quickgelu openai": (7.0, 44.0, 27.3, 25.7, 27.8, 27.7),
    "ViT-B-32-quickgelu laion400m_e32": (5.3, 48.8, 35.2, 23.9, 20.1, 27.9),
    "ViT-B-16 openai": (6.6, 48.8, 30.7, 30.4, 47.9, 33.4),
    "ViT-L-14 openai": (6.6, 51.8, 35.8, 35.1, 67.9, 38.5),
    "ViT-L-14 datacomp_xl_s13b_b90k": (4.4, 50.2, 39.8, 34.6, 59.8, 37.1),
    "nllb-clip-large-siglip v1": (7.0, 65.5, 41.4, 52.4, 55.0, 46.3),
}
# V2, R, Sketch, A.
CONTROLS = {
    "resnet101.a1_in1k 288 px": (0.3, -3.8, -2.4, 0.5),
    "resnet50.tv2_in1k 224 px": (-0.2, 0.0, -0.5, -1.6),
    "deit3_large_patch16_224.fb_in1k 224 px": (0.3, 7.3, 6.5, 2.8),
    "vit_base_patch32_224.augreg_in1k 224 px": (-1.5, 2.2, 4.0, 5.0),
    "vit_base_patch16_clip_224.openai_ft_in1k 224 px": (0.6, 15.8, 13.0, -3.8),
    "vit_large_patch14_clip_224.laion2b_ft_in1k 224 px": (0.1, 27.8, 22.4, -12.4),
}


@pytest.fixture(scope="module")
def accuracy():
    try:
        table = testbed.accuracies()
    except Unreachable as why:
        pytest.skip(str(why))
    table = testbed.with_mean(table, testbed.SHIFTS, "mean-5")
    return testbed.with_mean(table, testbed.SHIFTS[:4], "mean-4")


@pytest.fixture(scope="module")
def er(accuracy):
    """Effective robustness, a row per model and a column per shift."""
    paired = robustness.pairs(accuracy, "val")
    scored = robustness.score(paired[paired["acc_shift"] > 0], testbed.fits(accuracy))
    return scored.pivot(index="model", columns="shift", values="er")


@pytest.mark.parametrize("key", FITS, ids="-on-".join)
def test_published_lines(accuracy, key):
    pairs = testbed.baseline_pairs(accuracy, *key)
    fit = robustness.fit_baseline(pairs["acc_in"], pairs["acc_shift"])
    n, slope, intercept, r2 = FITS[key]
    assert fit.n == n
    assert (fit.slope, fit.intercept) == pytest.approx((slope, intercept), abs=1e-4)
    assert fit.r2 == pytest.approx(r2, abs=5e-4)


@pytest.mark.parametrize("base", SEGMENTS)
def test_published_segments_of_imagenet_a(accuracy, base):
    fit = testbed.fit(accuracy, "adversarial", base)
    for part, (n, slope, intercept, r2) in zip((fit.below, fit.above), SEGMENTS[base], strict=True):
        assert part.n == n
        assert (part.slope, part.intercept, part.r2) == pytest.approx((slope, intercept, r2), abs=6e-4)


def test_resnet50_is_refused_not_clipped(accuracy):
    baselines = accuracy[accuracy["kind"] == "baseline"]
    pairs = robustness.pairs(baselines, "val").query("shift == 'adversarial'")
    assert pairs.set_index("model").loc["resnet50", "acc_shift"] == 0
    with pytest.raises(ValueError, match="acc_shift: expected fractions strictly between 0 and 1, found 0"):
        robustness.fit_segments(pairs["acc_in"], pairs["acc_shift"], testbed.BENDS["val"])
    assert "resnet50" not in set(testbed.baseline_pairs(accuracy, "adversarial")["model"])
    assert "resnet50" in set(testbed.baseline_pairs(accuracy, "sketch")["model"])


@pytest.mark.parametrize("model", ENCODERS)
def test_effective_robustness_of_encoders(er, model):
    found = er.loc[model, [*testbed.SHIFTS, "mean-5"]]
    assert found.to_numpy() == pytest.approx(np.array(ENCODERS[model]), abs=0.07)


@pytest.mark.parametrize("model", CONTROLS)
def test_effective_robustness_of_controls(er, model):
    found = er.loc[model, ["v2", "rendition", "sketch", "adversarial"]]
    assert found.to_numpy() == pytest.approx(np.array(CONTROLS[model]), abs=0.07)


def test_spread_of_the_baselines(accuracy, er):
    baselines = er.loc[er.index.isin(accuracy.loc[accuracy["kind"] == "baseline", "model"])]
    expected = {"v2": 0.42, "rendition": 2.4, "sketch": 2.4, "objectnet": 2.1, "mean-5": 1.67}
    assert baselines.std()[list(expected)].to_dict() == pytest.approx(expected, abs=0.05)
    assert (baselines["mean-5"].min(), baselines["mean-5"].max()) == pytest.approx((-3.6, 6.0), abs=0.05)


def test_two_laboratories_agree_on_the_same_network(er):
    """The testbed's own CLIP rows were measured by other people than open_clip's."""
    assert er.loc["resnet50_clip_zeroshot", "mean-5"] == pytest.approx(23.7, abs=0.05)
    assert er.loc["vit_b_32_clip_zeroshot", "mean-5"] == pytest.approx(27.5, abs=0.05)


def test_table_is_tidy(accuracy):
    assert not accuracy.duplicated(["model", "image_set"]).any()
    assert not accuracy[["model", "kind", "regime", "data", "accuracy"]].isna().any().any()
    assert accuracy["accuracy"].between(0, 1).all()
    counts = accuracy.groupby("kind")["model"].nunique()
    assert counts[["encoder", "baseline", "supervised", "finetuned"]].tolist() == [16, 85, 22, 8]


def test_class_matched_accuracy_is_above_its_threshold(accuracy):
    matched = accuracy[(accuracy["kind"] == "baseline") & accuracy["image_set"].str.startswith("val-")]
    assert matched.loc[matched["image_set"] != "val-objectnet", "accuracy"].min() > 0.75


def test_encoders_are_named_once():
    table = testbed.encoders()
    assert table["number"].tolist() == list(range(1, 17))
    assert not table.duplicated(["model", "tag"]).any()
    # The activation has to be the one the weights were trained with.
    quick = table["tag"].isin(["openai", "yfcc15m", "cc12m"]) | (table["backbone"] + table["tag"]).eq(
        "ViT-B-32laion400m_e32"
    )
    assert (table["model"].str.endswith("-quickgelu") == quick).all()
