"""Encoders of a run: as many as fit, in a precision that keeps their features."""

import pytest
import tiny_towers

from featurelens import compute
from featurelens.paper import costs, tables
from featurelens.paper import run as runs


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    folder = tmp_path_factory.mktemp("towers")
    return [
        tiny_towers.clip(folder / "vit"),
        tiny_towers.clip(folder / "resnet", "resnet"),
        tiny_towers.clip(folder / "other" / "vit", seed=1),
    ]


def grouped(names, said=lambda _: None, **options):
    run = runs.Run(tuple(names), ("val",), None, **options)
    return [list(group.values()) for group in runs.groups(run, said)]


def test_as_many_encoders_as_fit(names, monkeypatch):
    [both] = grouped(names[:2])
    assert [encoder.name for encoder in both] == ["local-dir/vit", "local-dir/resnet"]
    bytes_each = [sum(t.numel() * t.element_size() for t in e.module.state_dict().values()) for e in both]
    monkeypatch.setattr(runs, "BUDGET", 1.0)
    for free, sizes in ((bytes_each[0] - 1, [1, 1]), (sum(bytes_each), [2]), (0, [1, 1])):
        monkeypatch.setattr(runs, "_free", lambda free=free: free)
        assert [len(group) for group in grouped(names[:2])] == sizes


def test_convolutional_networks_are_laid_out_for_speed(names):
    [[vit, resnet]] = grouped(names[:2])
    assert vit.compute == compute.PLAIN and resnet.compute == compute.Compute(channels_last=True)


def test_a_precision_that_changes_features_is_not_taken(names, monkeypatch):
    [[vit]] = grouped(names[:1], precision="bfloat16")
    assert vit.compute.precision == "bfloat16"
    said = []
    monkeypatch.setitem(compute.TOLERANCES, "bfloat16", (1e-9, 1.0))
    [[vit]] = grouped(names[:1], said.append, precision="bfloat16")
    assert vit.compute == compute.PLAIN and "expected the features of plain float32" in said[0]


def test_two_models_of_one_name_are_refused(names):
    with pytest.raises(ValueError, match="different names, found local-dir/vit twice"):
        grouped(names)


def test_regimes_and_backbones_are_those_of_the_tables():
    assert tables.regime("openai/RN50") == "clip-web" and tables.regime("local-dir/x") == "own"
    assert costs.backbone("laion2b/ViT-L-14") == "ViT-L-14" and costs.backbone("local-dir/x") == ""
    assert costs.backbone("timm/resnet50.tv_in1k") == "RN50"
