"""Tables of the shipped networks, from the feature store, against the same networks encoded here."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch

from featurelens.miniature import checkpoints, evaluate, objectives, sets

# A score that is a tie to within rounding may go either way.
TWO_PICTURES = 2.5 / 4000


@pytest.fixture
def three(monkeypatch):
    """Only three of the shipped networks and two image sets."""
    names = ["clip-web-resnet-s0", "finetuned-resnet-s0", "random-init-resnet-s0"]
    monkeypatch.setattr(checkpoints, "names", lambda: names)
    monkeypatch.setattr(evaluate, "SETS", ("base-val", "sketch"))


@pytest.mark.slow
def test_accuracies_are_those_of_the_networks_themselves(three):
    table = evaluate.accuracy_table()
    baselines = pd.read_csv(evaluate.baselines_path())
    pd.testing.assert_frame_equal(table[-len(baselines) :].reset_index(drop=True), baselines)
    found = table[table["kind"] == "zoo"].set_index(["model", "image_set"])["accuracy"]
    assert len(found) == 4, "an untrained network has no accuracy"
    for (name, image_set), accuracy in found.items():
        tower, data = checkpoints.load(name), sets.load(image_set)
        h = evaluate.encode(tower, data)
        if tower.text is None:
            scores_NC = tower.logits(h)
        else:
            scores_NC = h["joint"] @ objectives.head(tower, data.classes).w_CD.T
        expected = np.mean(scores_NC.argmax(1).numpy() == data.y_N.numpy())
        assert accuracy == pytest.approx(expected, abs=TWO_PICTURES), (name, image_set)


def test_kurtosis_is_measured_at_every_point_of_every_network(three):
    table = evaluate.kurtosis_table().set_index(["model", "point"])
    assert list(table.index) == [(name, point) for name in checkpoints.names() for point in ("pre", "joint")]
    h = evaluate.encode(checkpoints.load("finetuned-resnet-s0"), sets.load("base-val"))
    for point, h_ND in h.items():
        row = table.loc[("finetuned-resnet-s0", point)]
        z4_ND = scipy.stats.zscore(h_ND.double().numpy(), axis=1) ** 4
        assert row["kurtosis"] == pytest.approx(z4_ND.mean(), rel=1e-4)
        assert row["top_coordinate"] == z4_ND.mean(0).argmax()
        assert row["regime"] == "finetuned" and row["image_set"] == "base-val"


def test_a_snapshot_measures_the_network_as_it_is():
    tower, data = checkpoints.load("supervised-vit-s0"), sets.load("base-val", limit=1024)
    h = evaluate.encode(tower, data)
    right_N = tower.logits(h).argmax(1) == data.y_N
    z4_ND = torch.tensor(scipy.stats.zscore(h["pre"].double().numpy(), axis=1) ** 4)
    assert evaluate.snapshot(tower) == {
        "kurtosis_pre": pytest.approx(z4_ND.mean().item(), abs=1e-3),
        "accuracy": pytest.approx(right_N.double().mean().item(), abs=1e-4),
    }
