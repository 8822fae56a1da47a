"""The path in weight space begins at the zero-shot network and ends at the finetuned one."""

import pytest
import torch

from featurelens import heads, kernels
from featurelens.miniature import checkpoints, evaluate, objectives, sets, wiseft


@pytest.fixture
def short(monkeypatch):
    load = sets.load
    monkeypatch.setattr(sets, "load", lambda name, limit=600, **k: load(name, limit=min(limit, 600), **k))
    monkeypatch.setattr(wiseft, "names", lambda: ["finetuned-resnet-s1"])
    monkeypatch.setattr(wiseft, "ALPHAS", (0.0, 0.5, 1.0))


def test_the_ends_classify_like_the_networks_they_are(short):
    table = wiseft.path_table().set_index("alpha")
    for alpha, name in ((0.0, "clip-web-resnet-s1"), (1.0, "finetuned-resnet-s1")):
        tower, data = checkpoints.load(name), sets.load("sketch")
        head = objectives.head(tower, data.classes)
        h = evaluate.encode(tower, data)
        accuracy = heads.accuracy(h[head.point], head.w_CD, data.y_N, head.b_C)
        assert table.loc[alpha, "accuracy_sketch"] == pytest.approx(accuracy, abs=2.5 / 600)
        on_base = evaluate.encode(tower, sets.load("base-val"))["joint"]
        kurtosis = kernels.activation_kurtosis_plain(on_base).mean().item()
        assert table.loc[alpha, "kurtosis_joint"] == pytest.approx(kurtosis, rel=1e-4)
    assert not table.isna().any().any()


def test_a_network_between_has_weights_between():
    half, start, end = (wiseft.between("finetuned-resnet-s1", alpha) for alpha in (0.5, 0.0, 1.0))
    weights = [t.backbone.stem[0].weight for t in (half, start, end)]
    torch.testing.assert_close(weights[0], (weights[1] + weights[2]) / 2)
    assert not torch.equal(weights[1], weights[2])


def test_only_finetuned_networks_have_a_path():
    with pytest.raises(ValueError, match="resnet-s0: expected a finetuned network, such as finetuned-"):
        wiseft.between("clip-web-resnet-s0", 0.5)
