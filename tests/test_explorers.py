"""Data of the explorers against numpy, scikit-learn and the functions of the chapters."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score

from featurelens import concepts, explorers, kernels, outliers, scan_coordinates
from featurelens import explorers_miniature as miniature
from featurelens.miniature import concepts as small
from featurelens.miniature import grown, world


def made(n=300, width=24, seed=0):
    """Features with a constant offset, an image-dependent outlier and a bit of both."""
    h_ND = torch.randn(n, width, generator=torch.Generator().manual_seed(seed))
    sign_N = (torch.arange(n) % 2) * 2.0 - 1
    h_ND[:, 5] += 14
    h_ND[:, 11] += 15 * sign_N
    return h_ND


# Coordinates


def test_coordinates_are_what_numpy_says():
    h_ND = made().double().numpy()
    z_ND = (h_ND - h_ND.mean(1, keepdims=True)) / h_ND.std(1, keepdims=True)
    found = explorers.coordinates(made())
    distance_D = np.median(abs(z_ND), 0)
    fourth_D = (z_ND**4).mean(0)
    expected = {
        "coordinate": np.arange(24),
        "distance": distance_D,
        "times_median": distance_D / np.median(distance_D),
        "share": fourth_D / fourth_D.sum(),
        "leads": np.bincount(abs(z_ND).argmax(1), minlength=24) / 300,
        "present": (z_ND**4 >= 3 * 24).mean(0),
        "offset": z_ND.mean(0),
        "spread": z_ND.std(0),
        "constant_share": z_ND.mean(0) ** 2 / (z_ND**2).mean(0),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-7, err_msg=name)
    assert found["share"].sum() == pytest.approx(1)


def test_outlier_coordinates_are_described_as_by_scan():
    h_ND = made()
    table = explorers.coordinates(h_ND).set_index("coordinate")
    scanned = scan_coordinates.found(h_ND, outliers.distances(h_ND).numpy())
    assert {row.index for row in scanned} == set(table.index[table["outlier"]]) == {5, 11}
    same = ["distance", "times_median", "present", "leads", "offset", "spread", "constant_share"]
    for row in scanned:
        mine = table.loc[row.index]
        assert mine[same].tolist() == pytest.approx([getattr(row, name) for name in same], rel=1e-5)
        assert mine["share"] == pytest.approx(row.kurtosis_share) and mine["kind"] == row.kind
    assert table.loc[[5, 11], "kind"].tolist() == ["constant offset", "image-dependent"]


def test_a_coordinate_that_is_always_the_mean_is_no_constant_offset():
    h_ND = torch.tensor([[1.0, 0, -1], [2, 0, -2], [-3, 0, 3]])
    found = explorers.coordinates(h_ND)
    assert found.loc[1, ["distance", "share", "constant_share"]].tolist() == [0, 0, 0]


def test_one_table_for_several_views():
    table = explorers.coordinate_table({"b": made(seed=1), "a": made()[:, :8]})
    assert table["view"].unique().tolist() == ["b", "a"] and len(table) == 24 + 8
    with pytest.raises(ValueError, match="at least one network, found none"):
        explorers.coordinate_table({})


def test_rows_without_a_spread_are_refused():
    with pytest.raises(ValueError, match="expected rows whose coordinates differ"):
        explorers.standard_scores(torch.ones(4, 5))


# Pictures


def test_each_picture_stands_once_on_the_sheet_and_in_order():
    colours = [(250, 10, 10), (10, 250, 10), (10, 10, 250)] * 11
    found = explorers.sheet(
        [Image.new("RGB", (8, 8), c) for c in colours], [f"picture {n}" for n in range(33)]
    )
    raw = base64.b64decode(found.uri.removeprefix("data:image/webp;base64,"))
    whole = np.asarray(Image.open(io.BytesIO(raw)))
    assert whole.shape == (64, 960, 3) and (found.columns, found.lines) == (30, 2)
    for place, colour in enumerate(colours):
        y, x = place // 30 * 32 + 16, place % 30 * 32 + 16
        assert abs(whole[y, x].astype(int) - colour).max() < 25, place


@pytest.mark.parametrize(("pictures", "words"), [([], []), ([Image.new("RGB", (4, 4))], ["a", "b"])])
def test_a_sheet_needs_one_text_a_picture(pictures, words):
    with pytest.raises(ValueError, match="expected one text a picture, found"):
        explorers.sheet(pictures, words)


def test_the_miniatures_pictures_are_said_in_words():
    pictures = world.sample("base-val", torch.arange(40))
    for row, text in enumerate(miniature.words(pictures)):
        assert f" {world.names('object')[pictures.object[row]]} with " in text
        assert text.startswith("photo of a ") and len(text.split()) >= 8
        assert f" {world.names('colour')[pictures.colour2[row]]} parts, " in text


# Ends of directions


def test_ends_are_sorted_and_ties_keep_their_order():
    high, low = explorers.ends(torch.tensor([[1.0, 0], [3, 0], [2, 0], [-1, 0]]), 3)
    assert high.tolist() == [[1, 2, 0], [0, 1, 2]] and low.tolist() == [[3, 0, 2], [0, 1, 2]]
    with pytest.raises(ValueError, match="expected at least 5 pictures, found 4"):
        explorers.ends(torch.zeros(4, 2), 5)


# Concepts


@pytest.fixture(scope="module")
def judged():
    return concepts.labels(small.concept_set(), "balanced")


@pytest.fixture(scope="module")
def searches(judged):
    return miniature.concept_searches(judged)


@pytest.mark.slow
def test_searches_agree_with_chapter_4_and_with_scikit_learn(judged, searches):
    for view, name in miniature.CONCEPT_VIEWS.items():
        chapter = small.detection(name, judged)
        torch.testing.assert_close(searches[view].found.ap_2KT, chapter.ap_2KT, rtol=0, atol=0)
    h_ND, found = small.searched(grown.COMPANION)["joint"][0], searches["clip-web"].found
    for t in (0, 17, 41):
        kept_N, present_N = judged.considered_NT[:, t].numpy(), judged.present_NT[:, t].numpy()
        for k in (3, 55):
            for end, sense in enumerate((1, -1)):
                ap = average_precision_score(present_N[kept_N], sense * h_ND[:, k].numpy()[kept_N])
                assert found.ap_2KT[end, k, t].item() == pytest.approx(ap, abs=1e-9)
    assert torch.equal(searches["clip-web"].scores_PK, h_ND[: miniature.PICTURES])


@pytest.mark.slow
def test_pairs_are_those_that_reach_the_threshold(searches):
    table = explorers.pair_table(searches)
    assert table["ap"].is_monotonic_decreasing and table["ap"].min() >= concepts.THRESHOLD
    for view, (found, luck_T, _) in searches.items():
        rows = table[table["view"] == view]
        assert len(rows) == int((found.ap_KT >= concepts.THRESHOLD).sum())
        assert set(rows["concept"]) == found.encoded()
        best = rows.groupby("concept").first()
        chapter = found.table().set_index("concept").loc[best.index]
        assert best[["direction", "sense", "ap"]].equals(chapter[["direction", "sense", "ap"]])
        assert 0.5 < luck_T.min() < luck_T.max() < 0.65


@pytest.mark.slow
def test_the_miniatures_coordinates_agree_with_chapter_2():
    table = explorers.coordinate_table(miniature.kurtosis_features())
    top = table[table["view"] == "clip-outliers, joint space"].sort_values("share").iloc[-1]
    chapter = grown.kurtosis_table().set_index(["model", "kind"]).loc[(grown.NAME, "images")]
    assert top["coordinate"] == chapter["top_coordinate"]
    assert top["share"] == pytest.approx(chapter["top_share"], rel=1e-6)
    assert top["times_median"] == pytest.approx(chapter["lead"], rel=1e-6)
    h_ND = miniature.kurtosis_features()["supervised, before the head"]
    rows = table[table["view"] == "supervised, before the head"]
    np.testing.assert_allclose(rows["distance"], outliers.distances(h_ND), atol=1e-8)
    c_D = kernels.kurtosis_contributions(h_ND)
    np.testing.assert_allclose(rows["share"], c_D / c_D.sum(), atol=1e-8)
