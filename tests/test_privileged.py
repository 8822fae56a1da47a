"""Tables of heads: on heads whose directions are known, and the facts about published ones."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import entropy, kurtosis
from sklearn.metrics.pairwise import cosine_similarity

from featurelens import heads, kernels, outliers, privileged, prunability, published_features, scales
from featurelens.heads import LinearHead
from featurelens.pruning import Labelled


def gaussian(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def with_outlier(coordinate: int = 9, seed: int = 0) -> torch.Tensor:
    """Gaussian rows with one coordinate that is large in every row."""
    w_CD = gaussian(100, 64, seed)
    w_CD[:, coordinate] += 30
    return w_CD


@pytest.fixture
def synthetic(monkeypatch):
    """Published features and supervised encoders of our own making; returns the heads by name."""
    table = pd.DataFrame({
        "name": ["a/images", "a/names", "b/names"],
        "model": ["A", "A", "B"],
        "side": ["image", "text", "text"],
        "weights": ["trained", "trained", "random"],
        "described": ["images", "names", "other names"],
    })  # fmt: skip
    raw = {"a/images": gaussian(50, 64, 7), "a/names": 5 * with_outlier(), "b/names": gaussian(30, 64, 1)}

    class Encoder:
        head = LinearHead(gaussian(40, 64, 2), torch.zeros(40), "pre")

    monkeypatch.setattr(published_features, "table", lambda: table)
    monkeypatch.setattr(published_features, "load", raw.__getitem__)
    monkeypatch.setattr(outliers, "supervised_encoders", lambda: {"lite": Encoder()})
    unit = {name: raw[name] / raw[name].norm(dim=1, keepdim=True) for name in ("a/names", "b/names")}
    return unit | {"lite": Encoder.head.w_CD}


# One direction


def test_sameness_of_known_directions():
    assert privileged.sameness(torch.full((8,), 0.3)) == pytest.approx(1)
    assert privileged.sameness(torch.tensor([1.0, -1.0, 2.0, -2.0])) == 0
    assert privileged.sameness(torch.eye(5)[2]) == pytest.approx(1 / 5)


def test_sameness_is_the_squared_cosine_with_the_constant_and_ignores_scale_and_sign():
    u_C = gaussian(1, 30)[0].double() + 0.5
    expected = cosine_similarity(u_C[None], np.ones((1, 30))).item() ** 2
    for scale in (1, -7, 1e-6):
        assert privileged.sameness(scale * u_C) == pytest.approx(expected)


# One head


def test_every_number_of_a_head_against_numpy():
    w_CD = with_outlier() * torch.linspace(0.5, 2, 100)[:, None]
    row, w = privileged.described(w_CD), w_CD.double().numpy()
    u, s, v = np.linalg.svd(w, full_matrices=False)
    mean, share = w.mean(0), v[:, 9] ** 2
    assert (row["classes"], row["width"], row["rank"]) == (100, 64, 64)
    assert row["first"] == pytest.approx(s[0])
    centred = np.linalg.svd(w - mean, compute_uv=False)
    for prefix, spectrum in (("", s), ("centred_", centred)):
        assert row[f"{prefix}top_share"] == pytest.approx(spectrum[0] / spectrum.sum())
        assert row[f"{prefix}effective"] == pytest.approx(np.exp(entropy(spectrum)), rel=1e-4)
        assert row[f"{prefix}kurtosis"] == pytest.approx(kurtosis(spectrum, fisher=False), rel=1e-3)
    assert row["cos_mean"] == pytest.approx(abs(cosine_similarity(v[:1], mean[None]).item()))
    assert row["mean_length"] == pytest.approx(np.linalg.norm(mean) / np.linalg.norm(w, axis=1).mean())
    assert row["sameness"] == pytest.approx(u[:, 0].sum() ** 2 / 100)
    assert row["overlap"] == pytest.approx(share[0])
    assert row["largest_other_overlap"] == pytest.approx(share[1:].max())
    assert row["other"] == 1 + np.argsort(-share)[1], "counted from 1; the first direction has the most"


def test_a_head_of_nearly_equal_rows_is_its_mean_row():
    mean_D = gaussian(1, 64, 3)[0]
    row = privileged.described(1000 * mean_D + gaussian(100, 64))
    for name in ("cos_mean", "sameness", "mean_length"):
        assert row[name] == pytest.approx(1, abs=1e-4), name
    assert row["first"] == pytest.approx(1000 * mean_D.norm().item() * 10, rel=1e-3)
    assert row["top_share"] > 0.9 and row["effective"] < 2
    assert row["centred_top_share"] < 0.05 and row["centred_effective"] > 50, "nothing left without the mean"
    assert row["random_effective"] > 50


def test_a_random_head_is_like_its_control():
    row = privileged.described(gaussian(100, 64, 4))
    for prefix in ("centred_", "random_"):
        assert row["effective"] == pytest.approx(row[f"{prefix}effective"], rel=0.05)
        assert row["top_share"] == pytest.approx(row[f"{prefix}top_share"], rel=0.15)
    assert row["cos_mean"] < 0.7 and row["sameness"] < 0.1 and row["mean_length"] < 0.2
    assert row["has_outliers"] is False and row["overlap"] < 0.2 and row["rotated_overlap"] < 0.2
    assert len(row["outliers"].split()) == 1, "without outliers, the largest contribution"


def test_a_planted_outlier_is_the_first_direction_until_the_rotation():
    row = privileged.described(with_outlier(9))
    assert row["has_outliers"] is True and row["outliers"] == "9"
    assert row["overlap"] > 0.99 > 0.01 > row["largest_other_overlap"]
    assert row["rotated_overlap"] == pytest.approx(1 / 64, abs=0.1)
    two = with_outlier(9)
    two[:, 4] -= 40
    row = privileged.described(two)
    assert row["outliers"] == "4 9" and row["overlap"] > 0.99


# Tables


def test_heads_are_text_with_rows_of_length_one_and_last_layers_as_they_are(synthetic):
    published = privileged.published_heads()
    assert list(published) == ["a/names", "b/names"], "no image features"
    for name, w_CD in published.items():
        torch.testing.assert_close(w_CD, synthetic[name])
    assert list(privileged.learned_heads()) == ["lite"]
    assert privileged.learned_heads()["lite"] is synthetic["lite"]


def test_the_table_describes_every_head(synthetic):
    table = privileged.head_table().set_index("name")
    assert list(table.index) == ["a/names", "b/names", "lite"]
    assert table["model"].tolist() == ["A", "B", "lite"]
    assert table["weights"].tolist() == ["trained", "random", "trained"]
    assert table["has_outliers"].tolist() == [True, False, False]
    expected = pd.DataFrame([privileged.described(w_CD) for w_CD in synthetic.values()], index=table.index)
    pd.testing.assert_frame_equal(table[expected.columns], expected, rtol=1e-4)


def test_spectra_are_points_of_each_variant(synthetic):
    table = privileged.spectra(["b/names", "lite"])
    for name in ("b/names", "lite"):
        w = synthetic[name].double().numpy()
        for variant, matrix in (("as it is", w), ("centred", w - w.mean(0))):
            s = np.linalg.svd(matrix, compute_uv=False)
            points = table[(table["name"] == name) & (table["variant"] == variant)]
            assert points["k"].iloc[0] == 1 and points["k"].iloc[-1] == len(s) and points["k"].is_unique
            np.testing.assert_allclose(points["share"], (s / s.sum())[points["k"] - 1], atol=1e-6)
    control = table[(table["name"] == "lite") & (table["variant"] == "random")]
    expected = kernels.directions(kernels.random_head(synthetic["lite"], 0)).s_K
    assert control["share"].iloc[0] == pytest.approx((expected[0] / expected.sum()).item())


def test_overlaps_before_and_after_a_rotation(synthetic):
    table = privileged.overlaps(["a/names"])
    own = table[table["variant"] == "as it is"].set_index("k")["overlap"]
    turned = table[table["variant"] == "rotated"].set_index("k")["overlap"]
    assert list(own.index) == list(turned.index) == list(range(1, 65))
    v = np.linalg.svd(synthetic["a/names"].double().numpy())[2]
    np.testing.assert_allclose(own, v[:, 9] ** 2, atol=1e-5)
    assert own.idxmax() == 1 and own[1] > 0.99 and turned.max() < 0.3
    assert own.sum() == pytest.approx(1) and turned.sum() == pytest.approx(1), (
        "64 directions span all 64 axes"
    )


def test_importances_of_every_case_and_variant(monkeypatch):
    w_CD, h_ND = with_outlier(), gaussian(70, 64, 5) + with_outlier(seed=6).mean(0)
    head = LinearHead(w_CD, None, "joint")
    pairs = {"caption of an image": (head, Labelled(h_ND, torch.arange(70)))}
    monkeypatch.setattr(prunability, "coco_pairs", lambda network: pairs)
    monkeypatch.setattr(published_features, "load", lambda name: w_CD if "panoptic" in name else h_ND)
    sets = {outliers.SAMPLE: pairs["caption of an image"][1]}
    monkeypatch.setattr(prunability, "supervised_sets", lambda name: (head, sets))
    table = privileged.importances()
    names = [f"{network}: caption of an image" for network in ("clip-b16", "clip-b16-random")]
    names += ["clip-b16: class names", *outliers.SUPERVISED]
    assert list(table["name"].unique()) == names and len(table) == 4 * len(names)
    found = table[table["name"] == names[2]].set_index("variant")
    w, h = w_CD.double().numpy(), h_ND.double().numpy()
    for variant, matrix in (("as it is", w), ("centred", w - w.mean(0))):
        _, s, v = np.linalg.svd(matrix, full_matrices=False)
        i = s / s.sum() * np.abs(cosine_similarity(h, v)).mean(0)
        assert found.loc[variant, "top_share"] == pytest.approx(i.max() / i.sum(), rel=1e-5)
        assert found.loc[variant, "effective"] == pytest.approx(np.exp(entropy(i)), rel=1e-4)
        assert found.loc[variant, "kurtosis"] == pytest.approx(kurtosis(i, fisher=False), rel=1e-3)
    assert found.loc["as it is", "top_share"] > 0.8
    assert found.loc[["centred", "rotated head", "random head"], "top_share"].max() < 0.6
    assert (found["classes"] == 100).all()


def test_without_a_file_or_weights_the_tables_are_unreachable(monkeypatch):
    def absent(*_):
        raise scales.Unreachable("no mirror")

    monkeypatch.setattr(published_features, "load", absent)
    for call in (privileged.head_table, privileged.importances, lambda: privileged.overlaps(["a"])):
        with pytest.raises(scales.Unreachable, match="no mirror"):
            call()
    monkeypatch.setattr(privileged, "published_heads", dict)
    monkeypatch.setattr(outliers, "supervised_encoders", absent)
    with pytest.raises(scales.Unreachable, match="no mirror"):
        privileged.head_table()


def test_a_head_that_cannot_tell_classes_apart_is_one_line():
    with pytest.raises(ValueError, match="rows that differ, found 5 equal rows") as caught:
        privileged.described(gaussian(1, 64).expand(5, -1))
    assert "\n" not in str(caught.value)


# Published heads


@pytest.fixture(scope="module")
def imagenet_names():
    try:
        return heads.unit(published_features.load("clip-b32/imagenet-photo"))
    except scales.Unreachable as why:
        pytest.skip(f"needs a mirror folder or the network: {why}")


def test_the_first_direction_of_a_clip_head_is_its_mean_row_in_two_coordinates(imagenet_names):
    row, own = privileged.described(imagenet_names), kernels.directions(imagenet_names)
    assert row["cos_mean"] == pytest.approx(0.9997, abs=5e-4)
    assert own.s_K[:3].tolist() == pytest.approx([24.9, 5.8, 3.8], abs=0.05)
    assert own.v_DK[[133, 312], 0].abs().tolist() == pytest.approx([0.62, 0.62], abs=0.005)
    assert row["has_outliers"] and row["outliers"] == "133 312"
    assert row["overlap"] == pytest.approx(2 * 0.62**2, abs=0.02)
    assert row["sameness"] > 0.98 and row["rotated_overlap"] < 0.02
    assert row["top_share"] > 20 * row["random_top_share"]


def test_another_published_head_of_another_family_has_no_outliers():
    try:
        w_CD = heads.unit(published_features.load("eva-clip-b16/coco-panoptic"))
    except scales.Unreachable as why:
        pytest.skip(f"needs a mirror folder or the network: {why}")
    row = privileged.described(w_CD)
    assert row["has_outliers"] is False and row["overlap"] < 0.1


# What the most important direction is


def test_a_signature_is_its_formulas():
    w_CD, h_ND = gaussian(12, 32) + 0.3, gaussian(200, 32, 1)
    h_ND += 3 * torch.linalg.svd(w_CD, full_matrices=False).Vh[2]
    h_ND[:, 5] += 6
    row = privileged.signature(w_CD, h_ND)
    w, h = w_CD.double().numpy(), h_ND.double().numpy()
    for prefix, matrix in (
        ("", w),
        ("centred_", w - w.mean(0)),
        ("random_", kernels.random_head(w_CD, 0).double().numpy()),
    ):
        u, s, v = np.linalg.svd(matrix, full_matrices=False)
        i = s / s.sum() * np.abs(cosine_similarity(h, v)).mean(0)
        assert row[f"{prefix}top_share"] == pytest.approx(i.max() / i.sum(), rel=1e-5), prefix
        assert row[f"{prefix}effective"] == pytest.approx(np.exp(entropy(i)), rel=1e-5)
        assert row[f"{prefix}kurtosis"] == pytest.approx(kurtosis(i, fisher=False), rel=1e-4)
        if not prefix:
            assert i.argmax() > 0, "the case must tell importance from strength"
            assert row["overlap"] == pytest.approx(v[i.argmax(), 5] ** 2, rel=1e-4)
            assert row["sameness"] == pytest.approx(u[:, i.argmax()].sum() ** 2 / 12, rel=1e-4)
    assert row["mean_length"] == pytest.approx(np.linalg.norm(w.mean(0)) / np.linalg.norm(w, axis=1).mean())


def test_a_rotation_leaves_importances_alone_and_removes_the_overlap():
    w_CD, h_ND = gaussian(12, 64), gaussian(200, 64, 1)
    w_CD[:, 5] += 20
    h_ND[:, 5] += 20
    row = privileged.signature(w_CD, h_ND)
    for name in ("top_share", "effective", "kurtosis"):
        assert row[f"rotated_{name}"] == pytest.approx(row[name], rel=1e-4)
    assert row["overlap"] > 0.95 and row["rotated_overlap"] < 0.2
    assert row["sameness"] > 0.95 and row["top_share"] > 0.6 > row["centred_top_share"]
    assert row["random_top_share"] < 0.4
