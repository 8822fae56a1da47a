"""Concepts of the miniature's networks: against brute force on made features, and on one shipped network."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import average_precision_score

from featurelens import concepts, conceptsets, imagesets, zoo
from featurelens.concept_labels import ConceptSet
from featurelens.miniature import checkpoints
from featurelens.miniature import concepts as small

HEADED, HEADLESS, SHIPPED = "clip-web-resnet-s0", "random-init-vit-s0", "supervised-resnet-s0"
COUNT = 240


def concept_set(present_NT, categories):
    keys = [str(i) for i in range(len(present_NT))]
    images = imagesets.ImageSet("set", keys, [], None, {}, lambda i: None)
    return ConceptSet(images, [f"c{t}" for t in range(len(categories))], list(categories), present_NT)


def scikit_learn(h_ND, v_DK, judged, t):
    """Best average precision of a concept over directions and senses."""
    kept_N, present_N = judged.considered_NT[:, t].numpy(), judged.present_NT[:, t].numpy()
    scores_NK = (h_ND @ v_DK.to(h_ND)).numpy()[kept_N]
    return max(average_precision_score(present_N[kept_N], s * x_N) for x_N in scores_NK.T for s in (1, -1))


# Which concepts there are


@pytest.mark.slow
def test_one_of_the_concepts_in_the_same_images_is_kept():
    whole, found = conceptsets.load(small.BASE), small.concept_set()
    columns, kept = whole.present_NT.T.tolist(), found.present_NT.T.tolist()
    first = [t for t, column in enumerate(columns) if column not in columns[:t]]
    assert found.names == [whole.names[t] for t in first]
    assert found.categories == [whole.categories[t] for t in first]
    assert kept == [columns[t] for t in first]
    assert all(kept.count(column) == 1 for column in columns), "none is lost, none is there twice"
    assert len(found.names) < len(whole.names) and found.images.identity == whole.images.identity


def test_concepts_that_differ_in_one_image_are_both_kept(monkeypatch):
    present_NT = torch.tensor([[1, 1, 1, 0, 1], [0, 0, 0, 1, 1], [1, 1, 0, 0, 1]]).bool()
    monkeypatch.setattr(conceptsets, "load", lambda name: concept_set(present_NT, "abcde"))
    found = small.concept_set.__wrapped__()
    assert found.names == ["c0", "c2", "c3", "c4"] and found.categories == ["a", "c", "d", "e"]
    assert found.present_NT.equal(present_NT[:, [0, 2, 3, 4]])


# What is searched


@pytest.mark.parametrize("name", [HEADED, SHIPPED, HEADLESS])
def test_right_singular_vectors_are_searched_where_the_head_reads(name):
    encoder = zoo.load(f"miniature/{name}")
    found = small.searched(name)
    assert {point: h_ND.shape for point, (h_ND, _) in found.items()} == {
        point: (4000, width) for point, width in encoder.dims.items()
    }
    for point, (_, directions) in found.items():
        width = encoder.dims[point]
        assert directions["features"].equal(torch.eye(width))
        draws = [directions[kind] for kind in ("random", "random 1")]
        assert [v_DK.shape for v_DK in draws] == [(width, width)] * 2 and not draws[0].equal(draws[1])
        reads = encoder.head is not None and encoder.head.point == point
        assert len(directions) == 3 + reads and ("right singular vectors" in directions) == reads
        if reads:
            v_DK, w_CD = directions["right singular vectors"], encoder.head.w_CD.double()
            torch.testing.assert_close(v_DK.T @ v_DK, torch.eye(12, dtype=torch.float64))
            torch.testing.assert_close(w_CD @ v_DK @ v_DK.T, w_CD)  # all that the head sees
    assert (name == HEADLESS) == (encoder.head is None), "both cases are here"


# Tables, from features made here


@pytest.fixture
def made(monkeypatch):
    """A network whose head reads joint features, and one without a head; six concepts, one too rare."""
    random = torch.Generator().manual_seed(0)
    shares = torch.tensor([0.5, 0.3, 0.2, 0.2, 0.7, 0.05])
    present_NT = torch.rand(COUNT, 6, generator=random) < shares
    whole = concept_set(present_NT, ["color", "color", "object", "object", "part", "part"])
    found = {}
    for name, clear in ((HEADED, 3.0), (HEADLESS, 0.5)):
        found[name] = {}
        for point, width in (("pre", 7), ("joint", 5)):
            strength_TD = clear * torch.rand(6, width, generator=random) * torch.eye(6, width)
            noise_ND = torch.randn(COUNT, width, generator=random)
            kinds = ["features", "random 0", "random 1"]
            kinds += ["right singular vectors"] if (name, point) == (HEADED, "joint") else []
            v = {k: torch.randn(width, 3, generator=random, dtype=torch.float64) for k in kinds}
            v["features"] = torch.eye(width)
            found[name][point] = (noise_ND - present_NT.float() @ strength_TD, v)
    heads = {HEADED: SimpleNamespace(point="joint"), HEADLESS: None}
    monkeypatch.setattr(small, "concept_set", lambda: whole)
    monkeypatch.setattr(small, "searched", found.__getitem__)
    monkeypatch.setattr(small, "PERMUTATIONS", 2)
    monkeypatch.setattr(small, "RESAMPLES", 3)
    monkeypatch.setattr(checkpoints, "names", lambda: [HEADED, HEADLESS])
    monkeypatch.setattr(zoo, "load", lambda name: SimpleNamespace(head=heads[name.split("/")[1]]))
    return SimpleNamespace(whole=whole, found=found)


def test_counts_are_scikit_learns_at_every_threshold(made):
    table = small.count_table()
    seen = 0
    for negatives in ("balanced", "prevalence"):
        judged = concepts.labels(made.whole, negatives)
        assert judged.omitted == ["c5"]
        for name, points in made.found.items():
            for point, (h_ND, directions) in points.items():
                best = {
                    kind: np.array([scikit_learn(h_ND, v_DK, judged, t) for t in range(5)])
                    for kind, v_DK in directions.items()
                }
                for kind in {kind.rstrip(" 01") for kind in best}:
                    draws = [ap_T for each, ap_T in best.items() if each.startswith(kind)]
                    asked = {"model": name, "point": point, "kind": kind, "negatives": negatives}
                    rows = table[(table[list(asked)] == pd.Series(asked)).all(axis=1)]
                    assert rows["threshold"].tolist() == list(concepts.THRESHOLDS)
                    expected = [np.mean([(ap_T >= t).sum() for ap_T in draws]) for t in rows["threshold"]]
                    assert rows["count"].tolist() == expected, asked
                    width = h_ND.shape[1] if kind == "features" else 3
                    assert set(rows["directions"]) == {width} and set(rows["concepts"]) == {5}
                    seen += len(rows)
    assert seen == len(table) == 2 * (2 + 3 + 2 + 2) * 10
    assert table["count"].mod(1).eq(0.5).any(), "two draws that differ, averaged"


def test_counts_fall_with_the_threshold_and_say_whose_they_are(made):
    table = small.count_table()
    for _, rows in table.groupby(["model", "point", "kind", "negatives"]):
        assert rows["count"].is_monotonic_decreasing
    facts = table.drop_duplicates("model")[["model", "regime", "backbone", "seed"]].values.tolist()
    assert facts == [[HEADED, "clip-web", "resnet", 0], [HEADLESS, "random-init", "vit", 0]]


def test_bands_and_luck_are_of_coordinates_with_balanced_negatives(made, monkeypatch):
    random, bands, luck = np.random.default_rng(0), [], []

    def drawn(into):
        def draw(h_ND, v_DK, judged, times):
            assert v_DK.equal(torch.eye(h_ND.shape[1])) and not judged.considered_NT.all()
            into.append(random.uniform(0.4, 1, (times, len(judged.names))))
            return torch.tensor(into[-1])

        return draw

    monkeypatch.setattr(concepts, "resampled", drawn(bands))
    monkeypatch.setattr(concepts, "by_luck", drawn(luck))
    table = small.count_table()
    measured = (table["kind"] == "features") & (table["negatives"] == "balanced")
    for column in ("low", "high", "luck"):
        assert table[column].notna().equals(measured)
    rows, thresholds = table[measured], np.array(concepts.THRESHOLDS)
    counts = [(ap_RT[:, None] >= thresholds[:, None]).sum(2) for ap_RT in bands]  # draws x thresholds
    for column, q in (("low", 0.05), ("high", 0.95)):
        expected = np.concatenate([np.quantile(count_RS, q, axis=0) for count_RS in counts])
        assert rows[column].tolist() == pytest.approx(expected.tolist())
    chance = [(ap_RT[:, None] >= thresholds[:, None]).sum(2).mean(0) for ap_RT in luck]
    assert rows["luck"].tolist() == pytest.approx(np.concatenate(chance).tolist())
    assert {len(ap_RT) for ap_RT in bands} == {3} and {len(ap_RT) for ap_RT in luck} == {2}


def test_best_table_has_a_row_a_concept_and_a_column_a_network(made):
    table = small.best_table()
    assert list(table.columns) == ["concept", "category", HEADED, HEADLESS]
    assert table["concept"].tolist() == ["c0", "c1", "c2", "c3", "c4"]
    assert table["category"].tolist() == ["color", "color", "object", "object", "part"]
    judged = concepts.labels(made.whole, "balanced")
    for name in (HEADED, HEADLESS):
        h_ND = made.found[name]["joint"][0]
        expected = [scikit_learn(h_ND, torch.eye(5), judged, t) for t in range(5)]
        assert table[name].tolist() == pytest.approx(expected, abs=0.6e-5)
        assert table[name].round(5).equals(table[name])


def test_a_head_says_at_which_point_its_network_is_judged(made, monkeypatch):
    judged = concepts.labels(made.whole, "balanced")
    assert small.detection(HEADED, judged).ap_2KT.shape == (2, 5, 5)
    monkeypatch.setattr(zoo, "load", lambda name: SimpleNamespace(head=SimpleNamespace(point="pre")))
    assert small.detection(HEADED, judged).ap_2KT.shape == (2, 7, 5)


def test_mixture_is_counted_by_hand(made, monkeypatch):
    even_N = torch.arange(COUNT) % 2 == 0
    third_N = torch.arange(COUNT) % 3 == 0
    present_NT = torch.stack([even_N, third_N, even_N, even_N], dim=1)
    whole = concept_set(present_NT, ["color", "part", "object", "object"])
    monkeypatch.setattr(small, "concept_set", lambda: whole)
    noise_N = torch.randn(COUNT, generator=torch.Generator().manual_seed(1))
    # Coordinates: three concepts of two categories; one, against it; noise; nothing at all.
    h_ND = torch.stack([even_N.float(), -third_N.float(), noise_N, torch.zeros(COUNT)], dim=1)
    directions = {
        "features": torch.eye(4),
        "right singular vectors": torch.eye(4)[:, 2:3],
        "random 0": torch.eye(4)[:, :1],
    }
    monkeypatch.setattr(small, "searched", lambda name: {"joint": (h_ND, directions)})
    monkeypatch.setattr(checkpoints, "names", lambda: [HEADED])
    features, vectors = small.mixture_table().to_dict("records")
    assert list(features.items())[:4] == list(small.identity(HEADED).items())
    two_to_one = -(2 / 3 * np.log2(2 / 3) + 1 / 3 * np.log2(1 / 3))
    expected = {"directions": 4, "detecting": 2 / 4, "concepts": (3 + 1) / 2, "most": 3}
    expected["entropy"] = pytest.approx((two_to_one + 0) / 2)
    assert {column: features[column] for column in expected} == expected
    assert (vectors["kind"], vectors["directions"], vectors["detecting"]) == ("right singular vectors", 1, 0)
    assert vectors["most"] == 0 and np.isnan(vectors["concepts"]) and np.isnan(vectors["entropy"])
    [low, _] = small.mixture_table(threshold=0.3).to_dict("records")
    assert low["detecting"] == 1 and low["most"] == 4, "every direction is somewhere above a low threshold"


# One shipped network


@pytest.mark.slow
def test_counts_of_a_shipped_network_are_scikit_learns(monkeypatch):
    every = small.concept_set()
    few = [every.names.index(name) for name in every.names[:: len(every.names) // 6]]
    names, categories = ([listed[t] for t in few] for listed in (every.names, every.categories))
    some = ConceptSet(every.images, names, categories, every.present_NT[:, few])
    monkeypatch.setattr(small, "concept_set", lambda: some)
    monkeypatch.setattr(small, "PERMUTATIONS", 1)
    monkeypatch.setattr(small, "RESAMPLES", 2)
    monkeypatch.setattr(checkpoints, "names", lambda: [SHIPPED])
    table = small.count_table()
    assert set(table["kind"]) == set(small.KINDS) and set(table["point"]) == {"pre"}
    h_ND, directions = small.searched(SHIPPED)["pre"]
    for negatives in concepts.NEGATIVES:
        judged = concepts.labels(some, negatives)
        for kind in ("features", "right singular vectors"):
            best = concepts.detect(h_ND, directions[kind], judged).table()
            one_DT = [directions[kind][:, [k]] for k in best["direction"]]
            ap_T = np.array([scikit_learn(h_ND, v_DK, judged, t) for t, v_DK in enumerate(one_DT)])
            rows = table[(table["kind"] == kind) & (table["negatives"] == negatives)]
            assert rows["count"].tolist() == [(ap_T >= t).sum() for t in rows["threshold"]]
            assert rows["count"].nunique() > 1 and set(rows["directions"]) == {directions[kind].shape[1]}
    at_09 = table[(table["threshold"] == 0.9) & (table["negatives"] == "balanced")].set_index("kind")
    assert at_09.loc["features", "luck"] == 0 < at_09.loc["features", "count"]
    bands = table.dropna()
    assert len(bands) == 10 and (bands["low"] <= bands["high"]).all()
    assert ((bands["count"] - bands["low"]).abs() <= 2).all()
