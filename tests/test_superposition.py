"""Measures of superposition against closed forms, scikit-learn, scipy and simulation."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestCentroid

from featurelens import superposition
from featurelens.conceptsets import ConceptSet
from featurelens.imagesets import ImageSet
from featurelens.superposition import (
    concept_directions,
    concepts_per_dimension,
    dimensionality,
    effective_rank,
    interference,
    random_interference,
    shuffle,
    summary,
    welch_bound,
)


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def coins(n, t, p=0.3, seed=1):
    return torch.rand(n, t, generator=torch.Generator().manual_seed(seed)) < p


def polygon(corners):
    angle = 2 * np.pi * torch.arange(corners) / corners
    return torch.stack([angle.cos(), angle.sin()], 1)


# Directions of concepts


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_directions_join_the_centroids_of_scikit_learn(dtype):
    h_ND, present_NT = gaussian(301, 17).to(dtype) + 5, coins(301, 4)
    c_TD = concept_directions(h_ND, present_NT)
    assert c_TD.dtype == torch.float64
    for direction_D, labels_N in zip(c_TD, present_NT.T, strict=True):
        without, with_it = NearestCentroid().fit(h_ND.double().numpy(), labels_N.numpy()).centroids_
        expected = (with_it - without) / np.linalg.norm(with_it - without)
        np.testing.assert_allclose(direction_D, expected, rtol=1e-6, atol=1e-9)


def test_directions_point_from_without_to_with():
    present_NT = coins(400, 3)
    c_TD = concept_directions(0.01 * gaussian(400, 6) + 2 * present_NT.float() @ torch.eye(3, 6), present_NT)
    assert (c_TD.diagonal() > 0.95).all()


def test_scale_shift_and_blocks_change_nothing(monkeypatch):
    h_ND, present_NT = gaussian(100, 9).double(), coins(100, 5)
    c_TD = concept_directions(h_ND, present_NT)
    torch.testing.assert_close(concept_directions(1e6 + 1e-3 * h_ND, present_NT), c_TD, rtol=1e-5, atol=1e-6)
    for rows in (1, 7, 99):
        monkeypatch.setattr(superposition, "ROWS", rows)
        torch.testing.assert_close(concept_directions(h_ND, present_NT), c_TD)


def test_concepts_without_both_kinds_of_images_are_refused():
    h_ND, present_NT = gaussian(50, 4), coins(50, 5)
    present_NT[:, 2], present_NT[:, 4] = False, True
    with pytest.raises(ValueError, match=r"found 2 without, first concept 2$"):
        concept_directions(h_ND, present_NT)
    with pytest.raises(ValueError, match=r"mean features that differ, found 3 without"):
        concept_directions(torch.full((500, 4), 0.1, dtype=torch.float64), coins(500, 3))


@pytest.mark.parametrize("labels", [torch.ones(50, 2), coins(49, 2), coins(50, 2)[:, 0]])
def test_labels_that_do_not_fit_are_refused(labels):
    with pytest.raises(ValueError, match=r"expected torch.bool \(50, concepts\), found torch\.\w+ \("):
        concept_directions(gaussian(50, 4), labels)


def test_features_with_nan_are_refused():
    h_ND = gaussian(50, 4)
    h_ND[3, 1] = float("nan")
    with pytest.raises(ValueError, match="row 3"):
        concept_directions(h_ND, coins(50, 2))


# Interference


def test_interference_is_cosine_similarity_off_the_diagonal():
    c_TD = gaussian(12, 5)
    found = interference(c_TD)
    expected = np.abs(cosine_similarity(c_TD.double()))
    np.fill_diagonal(expected, np.nan)
    np.testing.assert_allclose(found.mean_T, np.nanmean(expected, 1), rtol=1e-9)
    np.testing.assert_allclose(found.max_T, np.nanmax(expected, 1), rtol=1e-9)
    np.testing.assert_allclose(found.cos_TT, np.nan_to_num(expected), rtol=1e-9)


def test_interference_ignores_length_and_sign():
    eye = torch.eye(4)
    assert interference(eye).mean_T.tolist() == [0, 0, 0, 0]
    assert interference(torch.cat([eye, -3 * eye])).max_T.tolist() == [1] * 8


@pytest.mark.parametrize("bad", [torch.ones(1, 3), torch.tensor([[1.0, 0], [0, 0]])])
def test_directions_that_have_no_angle_are_refused(bad):
    with pytest.raises(ValueError, match=r"^directions: expected .*found"):
        interference(bad)


@pytest.mark.parametrize(("n", "width"), [(2, 2), (30, 5), (75, 64), (20, 512)])
def test_random_directions_interfere_as_expected(n, width):
    drawn = [interference(gaussian(n, width, seed=seed)) for seed in range(300)]
    expected = random_interference(n, width)
    for found, value in (
        ([one.mean_T.mean() for one in drawn], expected.mean),
        ([one.max_T.mean() for one in drawn], expected.max),
    ):
        assert abs(np.mean(found) - value) < 4 * np.std(found) / 300**0.5


def test_random_interference_is_near_the_usual_formula():
    assert random_interference(75, 512).mean == pytest.approx((2 / (np.pi * 512)) ** 0.5, rel=1e-3)
    assert random_interference(75, 512).max < random_interference(500, 512).max
    for n, width in ((1, 64), (75, 1)):
        with pytest.raises(ValueError, match=f"found {n} and {width}"):
            random_interference(n, width)


@pytest.mark.parametrize(
    ("simplex", "bound"), [(polygon(3), 1 / 2), (torch.eye(4) - 1 / 4, 1 / 3), (torch.eye(5), 0)]
)
def test_welch_bound_is_reached_where_all_angles_are_equal(simplex, bound):
    rank = int(torch.linalg.matrix_rank(simplex))
    assert welch_bound(len(simplex), rank) == pytest.approx(bound)
    assert interference(simplex).max_T.max().item() == pytest.approx(bound, abs=1e-6)


@pytest.mark.parametrize(("n", "width"), [(6, 5), (20, 5), (100, 3)])
def test_no_directions_beat_the_welch_bound(n, width):
    largest = [interference(gaussian(n, width, seed=seed)).max_T.max() for seed in range(20)]
    assert min(largest) > welch_bound(n, width)


# Dimensions


def test_dimensionality_of_regular_polytopes():
    tetrahedron = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    cases = ((torch.eye(3), 1), (polygon(3), 2 / 3), (polygon(5), 2 / 5), (tetrahedron, 3 / 4))
    for w_TD, expected in cases:
        torch.testing.assert_close(dimensionality(7 * w_TD), torch.full((len(w_TD),), expected).double())


def test_dimensionality_counts_lengths_and_takes_zeros():
    w_TD = gaussian(6, 3).double()
    unit_TD = w_TD / w_TD.norm(dim=1, keepdim=True)
    for i, found in enumerate(dimensionality(w_TD)):
        expected = w_TD[i].dot(w_TD[i]) / sum(unit_TD[i].dot(w_D) ** 2 for w_D in w_TD)
        torch.testing.assert_close(found, expected)
    w_TD[4] = 0
    assert dimensionality(w_TD)[4] == 0 and dimensionality(w_TD).sum() < 3 + 1e-9


def test_concepts_per_dimension_is_the_squared_length_of_all():
    assert concepts_per_dimension(polygon(7)) == pytest.approx(3.5)
    assert concepts_per_dimension(torch.tensor([[2.0, 0, 0, 0]])) == 1


def test_effective_rank_is_the_entropy_of_variance():
    assert effective_rank(torch.eye(6)) == pytest.approx(6)
    assert effective_rank(torch.ones(5, 4)) == pytest.approx(1)
    c_TD = gaussian(9, 20).double()
    variances = np.linalg.eigvalsh((c_TD @ c_TD.T).numpy())
    assert effective_rank(c_TD) == pytest.approx(np.exp(scipy.stats.entropy(variances)))
    with pytest.raises(ValueError, match="found zeros only"):
        effective_rank(torch.zeros(2, 2))


# Tables


def test_shuffled_labels_keep_their_number_and_nothing_else():
    present_NT = coins(2000, 3).repeat(1, 2)
    labels_NT = shuffle(present_NT, seed=4)
    assert labels_NT.sum(0).tolist() == present_NT.sum(0).tolist()
    assert labels_NT.equal(shuffle(present_NT, 4)) and not labels_NT.equal(shuffle(present_NT, 5))
    phi = np.corrcoef(labels_NT.double().T, present_NT.double().T)
    assert np.abs(phi - np.eye(12))[:6].max() < 0.1


def test_summary_of_features_that_are_the_labels():
    present_NT = coins(4000, 8)
    present_NT[:, 1] = present_NT[:, 0] ^ coins(4000, 1, p=0.1)[:, 0]  # two that go together
    row = summary(present_NT.double() @ torch.eye(8, 40).double(), present_NT, [shuffle(present_NT, 0)])
    assert (row["width"], row["concepts"]) == (40, 8)
    assert row["mean"] == pytest.approx(row["labels"])
    assert row["unrelated"] == pytest.approx(row["labels_unrelated"])
    assert row["unrelated"] < 0.05 < row["mean"] < row["nearest"] < row["largest"] and row["largest"] > 0.9
    assert 20 <= row["unrelated_pairs"] <= 27
    assert 6 < row["effective_rank"] < 8 and row["per_dimension"] == pytest.approx(0.2)
    assert row["own_dimension"] == pytest.approx((6 + 2 * 0.5) / 8, abs=0.05)


def test_shuffled_labels_measure_how_few_dimensions_features_fill():
    wide, present_NT = gaussian(3000, 60), coins(3000, 20)
    narrow = wide[:, :4] @ gaussian(4, 60, seed=9) + 1e-3 * wide
    nothing = [shuffle(present_NT, seed) for seed in range(5)]
    isotropic = random_interference(20, 60).mean
    assert summary(wide, present_NT, nothing)["shuffled"] == pytest.approx(isotropic, rel=0.1)
    found = summary(narrow, present_NT, nothing)
    assert found["shuffled"] > 0.3 and found["shuffled"] == pytest.approx(found["mean"], rel=0.2)


@pytest.fixture
def world(monkeypatch):
    """Two networks and 200 images, six concepts: one rare, two that are always together."""
    present_NT = coins(200, 6, p=0.5)
    present_NT[:, 3] = present_NT[:, 1]
    present_NT[:, 5] = torch.arange(200) < 29
    images = ImageSet("miniature/tiny", [str(i) for i in range(200)], [], None, {}, None)
    found = ConceptSet(images, list("abcdef"), ["object"] * 6, present_NT)
    specs = {
        name: SimpleNamespace(name=name, regime=name, backbone="resnet", seed=0)
        for name in ("supervised", "random-init", "in no comparison")
    }
    heads = {"miniature/supervised": SimpleNamespace(point="pre"), "miniature/random-init": None}
    widths, row_N = {"pre": 8, "joint": 5}, torch.arange(10, 200)

    def features(encoder, images, point):
        assert images.name == "miniature/tiny"
        h_ND = present_NT[row_N][:, [0, 1, 2, 4]].float() @ torch.eye(4, widths[point])
        return SimpleNamespace(h_ND=h_ND, row_N=row_N)

    monkeypatch.setattr(superposition.recipes, "recipe", specs.__getitem__)
    monkeypatch.setattr(superposition.checkpoints, "names", lambda: list(specs)[:2])
    monkeypatch.setattr(superposition.conceptsets, "load", {"miniature/tiny": found}.__getitem__)
    monkeypatch.setattr(superposition.zoo, "load", lambda name: SimpleNamespace(head=heads[name]))
    monkeypatch.setattr(superposition.extract, "features", features)
    superposition._labels.cache_clear()
    yield
    superposition._labels.cache_clear()


def test_miniature_table_reads_features_where_heads_do(world):
    table = superposition.miniature_table("tiny")
    assert table["model"].tolist() == ["supervised", "random-init"]
    assert table["point"].tolist() == ["pre", "joint"] and table["width"].tolist() == [8, 5]
    assert table["concepts"].tolist() == [4, 4]
    # Features are the labels, in the order of the images that have features.
    assert table["mean"].tolist() == pytest.approx(table["labels"].tolist())
    assert table.notna().all(axis=None)
    assert superposition.miniature_table("tiny", "pre")["point"].tolist() == ["pre", "pre"]
