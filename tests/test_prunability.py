"""Tables of how many directions can go: synthetic pairs and encoders, and the facts about published pairs."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import top_k_accuracy_score
from sklearn.metrics.pairwise import cosine_similarity

from featurelens import heads, outliers, prunability, pruning, published_features, scales
from featurelens.encoder import Encoder
from featurelens.extract import Features
from featurelens.heads import LinearHead
from featurelens.pruning import Labelled


def gaussian(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def pairs(monkeypatch):
    """Pairs of related rows of any length, and pairs without relation in place of the random network's."""
    shared_ND = gaussian(24, 16)
    features = {
        "clip-b16/coco-images": 3 * (shared_ND + 0.5 * gaussian(24, 16, 1)),
        "clip-b16/coco-captions": (shared_ND + 0.5 * gaussian(24, 16, 2)) * torch.arange(1, 25)[:, None],
        "clip-b16-random/coco-images": gaussian(24, 16, 3),
        "clip-b16-random/coco-captions": gaussian(24, 16, 4),
    }
    monkeypatch.setattr(published_features, "load", features.__getitem__)
    monkeypatch.setattr(pruning, "RANDOM_ORDERS", 2)
    return features


def found_by_cosine(candidates_ND: torch.Tensor, queries_ND: torch.Tensor) -> float:
    cosine_NN = cosine_similarity(queries_ND, candidates_ND)
    return top_k_accuracy_score(range(len(cosine_NN)), cosine_NN, k=1)


# Pairs


def test_retrieval_is_classification_with_the_candidates_as_head(pairs):
    image_ND, text_ND = (pairs[f"clip-b16/coco-{side}"] for side in ("images", "captions"))
    tasks = prunability.coco_pairs("clip-b16")
    assert list(tasks) == ["caption of an image", "image of a caption"]
    expected = {
        "caption of an image": found_by_cosine(text_ND, image_ND),
        "image of a caption": found_by_cosine(image_ND, text_ND),
    }
    assert len(set(expected.values())) == 2, "the case must tell the tasks apart"
    for task, (head, queries) in tasks.items():
        assert queries.y_N.tolist() == list(range(24)) and head.b_C is None and queries.group_C is None
        torch.testing.assert_close(head.w_CD.norm(dim=1), torch.ones(24))
        assert heads.accuracy(queries.h_ND, head.w_CD, queries.y_N) == expected[task]


def test_the_stored_retrieval_ends_at_the_whole_network(pairs):
    table = prunability.retrieval()
    assert len(table) == 4 * 17 and (table["pairs: images"] == 24).all()
    tall = pruning.long(table)
    whole = tall[tall["k"] == 16].groupby(["weights", "task"])["accuracy"].unique()
    for weights, network in (("trained", "clip-b16"), ("random", "clip-b16-random")):
        image_ND, text_ND = (pairs[f"{network}/coco-{side}"] for side in ("images", "captions"))
        assert whole[weights, "caption of an image"] == pytest.approx([found_by_cosine(text_ND, image_ND)])
        assert whole[weights, "image of a caption"] == pytest.approx([found_by_cosine(image_ND, text_ND)])
    head, queries = prunability.coco_pairs("clip-b16")["image of a caption"]
    part = table[(table["weights"] == "trained") & (table["task"] == "image of a caption")]
    again = pruning.wide(pruning.two_fold(head, {"pairs": queries}))
    pd.testing.assert_frame_equal(part[again.columns].reset_index(drop=True), again, check_dtype=False)


# Supervised encoders


class Module:
    pretrained_cfg = {"input_size": (3, 240, 240)}  # noqa: RUF012


class Fake(Encoder):
    """An encoder of which only its name, module and head are asked for."""

    def __init__(self, name: str, head: LinearHead | None) -> None:
        for attribute, value in {"name": name, "module": Module(), "head": head}.items():
            object.__setattr__(self, attribute, value)


