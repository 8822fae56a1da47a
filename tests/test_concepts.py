"""Concepts: labels by brute force, detection against scikit-learn, luck against all shuffles there are."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.metrics import average_precision_score

from featurelens import candidates, checks, concepts, imagesets
from featurelens.concept_labels import ConceptSet
from featurelens.concepts import Detection

SHARES = (0.02, 0.1, 0.35, 0.5, 0.8, 0.97)  # rare, even and frequent concepts


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def concept_set(present_NT, known_NT=None, categories=None):
    count, names = len(present_NT), [f"c{t}" for t in range(present_NT.shape[1])]
    images = imagesets.ImageSet("set", [str(i) for i in range(count)], [], None, {}, lambda i: None)
    return ConceptSet(images, names, categories or ["kind"] * len(names), present_NT, known_NT)


def drawn(count=600, seed=0, known=True):
    """A set with concepts of all shares; of each, a part of the images may be unknown."""
    present_NT = torch.rand(count, len(SHARES), generator=generator(seed)) < torch.tensor(SHARES)
    known_NT = present_NT | (torch.rand(present_NT.shape, generator=generator(seed + 1)) < 0.7)
    return concept_set(present_NT, known_NT if known else None)


# Labels


@pytest.mark.parametrize("unknown", concepts.UNKNOWN)
@pytest.mark.parametrize("seed", range(5))
def test_balanced_keeps_all_of_the_rarer_kind_and_as_many_of_the_other(unknown, seed):
    whole = drawn(seed=seed)
    judged = concepts.labels(whole, "balanced", unknown=unknown, minimum=1, seed=seed)
    for t, name in enumerate(judged.names):
        origin = whole.names.index(name)
        assert judged.present_NT[:, t].equal(whole.present_NT[:, origin])
        may_N = whole.known_NT[:, origin] if unknown == "left out" else torch.ones(600, dtype=torch.bool)
        with_, without = whole.present_NT[:, origin] & may_N, ~whole.present_NT[:, origin] & may_N
        kept_N = judged.considered_NT[:, t]
        size = min(int(with_.sum()), int(without.sum()))
        assert not (kept_N & ~may_N).any()
        assert int((kept_N & with_).sum()) == int((kept_N & without).sum()) == size
        rarer_N = with_ if with_.sum() <= without.sum() else without
        assert kept_N[rarer_N].all()


def test_balanced_draws_each_image_equally_often_and_repeats_by_seed():
    present_NT = torch.zeros(12, 2, dtype=torch.bool)
    present_NT[:3, 0] = True  # three with, nine without
    present_NT[:8, 1] = True  # eight with, four without
    whole = concept_set(present_NT)
    draws = [concepts.labels(whole, "balanced", minimum=1, seed=seed) for seed in range(2000)]
    often_NT = torch.stack([judged.considered_NT for judged in draws]).double().mean(0)
    expected_NT = torch.where(present_NT, torch.tensor([1, 4 / 8]), torch.tensor([3 / 9, 1]))
    error_NT = (expected_NT * (1 - expected_NT) / len(draws)).sqrt()
    assert ((often_NT - expected_NT).abs() <= 4 * error_NT).all()
    again = concepts.labels(whole, "balanced", minimum=1, seed=7)
    assert again.considered_NT.equal(draws[7].considered_NT)
    assert not again.considered_NT.equal(draws[8].considered_NT)


def test_concepts_in_the_same_images_get_the_same_negatives():
    present_NT = drawn().present_NT[:, [2, 2]]
    judged = concepts.labels(concept_set(present_NT), "balanced", minimum=1)
    assert judged.considered_NT[:, 0].equal(judged.considered_NT[:, 1])


def test_prevalence_considers_all_images_or_all_known_ones():
    whole = drawn()
    judged = concepts.labels(whole, "prevalence", minimum=1)
    assert judged.names == whole.names and judged.omitted == []
    assert judged.considered_NT.all() and judged.present_NT.equal(whole.present_NT)
    judged = concepts.labels(whole, "prevalence", unknown="left out", minimum=1)
    assert judged.considered_NT.equal(whole.known_NT) and judged.present_NT.equal(whole.present_NT)
    everything = drawn(known=False)
    judged = concepts.labels(everything, "prevalence", unknown="left out", minimum=1)
    assert judged.considered_NT.all()


def test_labels_do_not_change_the_set():
    whole = drawn()
    present_NT, known_NT = whole.present_NT.clone(), whole.known_NT.clone()
    concepts.labels(whole, "balanced", unknown="left out", minimum=1)
    assert whole.present_NT.equal(present_NT) and whole.known_NT.equal(known_NT)


def test_minimum_counts_considered_images_of_both_kinds():
    count_T = [4, 5, 6, 15, 16, 5]
    present_NT = torch.arange(20)[:, None] < torch.tensor(count_T)
    known_NT = torch.ones_like(present_NT)
    known_NT[9:, 5] = False  # five with, and four of fifteen without
    whole = concept_set(present_NT, known_NT, list("abcdef"))
    judged = concepts.labels(whole, "prevalence", minimum=5)
    assert judged.names == ["c1", "c2", "c3", "c5"] and judged.categories == ["b", "c", "d", "f"]
    assert judged.omitted == ["c0", "c4"] and judged.present_NT.sum(0).tolist() == [5, 6, 15, 5]
    judged = concepts.labels(whole, "prevalence", unknown="left out", minimum=5)
    assert judged.names == ["c1", "c2", "c3"] and judged.omitted == ["c0", "c4", "c5"]


@pytest.mark.parametrize("negatives", concepts.NEGATIVES)
def test_rows_are_the_only_images_that_count(negatives):
    whole = drawn()
    row_N = torch.randperm(600, generator=generator(3))[:200]
    some = concept_set(whole.present_NT[row_N], whole.known_NT[row_N])
    expected = concepts.labels(some, negatives, unknown="left out", minimum=10)
    found = concepts.labels(whole, negatives, unknown="left out", minimum=10, rows=row_N)
    assert found.names == expected.names and found.omitted == expected.omitted != []
    assert found.present_NT.equal(expected.present_NT) and found.considered_NT.equal(expected.considered_NT)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"negatives": "balance"}, checks.UnknownNameError, "unknown choice of negatives 'balance': did you"),
        (
            {"negatives": "balanced", "unknown": "leave out"},
            checks.UnknownNameError,
            "unknown choice of unknown 'leave out': did you mean left out",
        ),
        (
            {"negatives": "balanced", "minimum": 400},
            ValueError,
            "set: expected concepts with 400 images with and without, found none of 6",
        ),
        ({"negatives": "balanced", "minimum": 0}, ValueError, "minimum: expected at least 1, found 0"),
    ],
)
def test_bad_choices_are_one_line(arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        concepts.labels(drawn(), **arguments)
    assert "\n" not in str(caught.value)


# Detection


@pytest.mark.parametrize("negatives", concepts.NEGATIVES)
@pytest.mark.parametrize("unknown", concepts.UNKNOWN)
@pytest.mark.parametrize("levels", [None, 3])
def test_detection_is_scikit_learns_average_precision_in_both_senses(negatives, unknown, levels):
    whole, row_N = drawn(), torch.randperm(600, generator=generator(5))[:400]
    judged = concepts.labels(whole, negatives, unknown=unknown, minimum=5, rows=row_N)
    h_ND, directions_DK = torch.randn(400, 7, generator=generator(1)), candidates.random_directions(7, 4, 2)
    if levels:  # many equal scores
        h_ND, directions_DK = (h_ND * levels).round(), torch.eye(7)[:, :4]
    found = concepts.detect(h_ND, directions_DK, judged)
    scores_NK = (h_ND @ directions_DK.float()).numpy()
    assert found.names == judged.names and found.ap_2KT.shape == (2, 4, len(judged.names))
    for t, name in enumerate(judged.names):
        origin = whole.names.index(name)
        kept_N = judged.considered_NT[:, t].numpy()
        present_N = whole.present_NT[row_N, origin].numpy()
        for k, score_N in enumerate(scores_NK.T):
            for sense, ap_KT in zip((1, -1), found.ap_2KT, strict=True):
                expected = average_precision_score(present_N[kept_N], sense * score_N[kept_N])
                assert ap_KT[k, t].item() == pytest.approx(expected, abs=1e-12)


def test_coordinates_are_directions():
    h_ND = torch.randn(30, 5, generator=generator())
    assert concepts.project(h_ND, torch.eye(5)).equal(h_ND)
    assert concepts.project(h_ND.half(), torch.eye(5, dtype=torch.float64)).dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((torch.zeros(600, 3), torch.eye(4)), ValueError, r"directions: expected 3 x K, found \(4, 4\)"),
        ((torch.zeros(600, 3), torch.ones(3)), ValueError, r"directions: expected 3 x K, found \(3,\)"),
        ((torch.full((600, 3), torch.nan), torch.eye(3)), ValueError, "features: expected finite numbers"),
        ((torch.zeros(600, 3).long(), torch.eye(3)), TypeError, "features: expected a floating dtype"),
        ((torch.zeros(599, 3), torch.eye(3)), ValueError, "present: expected 599 images"),
    ],
)
def test_features_directions_and_labels_have_to_fit(arguments, error, message):
    judged = concepts.labels(drawn(), "balanced", minimum=5)
    with pytest.raises(error, match=message) as caught:
        concepts.detect(*arguments, judged)
    assert "\n" not in str(caught.value)


# What was detected, from average precisions written by hand

NAMES, CATEGORIES = ["red", "blue", "cat", "dog"], ["color", "color", "object", "object"]
AP = torch.tensor(
    [
        [[0.95, 0.20, 0.91, 0.60], [0.10, 0.30, 0.40, 0.50], [0.99, 0.92, 0.20, 0.10]],
        [[0.30, 0.93, 0.10, 0.70], [0.20, 0.25, 0.45, 0.90], [0.10, 0.10, 0.94, 0.10]],
    ],
    dtype=torch.float64,
)
FOUND = Detection(NAMES, CATEGORIES, AP)


def test_encoded_concepts_reach_the_threshold_in_either_sense():
    assert FOUND.ap_KT.tolist() == [[0.95, 0.93, 0.91, 0.7], [0.2, 0.3, 0.45, 0.9], [0.99, 0.92, 0.94, 0.1]]
    assert FOUND.best_T.tolist() == [0.99, 0.93, 0.94, 0.9]
    assert FOUND.encoded() == {"red", "blue", "cat", "dog"}  # 0.9 reaches 0.9
    assert FOUND.encoded(0.92) == {"red", "blue", "cat"} and FOUND.encoded(0.95) == {"red"}
    assert FOUND.encoded(1) == set()


def test_table_has_each_concepts_best_direction_and_sense():
    expected = pd.DataFrame(
        {
            "concept": NAMES,
            "category": CATEGORIES,
            "direction": [2, 0, 2, 1],
            "sense": [1, -1, -1, -1],
            "ap": [0.99, 0.93, 0.94, 0.9],
        }
    )
    pd.testing.assert_frame_equal(FOUND.table(), expected)


def test_directions_count_concepts_and_the_entropy_of_their_categories():
    table = FOUND.directions()
    assert table["direction"].tolist() == [0, 1, 2] and table["concepts"].tolist() == [3, 1, 3]
    two_to_one = stats.entropy([2, 1], base=2)
    assert table["entropy"].tolist() == pytest.approx([two_to_one, 0, two_to_one])
    assert not np.signbit(table["entropy"]).any()  # no "-0.0" in a table
    table = FOUND.directions(0.96)
    assert table["concepts"].tolist() == [0, 0, 1] and table["entropy"].isna().tolist() == [True, True, False]


def test_entropy_equals_scipys_on_many_directions():
    categories = [str(c) for c in torch.randint(0, 5, (60,), generator=generator()).tolist()]
    ap_2KT = torch.rand(2, 200, 60, generator=generator(1), dtype=torch.float64)
    table = Detection([str(t) for t in range(60)], categories, ap_2KT).directions(0.97)
    kinds = np.array(categories)
    for k, row in enumerate(table.itertuples()):
        found = [t for t in range(60) if max(ap_2KT[0, k, t], ap_2KT[1, k, t]) >= 0.97]
        assert row.concepts == len(found)
        counts = np.unique(kinds[found], return_counts=True)[1]
        assert row.entropy == pytest.approx(stats.entropy(counts, base=2)) if found else np.isnan(row.entropy)
    assert {0, 1} < set(table["concepts"])


def test_top_lists_the_best_concepts_of_a_direction():
    rows = FOUND.top(0, 3).values.tolist()
    assert rows == [["red", "color", 1, 0.95], ["blue", "color", -1, 0.93], ["cat", "object", 1, 0.91]]
    assert FOUND.top(1)["concept"].tolist() == ["dog", "cat", "blue", "red"]
    assert FOUND.top(1)["sense"].tolist() == [-1, -1, 1, -1]
    for wrong in (-1, 3):
        with pytest.raises(ValueError, match=f"expected a direction from 0 to 2, found {wrong}"):
            FOUND.top(wrong)


# Directions, luck and other draws


def test_random_directions_are_uniform_units():
    v_DK = candidates.random_directions(3, 4000, seed=0)
    torch.testing.assert_close(v_DK.norm(dim=0), torch.ones(4000, dtype=torch.float64))
    # On a sphere in three dimensions each coordinate is uniform (Archimedes); of opposite points, both.
    for x_K in v_DK:
        assert stats.kstest(x_K.numpy(), stats.uniform(-1, 2).cdf, method="asymp").pvalue > 1e-3
    covariance_DD = (v_DK @ v_DK.T / 4000 - torch.eye(3) / 3).abs()
    assert covariance_DD.max() < 0.02
    assert candidates.random_directions(3, 5, 1).equal(candidates.random_directions(3, 5, 1))
    assert not candidates.random_directions(3, 5, 1).equal(candidates.random_directions(3, 5, 2))


def best_of(scores_NK, present_N):
    """The best average precision over directions and senses, by scikit-learn."""
    return max(average_precision_score(present_N, s * x_N) for x_N in scores_NK.T for s in (1, -1))


def test_luck_is_the_best_average_precision_over_all_shuffles():
    h_ND = torch.tensor([[0.0, 3], [1, 1], [2, 4], [3, 0], [4, 2]])
    present_N = torch.tensor([True, True, False, False, False])
    every = [best_of(h_ND[list(order)].numpy(), present_N.numpy()) for order in permutations(range(5))]
    judged = concepts.labels(concept_set(present_N[:, None]), "prevalence", minimum=1)
    found_R = concepts.by_luck(h_ND, torch.eye(2), judged, permutations=600)[:, 0].numpy()
    assert set(found_R.round(9)) == set(np.round(every, 9))
    assert abs(found_R.mean() - np.mean(every)) < 4 * np.std(every) / 600**0.5


@pytest.mark.parametrize("negatives", concepts.NEGATIVES)
def test_luck_does_not_know_what_the_features_know(negatives):
    present_NT = drawn(known=False).present_NT[:, 1:4]
    h_ND = torch.cat([present_NT.float(), torch.randn(600, 9, generator=generator())], dim=1)
    judged = concepts.labels(concept_set(present_NT), negatives)
    eye_DD = torch.eye(12)
    assert concepts.detect(h_ND, eye_DD, judged).best_T.tolist() == [1, 1, 1]
    luck_RT = concepts.by_luck(h_ND, eye_DD, judged, permutations=40)
    random, reference_RT = np.random.default_rng(0), np.empty((12, 3))
    for row_T in reference_RT:
        deal_N = random.permutation(600)
        for t, kept_N in enumerate(judged.considered_NT.T.numpy()):
            row_T[t] = best_of(h_ND.numpy()[deal_N][kept_N], present_NT[:, t].numpy()[kept_N])
    error_T = reference_RT.std(0) * (1 / 12 + 1 / 40) ** 0.5
    assert (abs(luck_RT.mean(0).numpy() - reference_RT.mean(0)) < 4 * error_T).all()
    level_T = 0.5 if negatives == "balanced" else present_NT.double().mean(0)
    # The best of 24 senses is always above the level of one, and never far.
    assert (luck_RT > level_T).all() and (luck_RT < level_T + 0.25).all()
    again = concepts.by_luck(h_ND, eye_DD, judged, permutations=2, seed=0)
    assert again.equal(luck_RT[:2]) and not concepts.by_luck(h_ND, eye_DD, judged, 2, seed=1).equal(again)


def test_resampling_spreads_like_a_bootstrap_of_the_best_direction():
    present_NT = drawn(known=False).present_NT[:, 1:3]
    noise_ND = torch.randn(600, 2, generator=generator(2))
    h_ND = torch.stack([present_NT[:, 0] + noise_ND[:, 0], -1.0 * present_NT[:, 1] + noise_ND[:, 1]], dim=1)
    judged = concepts.labels(concept_set(present_NT), "balanced")
    found_RT = concepts.resampled(h_ND, torch.eye(2), judged, resamples=200)
    random = np.random.default_rng(0)
    for t, sense in enumerate((1, -1)):
        kept_N, present_N = judged.considered_NT[:, t].numpy(), present_NT[:, t].numpy()
        reference = []
        for _ in range(200):
            draw_N = random.integers(0, 600, 600)
            draw_N = draw_N[kept_N[draw_N]]
            reference.append(average_precision_score(present_N[draw_N], sense * h_ND[draw_N, t].numpy()))
        assert stats.ks_2samp(found_RT[:, t].numpy(), reference).pvalue > 1e-3


def test_resampling_does_not_search_again():
    present_NT = drawn(known=False).present_NT[:, 2:3]
    h_ND = torch.randn(600, 40, generator=generator(3))
    h_ND[:, 17] += 0.3 * present_NT[:, 0]
    judged = concepts.labels(concept_set(present_NT), "balanced")
    assert concepts.detect(h_ND, torch.eye(40), judged).table()["direction"].item() == 17
    among_many = concepts.resampled(h_ND, torch.eye(40), judged, resamples=10, seed=4)
    alone = concepts.resampled(h_ND, torch.eye(40)[:, 17:18], judged, resamples=10, seed=4)
    assert among_many.equal(alone) and alone.std() > 0
    assert not concepts.resampled(h_ND, torch.eye(40), judged, resamples=10, seed=5).equal(among_many)


def test_no_draws_are_an_error():
    judged = concepts.labels(drawn(), "balanced", minimum=5)
    for draw, what in ((concepts.by_luck, "permutations"), (concepts.resampled, "resamples")):
        with pytest.raises(ValueError, match=f"{what}: expected at least one, found 0"):
            draw(torch.zeros(600, 2), torch.eye(2), judged, 0)


def test_sweep_counts_encoded_concepts_and_averages_over_draws():
    assert concepts.sweep(FOUND.best_T, (0.5, 0.9, 0.92, 0.95, 1.0)) == [4, 4, 3, 1, 0]
    draws_RT = torch.tensor([[0.8, 0.6], [0.8, 0.9], [torch.nan, 0.9]])
    assert concepts.sweep(draws_RT, (0.7, 0.85)) == pytest.approx([4 / 3, 2 / 3])
    counts = concepts.sweep(FOUND.best_T)
    assert concepts.THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    assert counts == [len(FOUND.encoded(threshold)) for threshold in concepts.THRESHOLDS]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_features_on_a_gpu_give_the_same_tables():
    judged, h_ND = concepts.labels(drawn(), "balanced", minimum=5), torch.randn(600, 5)
    found, expected = (concepts.detect(h, torch.eye(5), judged) for h in (h_ND.cuda(), h_ND))
    pd.testing.assert_frame_equal(found.table(), expected.table())
    pd.testing.assert_frame_equal(found.directions(0.55), expected.directions(0.55))
