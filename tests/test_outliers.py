"""Tables of chapter 2 on features whose answer is known."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch

from featurelens import imagesets, outliers, published_features, scales

SIDES = ("clip-b16/coco-images", "clip-b16/coco-captions")


@pytest.fixture
def planted():
    """Gaussian features with two outlier coordinates, 9 the larger."""
    h_ND = torch.randn(300, 256, generator=torch.Generator().manual_seed(0))
    h_ND[:, 9] += 30
    h_ND[:, 4] -= 20
    return h_ND


def pairs(monkeypatch, image_ND, text_ND):
    features = dict(zip(SIDES, (image_ND, text_ND), strict=True))
    monkeypatch.setattr(published_features, "load", features.__getitem__)


def test_summary_names_the_culprits_and_what_is_left(planted):
    row = outliers.summary(planted)
    k_N = scipy.stats.kurtosis(planted.double(), axis=1, fisher=False)
    assert row["kurtosis"] == pytest.approx(k_N.mean(), rel=1e-5)
    assert row["p25"] == pytest.approx(np.quantile(k_N, 0.25), rel=1e-5)
    assert (row["outliers"], row["top_coordinate"], row["leaders"]) == ("4 9", 9, 1)
    assert 0.7 < row["top_share"] < 0.9 < 0.97 < row["top2_share"] < 1
    assert row["without_top2"] == pytest.approx(3, abs=0.1) and row["without_top"] > 10
    assert row["rotated"] == pytest.approx(3, abs=0.5)
    assert row["ceiling"] == pytest.approx(254 + 1 / 255)


def test_summary_of_sparse_features_has_many_leaders_and_no_outlier():
    h_ND = torch.relu(torch.randn(300, 256, generator=torch.Generator().manual_seed(0)) - 1)
    row = outliers.summary(h_ND)
    assert row["kurtosis"] > 10 and row["outliers"] == "none"
    assert row["leaders"] > 100 and row["top_share"] < 0.05
    assert row["without_top"] == pytest.approx(row["kurtosis"], rel=0.05)


def test_concentration_counts_the_largest_first(planted):
    curve = outliers.concentration(planted).set_index("coordinates")["share"]
    row = outliers.summary(planted)
    assert curve[1] == pytest.approx(row["top_share"]) and curve[2] == pytest.approx(row["top2_share"])
    assert curve.iloc[-1] == pytest.approx(1) and curve.index[-1] == 256 and curve.is_monotonic_increasing


def test_without_drops_exactly_the_named():
    h_ND = torch.arange(8.0).reshape(2, 4)
    assert outliers.without(h_ND, [1, 3]).tolist() == [[0, 2], [4, 6]]
    assert outliers.without(h_ND, []).equal(h_ND)


def test_recall_asks_rows_and_columns():
    score_NN = torch.tensor([[3.0, 1, 2], [9, 8, 7], [1, 2, 3]])
    assert outliers.recall(score_NN) == pytest.approx((2 / 3, 1 / 3))
    assert outliers.recall(score_NN[:, [0, 2, 1]]) == pytest.approx((1 / 3, 1 / 3))


def test_retrieval_needs_the_coordinates_that_carry_it(monkeypatch):
    g = torch.Generator().manual_seed(0)
    shared_ND, noise_ND = 3 * torch.randn(60, 20, generator=g), torch.randn(60, 20, generator=g)
    image_ND = torch.cat([shared_ND, noise_ND], 1)
    pairs(monkeypatch, image_ND, torch.cat([shared_ND, noise_ND.flip(0)], 1))
    table = outliers.retrieval({"nothing": [], "signal": list(range(20))})
    table = table.set_index(["removed", "lengths"])["image_to_text"]
    assert table["nothing", "kept"] == table["nothing", "restored"] > 0.9
    assert table["signal", "kept"] < 0.1 and table["signal", "restored"] < 0.1
    assert table["two at random", "kept"] > 0.9


def test_parts_of_the_retrieval_add_up(monkeypatch):
    g = torch.Generator().manual_seed(0)
    shared_ND = torch.randn(80, 10, generator=g)
    image_ND, text_ND = shared_ND.clone(), shared_ND.clone()
    image_ND[:, 0], text_ND[:, 0] = 4.0, 3 * torch.randn(80, generator=g)  # a bonus for some captions
    pairs(monkeypatch, image_ND, text_ND)
    table = outliers.retrieval_parts([0]).set_index("removed")["image_to_text"]
    assert table["what depends on the caption alone"] > table["nothing"] + 0.2
    assert table["their interplay"] == pytest.approx(table["nothing"], abs=0.05)


def test_precision_and_description_of_published_features(monkeypatch, planted):
    monkeypatch.setattr(published_features, "load", lambda name: planted)
    table = outliers.published()
    assert list(table["name"]) == published_features.names()


def test_distances_are_medians_over_images_in_standard_deviations(planted):
    h = planted.double().numpy()
    z_ND = np.abs(h - h.mean(1, keepdims=True)) / h.std(1, keepdims=True)
    z_D = np.median(z_ND, axis=0)
    assert outliers.distances(planted).numpy() == pytest.approx(z_D)
    assert z_D.argmax() == 9
    profile = outliers.profile({"a": planted, "b": planted})
    assert profile.groupby("name")["z"].idxmax().tolist() == [9, 256 + 9] and len(profile) == 512
    assert outliers.lead(planted) == pytest.approx(z_D.max() / np.median(z_D))


def test_without_images_the_supervised_table_is_unreachable(monkeypatch):
    monkeypatch.delenv("FEATURELENS_IMAGES", raising=False)
    with pytest.raises(scales.Unreachable, match="FEATURELENS_IMAGES"):
        outliers.supervised()


def test_without_weights_the_supervised_table_is_unreachable(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError("the weights are in the package x: install featurelens[baselines]")

    monkeypatch.setattr(outliers.zoo, "load", absent)
    monkeypatch.setattr(imagesets, "load", lambda name: None)
    with pytest.raises(scales.Unreachable, match="install featurelens"):
        outliers.supervised()


class Images:
    """Four drawings of two categories, of which the third and fourth have another texture."""

    name = "geirhos_cue_conflict"

    def __init__(self, categories):
        self.attributes = {"texture": [categories[j] for j in (0, 1, 1, 0)]}


def test_shape_and_texture_are_judged_where_they_differ(monkeypatch):
    categories, group_C = outliers.heads.imagenet_groups("geirhos16")
    first = [int((group_C == k).nonzero()[0]) for k in range(3)]
    h_ND = torch.rand(4, 1000, generator=torch.Generator().manual_seed(0)) - 0.5
    h_ND = h_ND.relu()
    for row, category in enumerate((0, 1, 0, 0)):  # says: shape, shape, shape, texture
        h_ND[row, first[category]] = 50.0
    y_N = torch.tensor([0, 1, 0, 1])
    features = outliers.extract.Features(h_ND, y_N, torch.arange(4), [])
    monkeypatch.setattr(outliers.extract, "features", lambda encoder, images: features)

    class Encoder:
        head = outliers.heads.LinearHead(torch.eye(1000), torch.zeros(1000), "pre")

    row = outliers._judged(Encoder(), Images(categories))
    assert (row["accuracy"], row["texture"], row["classes"], row["images"]) == (0.5, 0.5, 16, 4)
    assert row["zeros"] == pytest.approx(0.5, abs=0.05)
    assert isinstance(pd.DataFrame([row])["kurtosis"].item(), float)
