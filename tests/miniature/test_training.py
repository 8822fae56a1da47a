"""Training resumes bit by bit; tables say what the networks do."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from interruption import interrupt

from featurelens import heads
from featurelens.miniature import checkpoints, evaluate, objectives, recipes, sets, train, world

SMALL = {"clip-web-resnet-s0": 2560, "finetuned-resnet-s0": 1024, "supervised-vit-s0": 1536}


@pytest.fixture
def laboratory(tmp_path, monkeypatch):
    """Small recipes on small sets, with checkpoints of their own."""
    full, load = recipes.recipes(), sets.load
    small = {name: replace(full[name], images_seen=images) for name, images in SMALL.items()}
    for module in (recipes, checkpoints, train):
        monkeypatch.setattr(module, "recipe", lambda name: small[name])
    monkeypatch.setattr(train, "recipes", lambda: small)
    monkeypatch.setattr(checkpoints, "recipes", lambda: small)
    monkeypatch.setattr(checkpoints, "path", lambda name: tmp_path / "zoo" / f"{name}.safetensors")
    monkeypatch.setattr(train.paths, "cache", lambda: tmp_path)
    monkeypatch.setattr(sets, "load", lambda name, limit=600, **k: load(name, limit=min(limit, 600), **k))
    evaluate._snapshot_set.cache_clear()
    checkpoints.load.cache_clear()
    yield tmp_path
    evaluate._snapshot_set.cache_clear()
    checkpoints.load.cache_clear()


def live_accuracy(tower, data):
    head = objectives.head(tower, data.classes)
    return heads.accuracy(evaluate.encode(tower, data)[head.point], head.w_CD, data.y_N, head.b_C)


def _weights(name):
    return checkpoints.path(name).read_bytes()


def test_an_interrupted_run_ends_in_the_same_bytes(laboratory, monkeypatch):
    train.train("clip-web-resnet-s0")
    whole = _weights("clip-web-resnet-s0")
    calls = interrupt(monkeypatch, 7)
    with pytest.raises(KeyboardInterrupt):
        train.train("clip-web-resnet-s0")
    train.train("clip-web-resnet-s0")
    assert calls == [0, 1, 2, 3, 4, 5, 6, 4, 5, 6, 7, 8, 9]
    assert _weights("clip-web-resnet-s0") == whole
    assert not list(laboratory.glob("miniature/runs/*"))


def test_the_log_begins_before_the_first_step_and_ends_with_the_last(laboratory):
    train.train("supervised-vit-s0")
    log = pd.read_csv(checkpoints.log_path("supervised-vit-s0"))
    assert log.step.iloc[0] == 0 and log.step.iloc[-1] == 6
    assert log.kurtosis_pre.notna().all() and "kurtosis_joint" not in log


def test_finetuning_starts_at_the_zero_shot_network(laboratory):
    train.train("clip-web-resnet-s0")
    spec, data = recipes.recipe("finetuned-resnet-s0"), sets.load("base-val")
    start, zero_shot = train.initial(spec).eval(), checkpoints.load("clip-web-resnet-s0")
    assert live_accuracy(start, data) == live_accuracy(zero_shot, data)
    assert start.text is None
    train.train("finetuned-resnet-s0")
    moved = checkpoints.load("finetuned-resnet-s0").backbone.stem[0].weight
    assert not torch.equal(moved, zero_shot.backbone.stem[0].weight)


def test_a_nan_loss_stops_the_run_before_anything_is_stored(laboratory, monkeypatch):
    monkeypatch.setattr(
        objectives, "loss", lambda tower, x, y: torch.tensor(float("nan"), requires_grad=True)
    )
    with pytest.raises(
        FloatingPointError, match="supervised-vit-s0: expected a finite loss, found nan at step 0"
    ):
        train.train("supervised-vit-s0")
    assert not checkpoints.path("supervised-vit-s0").exists()


def test_the_learning_rate_warms_up_and_ends_at_zero():
    rates = [train._rate(step, 100) for step in range(100)]
    assert rates[0] == 0.2 and max(rates) == 1.0 and rates[-1] < 0.001
    assert rates[5:] == sorted(rates[5:], reverse=True)


@pytest.mark.slow
def test_the_shipped_zoo_reaches_its_targets():
    """The accuracies the miniature was made for, recomputed from the checkpoints."""
    data = {name: sets.load(name, limit=2000) for name in ("base-val", "sketch", "rendition")}

    def accuracy(regime, name, backbone="resnet"):
        return live_accuracy(checkpoints.load(f"{regime}-{backbone}-s0"), data[name])

    for backbone in ("resnet", "vit"):
        assert accuracy("supervised", "base-val", backbone) > 0.85
        assert accuracy("finetuned", "base-val", backbone) > 0.85
        assert accuracy("clip-web", "base-val", backbone) > 0.75
        for shift in ("sketch", "rendition"):
            gain = accuracy("clip-web", shift, backbone) - accuracy("supervised", shift, backbone)
            assert gain > 0.2, (backbone, shift)


def test_the_reference_network_gets_no_adversarial_picture_right():
    table = pd.read_csv(sets.adversarial_path())
    assert table["index"].is_monotonic_increasing and len(table) > 500
    right = [world.names("object")[i % 12] for i in table["index"]]
    assert (table.taken_for != right).all()
    baselines = pd.read_csv(evaluate.baselines_path())
    assert recipes.REFERENCE not in set(baselines.model)
    assert baselines.groupby("image_set").model.nunique().min() >= 15
