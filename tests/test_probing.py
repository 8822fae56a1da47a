"""Table of real pictures of chapter 4, without pictures: pixels counted by hand, the rest by scikit-learn."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from featurelens import candidates, concepts, extract, imagesets, probing, scales
from featurelens.concept_labels import ConceptSet

WIDTH, COUNT = 6, 200
SIZES = {"features": WIDTH, "right singular vectors": 3, "random": WIDTH}


def images_of(count, classes=(), mask=None):
    keys = [str(i) for i in range(count)]
    return imagesets.ImageSet("set", keys, list(classes), None, {}, lambda i: None, mask=mask)


# Objects by their share of the pixels


@pytest.fixture
def masked(monkeypatch):
    """Two frames of 200 pixels with three classes; 255 is what nobody named."""
    counts = [{0: 20, 1: 19, 2: 161}, {0: 0, 1: 50, 2: 2, 255: 148}]

    def mask(i):
        pixels = [value for value, count in counts[i].items() for _ in range(count)]
        return torch.tensor(pixels, dtype=torch.uint8).reshape(10, 20)

    images = images_of(2, ["car", "road", "sky"], mask)
    monkeypatch.setattr(imagesets, "load", {"town": images}.__getitem__)
    return images


def test_an_object_counts_from_the_share_on(masked):
    found = probing.by_area("town", share=0.1)  # 20 pixels
    assert found.present_NT.tolist() == [[True, False, True], [False, True, False]]
    assert found.images is masked and found.names == ["car", "road", "sky"]
    assert found.categories == ["object"] * 3 and found.known_NT is None


def test_the_share_of_the_book_is_a_hundredth(masked):
    found = probing.by_area("town")  # 2 pixels
    assert found.present_NT.tolist() == [[True, True, True], [False, True, True]]
    assert probing.by_area("town", share=0.011).present_NT.tolist() == [[True] * 3, [False, True, False]]


# Detection, from features made here


@pytest.fixture
def made(monkeypatch):
    """Features of two encoders for two sets whose second picture could not be read."""
    random = torch.Generator().manual_seed(0)
    present_NT = torch.rand(COUNT, 3, generator=random) < torch.tensor([0.3, 0.5, 0.04])
    present_NT[:19, 2], present_NT[19:, 2] = True, False  # one picture too few
    sets = {
        "shapes": ConceptSet(images_of(COUNT), ["cat", "dog", "rare"], ["a", "b", "b"], present_NT),
        "styles": ConceptSet(images_of(COUNT), ["one", "two"], ["s", "s"], ~present_NT[:, :2]),
    }
    row_N = torch.cat([torch.tensor([0]), torch.arange(2, COUNT)])
    heads, features = {}, {}
    for name in ("first", "second"):
        w_CD = torch.randn(3, WIDTH, generator=random)
        heads[name] = SimpleNamespace(name=name, head=SimpleNamespace(w_CD=w_CD))
        h_ND = torch.randn(COUNT, WIDTH, generator=random)
        h_ND[:, 4] -= 2.0 * present_NT[:, 0]  # found against the coordinate
        features[name] = extract.Features(h_ND[row_N], None, row_N, [])
    monkeypatch.setattr(probing, "concept_sets", lambda: sets)
    monkeypatch.setattr(probing, "PERMUTATIONS", 3)
    monkeypatch.setattr(probing.outliers, "supervised_encoders", lambda: heads)
    monkeypatch.setattr(extract, "features", lambda encoder, images: features[encoder.name])
    return SimpleNamespace(sets=sets, encoders=heads, features=features, row_N=row_N)


def test_one_row_per_network_set_kind_and_concept(made):
    table = probing.table()
    key = ["set", "model", "kind", "concept"]
    asked = {"shapes": ["cat", "dog"], "styles": ["one", "two"]}  # without the rare one
    expected = [
        (s, model, kind, concept)
        for s, names in asked.items()
        for model in ("first", "second")
        for kind in SIZES
        for concept in names
    ]
    assert list(table[key].itertuples(index=False, name=None)) == expected
    others = {"category", "direction", "sense", "ap", "luck", "positives", "directions"}
    assert set(table.columns) == others | set(key)
    assert list(table["directions"]) == [SIZES[kind] for kind in table["kind"]]
    assert list(table.index) == list(range(len(expected)))


def test_twenty_positives_among_the_pictures_read_are_enough(made):
    made.sets["shapes"].present_NT[60, 2] = True
    rows = probing.table().query("concept == 'rare'")
    assert rows.empty, "the twentieth picture could not be read"
    made.sets["shapes"].present_NT[61, 2] = True
    rows = probing.table().query("concept == 'rare'")
    assert len(rows) == 2 * len(SIZES) and set(rows["positives"]) == {20}


def test_positives_are_counted_in_the_pictures_that_were_read(made):
    present_NT = made.sets["shapes"].present_NT
    assert present_NT[1].any(), "or the count would be the same with the lost picture"
    table = probing.table().drop_duplicates(["set", "concept"]).set_index("concept")["positives"]
    expected_T = present_NT[made.row_N].sum(0).tolist()
    assert table[["cat", "dog"]].tolist() == expected_T[:2]
    assert table["one"] == len(made.row_N) - expected_T[0]


def directions(made, model, kind):
    """The directions of a kind, from numpy's decomposition."""
    if kind == "features":
        return np.eye(WIDTH)
    if kind == "random":
        return candidates.random_directions(WIDTH, WIDTH, seed=0).numpy()
    return np.linalg.svd(made.encoders[model].head.w_CD.numpy(), full_matrices=False)[2].T


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("model", ["first", "second"])
def test_the_best_direction_is_scikit_learns(made, model, kind):
    # Both in the order of the rows that were read; balanced negatives as the set's own labels draw them.
    judged = concepts.labels(made.sets["shapes"], "balanced", minimum=20, rows=made.row_N)
    kept_N, present_N = judged.considered_NT[:, 0].numpy(), judged.present_NT[:, 0].numpy()
    assert kept_N.sum() == 2 * present_N.sum() < len(kept_N)
    scores_NK = made.features[model].h_ND.numpy() @ directions(made, model, kind)
    ap = [
        max(average_precision_score(present_N[kept_N], sense * score_N[kept_N]) for sense in (1, -1))
        for score_N in scores_NK.T
    ]
    [row] = probing.table().query("model == @model and kind == @kind and concept == 'cat'").to_dict("records")
    assert row["ap"] == pytest.approx(max(ap), abs=1e-9)
    assert row["direction"] == np.argmax(ap)
    if kind == "features":
        assert (row["direction"], row["sense"]) == (4, -1) and row["ap"] > row["luck"] > 0.5


def test_luck_is_a_high_quantile_and_for_coordinates_only(made, monkeypatch):
    random, drawn = np.random.default_rng(0), []

    def by_luck(h_ND, v_DK, judged, permutations):
        assert v_DK.equal(torch.eye(WIDTH)) and permutations == 3
        drawn.append(random.random((permutations, len(judged.names))))
        return torch.tensor(drawn[-1])

    monkeypatch.setattr(concepts, "by_luck", by_luck)
    table = probing.table()
    assert table["luck"].notna().equals(table["kind"] == "features")
    expected = np.concatenate([np.quantile(luck_RT, 0.95, axis=0) for luck_RT in drawn])
    assert table["luck"].dropna().tolist() == pytest.approx(expected.tolist())
    assert len(drawn) == 4, "once for each network and set"


def test_without_images_there_is_no_table(monkeypatch):
    monkeypatch.delenv("FEATURELENS_IMAGES", raising=False)
    monkeypatch.setattr(probing.outliers, "supervised_encoders", dict)
    with pytest.raises(scales.Unreachable, match="FEATURELENS_IMAGES"):
        probing.table()
