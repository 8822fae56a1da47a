"""One row per trained network, its numbers those of chapters 1 to 4; unique concepts by hand."""

import pytest

from featurelens import concepts, pruning, results, robustness
from featurelens.miniature import checkpoints, controls, privileged
from featurelens.miniature.recipes import recipe


@pytest.fixture(scope="module")
def table():
    return controls.signature_table().set_index("model")


def _stored(name):
    return results.bare(results.read(name, "miniature"))


def test_every_trained_network_has_every_signature(table):
    assert set(table.index) == {n for n in checkpoints.names() if recipe(n).objective != "none"}
    assert not table[[*controls.SIGNATURES, "er", "kurtosis_pre"]].isna().any().any()


def test_robustness_is_the_mean_over_shifts_above_the_line(table):
    accuracy = _stored("01-miniature-accuracy").set_index(["model", "image_set"])["accuracy"]
    fits = privileged.baseline_fits()
    for name in ("clip-web-resnet-s2", "supervised-vit-s0"):
        er = [
            robustness.effective_robustness(accuracy[name, "base-val"], accuracy[name, shift], fit)
            for shift, fit in fits.items()
        ]
        assert table.loc[name, "er"] == pytest.approx(sum(er) / len(er))


def test_kurtosis_is_taken_where_the_head_reads(table):
    kurtosis = _stored("02-miniature-kurtosis").set_index(["model", "point"])["kurtosis"]
    assert table.loc["clip-web-vit-s0", "kurtosis"] == kurtosis["clip-web-vit-s0", "joint"]
    assert table.loc["supervised-web-resnet-s1", "kurtosis"] == kurtosis["supervised-web-resnet-s1", "pre"]
    assert table.loc["clip-web-vit-s0", "kurtosis_pre"] == kurtosis["clip-web-vit-s0", "pre"]


def test_prunable_is_counted_on_base_in_the_order_of_importance(table):
    curves = pruning.long(_stored("03-miniature-curves"))
    rows = curves[(curves.model == "finetuned-resnet-s0") & (curves.image_set == "base-val")]
    accuracy_K1 = rows[rows["order"] == "importance"].sort_values("k")["accuracy"].to_numpy()
    low = [k for k in range(13) if accuracy_K1[k] < accuracy_K1[12] - 0.01 - 1e-12]
    assert table.loc["finetuned-resnet-s0", "prunable"] == pytest.approx(1 - (max(low) + 1) / 12)


def test_unique_concepts_are_those_no_rival_encodes(table):
    best = _stored("04-miniature-best").set_index("concept")
    rivals = [f"{regime}-resnet-s1" for regime in table["regime"].unique()]
    for name in rivals:
        others = [rival for rival in rivals if rival != name]
        alone = [
            concept
            for concept, row in best.iterrows()
            if row[name] >= concepts.THRESHOLD and all(row[other] < concepts.THRESHOLD for other in others)
        ]
        assert table.loc[name, "unique"] == len(alone)
