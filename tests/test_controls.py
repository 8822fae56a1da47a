"""Signatures of real encoders: every row finds its model and its features, and says what the tables say."""

import pandas as pd
import pytest

from featurelens import controls, overlap, results


@pytest.fixture(scope="module")
def signatures():
    return controls.signatures()


def test_every_feature_set_finds_its_accuracies_and_its_kurtosis(signatures):
    assert len(signatures) == len(pd.read_csv(controls._TABLES / "feature_models.csv"))
    assert not signatures.drop(columns="prunable").isna().any().any()
    assert signatures["prunable"].notna().sum() == 5


def test_signatures_are_those_of_the_chapters(signatures):
    by_features = signatures.set_index("features")
    assert by_features.loc["clip-b16/coco-images", "kurtosis"] == pytest.approx(87.24, abs=0.01)
    assert by_features.loc["eva-clip-b16/coco-panoptic", "kurtosis"] == pytest.approx(3.2, abs=0.05)
    # The whole way by hand: the smallest k from which accuracy stays within two points.
    curve = results.read("03-published-supervised", "published").query("model == 'efficientnet-lite1'")
    accuracy_K1 = (curve["imagenet_sample1000: importance"] / curve["imagenet_sample1000: images"]).to_numpy()
    k = len(accuracy_K1) - 1
    while accuracy_K1[k] >= accuracy_K1[-1] - 0.02 - 1e-12:
        k -= 1
    assert by_features.loc["efficientnet-lite1", "prunable"] == pytest.approx(1 - (k + 1) / 1000)


@pytest.mark.parametrize(
    ("model", "er"),
    [("ViT-B-16 openai", (6.6, 48.8, 30.7, 47.9)), ("ViT-B-32-quickgelu openai", (5.8, 44.4, 27.9, 29.9))],
)
def test_robustness_is_the_mean_of_four_shifts(model, er):
    row = controls.effective_robustness().set_index("model").loc[model]
    assert row[list(controls.SHIFTS)].to_numpy(dtype=float) == pytest.approx(er, abs=0.07)
    assert row["er"] == pytest.approx(sum(er) / 4, abs=0.07)


def test_towers_hold_every_encoder_and_every_control_once():
    towers = controls.towers()
    assert towers["model"].is_unique
    # Of 22 supervised models, the ResNet-50 that ImageNet-A was filtered against has no robustness there.
    assert towers["kind"].value_counts().to_dict() == {"supervised": 21, "encoder": 16, "finetuned": 8}
    large = towers[towers["model"].str.contains("patch14_clip")]
    assert set(large["backbone"]) == {"ViT-L-14"}


def test_the_papers_counts_are_quoted_not_computed():
    table = controls.paper_counts().set_index(["backbone", "kind"])
    for backbone, found in overlap.paper().items():
        for kind, count in found.totals.items():
            assert table.loc[(backbone.replace("/", "-"), kind), "concepts"] == count
    assert table["er"].isna().sum() == 2, "no finetuned CLIP-ResNet is published"
    assert table.loc[("ViT-B-32", "finetuned"), "er"] == pytest.approx(6.2, abs=0.05)