@pytest.fixture
def supervised(monkeypatch):
    """Encoders whose features say which encoder made them of which image set; two labels for six classes."""
    group_C = torch.tensor([0, 1, -1, 1, 0, -1])
    head = LinearHead(gaussian(6, 8), gaussian(1, 6, 1)[0], "pre")
    names = list(outliers.SUPERVISED)
    monkeypatch.setattr(outliers, "supervised_encoders", lambda: {name: Fake(name, head) for name in names})
    monkeypatch.setattr(prunability.zoo, "load", lambda name, preprocess: Fake(f"{name} {preprocess}", None))
    monkeypatch.setattr(prunability.preprocess, "square", lambda size: f"whole at {size}")
    monkeypatch.setattr(prunability.imagesets, "load", lambda name: name)
    monkeypatch.setattr(prunability.heads, "imagenet_groups", lambda column: (["a", "b"], group_C))
    monkeypatch.setattr(pruning, "RANDOM_ORDERS", 1)
    made = {}

    def features(encoder, image_set):
        made[encoder.name, image_set] = h_ND = gaussian(30, 8, 10 + len(made))
        y_N = torch.arange(30) % (6 if image_set == outliers.SAMPLE else 2)
        return Features(h_ND, y_N, torch.arange(30), [])

    monkeypatch.setattr(prunability.extract, "features", features)
    return head, group_C, made


def test_stimuli_are_seen_whole_and_judged_in_categories(supervised):
    head, group_C, made = supervised
    name = outliers.SUPERVISED[1]
    found_head, sets = prunability.supervised_sets(name)
    assert found_head is head and list(sets) == [outliers.SAMPLE, *outliers.STIMULI]
    assert list(made) == [
        (name, outliers.SAMPLE),
        *((f"{name} whole at 240", image_set) for image_set in outliers.STIMULI),
    ]
    for image_set, h_ND in zip(sets, made.values(), strict=True):
        assert sets[image_set].h_ND is h_ND
        assert sets[image_set].group_C is (None if image_set == outliers.SAMPLE else group_C)


def test_the_stored_curves_end_at_the_whole_encoders(supervised):
    head, group_C, made = supervised
    tall = pruning.long(prunability.supervised())
    assert list(tall["model"].unique()) == list(outliers.SUPERVISED)
    asked_C = group_C >= 0
    whole = tall[tall["k"] == 6].groupby(["model", "image_set"])["accuracy"].unique()
    for (encoder, image_set), h_ND in made.items():
        scores_NC = (h_ND @ head.w_CD.T + head.b_C).numpy()
        if image_set == outliers.SAMPLE:
            expected = np.mean(scores_NC.argmax(1) == np.arange(30) % 6)
        else:
            said_N = group_C[asked_C].numpy()[scores_NC[:, asked_C].argmax(1)]
            expected = np.mean(said_N == np.arange(30) % 2)
        assert whole[encoder.split()[0], image_set] == pytest.approx([expected])


# Numbers of classes


def test_parts_of_a_head_are_its_rows_and_the_images_of_their_classes():
    head = LinearHead(gaussian(9, 5), torch.arange(9.0), "pre")
    base = Labelled(gaussian(40, 5, 1), torch.arange(40) % 9)
    part, images = prunability._with_classes(head, base, 4, seed=3)
    chosen = [int((head.w_CD == row).all(1).nonzero()) for row in part.w_CD]
    assert len(set(chosen)) == 4 and part.b_C.tolist() == chosen
    asked_N = torch.isin(base.y_N, torch.tensor(chosen))
    assert torch.equal(images.h_ND, base.h_ND[asked_N])
    assert [chosen[y] for y in images.y_N] == base.y_N[asked_N].tolist()
    assert prunability._with_classes(head._replace(b_C=None), base, 4, seed=3)[0].b_C is None
    others = {tuple(prunability._with_classes(head, base, 4, seed)[0].b_C.tolist()) for seed in range(9)}
    assert len(others) > 5, "each draw takes other classes"


