"""The network with outlier features: what the tables say of it, and what its training was."""

import numpy as np
import pytest
import scipy.stats
import torch

from featurelens.miniature import checkpoints, grown, objectives, recipes, sets, sweep


def test_its_recipe_is_a_run_of_the_sweep():
    single, runs = recipes.recipe(grown.NAME), sweep.runs().values()
    same = ("backbone", "data", "images_seen", "lr", "weight_decay", "batch", "optimizer", "logit_scale")
    assert [s.name for s in runs if all(getattr(s, key) == getattr(single, key) for key in same)]
    assert grown.NAME not in checkpoints.names() and grown.COMPANION in checkpoints.names()


def test_kurtosis_and_gap_equal_numpy_and_scipy():
    table = grown.kurtosis_table().set_index(["model", "kind"])
    assert len(table) == 6
    found = grown.features(grown.NAME)
    for kind, h_ND in found.items():
        expected = scipy.stats.kurtosis(h_ND.double().numpy(), axis=1, fisher=False).mean()
        assert table.loc[(grown.NAME, kind), "kurtosis"] == pytest.approx(expected, rel=1e-4)
    unit = [
        h / np.linalg.norm(h, axis=1, keepdims=True)
        for h in (found[k].numpy() for k in ("images", "captions"))
    ]
    gap_D = unit[0].mean(0) - unit[1].mean(0)
    row = table.loc[(grown.NAME, "captions")]
    assert row["gap"] == pytest.approx(np.linalg.norm(gap_D), rel=1e-4)
    assert row["gap_share"] == pytest.approx(gap_D[row["top_coordinate"]] ** 2 / np.sum(gap_D**2), rel=1e-4)


def test_removal_sets_a_coordinate_to_zero_on_both_sides():
    table = grown.removal_table().set_index(["model", "image_set", "removed"])["accuracy"]
    tower, data = checkpoints.load(grown.NAME), sets.load("sketch")
    w_CD = objectives.head(tower, data.classes).w_CD.clone()
    with torch.no_grad():
        h_ND = torch.cat(
            [tower.encode(data.pixels(slice(i, i + 500)))["joint"] for i in range(0, len(data), 500)]
        )
    top = grown.kurtosis_table().set_index(["model", "kind"]).loc[(grown.NAME, "captions"), "top_coordinate"]
    w_CD[:, top] = 0
    accuracy = ((h_ND @ w_CD.T).argmax(1) == data.y_N).double().mean().item()
    assert table[grown.NAME, "sketch", "top coordinate of captions"] == pytest.approx(accuracy, abs=5e-4)
    assert table[grown.COMPANION, "base-val", "nothing"] == pytest.approx(0.9588, abs=1e-3)