def test_draws_are_repeated_until_enough_images_were_judged(monkeypatch, pairs, supervised):
    monkeypatch.setattr(prunability, "CLASS_COUNTS", (5, 6))
    monkeypatch.setattr(prunability, "JUDGED", 24)
    one_each = Labelled(gaussian(6, 8, 20) + supervised[0].w_CD, torch.arange(6))
    monkeypatch.setattr(
        prunability, "supervised_sets", lambda name: (supervised[0], {outliers.SAMPLE: one_each})
    )
    drawn, with_classes = [], prunability._with_classes

    def noted(*arguments):
        drawn.append(with_classes(*arguments))
        return drawn[-1]

    monkeypatch.setattr(prunability, "_with_classes", noted)
    table = prunability.class_counts()
    assert table["classes"].tolist() == table["directions"].tolist() == [5, 6] * 2
    assert table["task"].str.startswith("CLIP").tolist() == [True, True, False, False]
    draws = iter(drawn)
    for row, repeats in zip(table.itertuples(), [5, 4] * 2, strict=True):
        right = []
        for head, images in (next(draws) for _ in range(repeats)):
            bias = 0 if head.b_C is None else head.b_C
            right += ((images.h_ND @ head.w_CD.T + bias).argmax(1) == images.y_N).tolist()
        assert len(right) >= 24 and row.full == pytest.approx(np.mean(right))
    assert next(draws, None) is None
    found_K1 = prunability._correct_by_importance(supervised[0], one_each) / 6
    assert found_K1.tolist() == pytest.approx(curve_by_hand(supervised[0], one_each))
    curve = pd.DataFrame({"task": 0, "k": range(7), "accuracy": found_K1})
    assert table.iloc[-1]["kept 1"] == pruning.prunable(curve).loc[0, "kept 1"]


def curve_by_hand(head: LinearHead, data: Labelled) -> list[float]:
    """Accuracy of all classes, most important directions first, one truncated head at a time."""
    w, h = head.w_CD.double().numpy(), data.h_ND.double().numpy()
    u, s, v = np.linalg.svd(w, full_matrices=False)
    order = np.argsort(-s * np.abs(cosine_similarity(h, v)).mean(0))
    scores = (h @ ((u[:, kept] * s[kept]) @ v[kept]).T for kept in (order[:k] for k in range(7)))
    return [np.mean((score + head.b_C.numpy()).argmax(1) == data.y_N.numpy()) for score in scores]


def test_without_files_the_tables_are_unreachable(monkeypatch):
    def absent(*_):
        raise scales.Unreachable("no mirror")

    monkeypatch.setattr(published_features, "load", absent)
    monkeypatch.setattr(outliers, "supervised_encoders", absent)
    for call in (prunability.retrieval, prunability.supervised, prunability.class_counts):
        with pytest.raises(scales.Unreachable, match="no mirror"):
            call()


# Published pairs


@pytest.mark.slow
def test_published_retrieval_is_known_and_that_of_a_random_network_is_chance(monkeypatch):
    monkeypatch.setattr(pruning, "RANDOM_ORDERS", 1)
    try:
        tall = pruning.long(prunability.retrieval())
    except scales.Unreachable as why:
        pytest.skip(f"needs a mirror folder or the network: {why}")
    whole = tall[tall["k"] == 500].groupby(["weights", "task"])["accuracy"].unique()
    assert whole["trained", "caption of an image"] == pytest.approx([0.552], abs=0.004)
    assert whole["trained", "image of a caption"] == pytest.approx([0.506], abs=0.004)
    # Chance is one of 500; more than 5 hits have a probability below 0.001.
    assert whole["random"].map(len).eq(1).all() and whole["random"].map(max).max() <= 5 / 500
    for (weights, _), curve in tall[tall["order"] == "importance"].groupby(["weights", "task"]):
        best = curve["accuracy"].max()
        assert best > 0.5 if weights == "trained" else best <= 7 / 500
