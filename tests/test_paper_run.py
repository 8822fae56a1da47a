"""Encoders of a run: as many as fit, in a precision that keeps their features."""

import pytest
import tiny_towers

from featurelens import compute, scales
from featurelens.paper import costs, loading, tables


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    folder = tmp_path_factory.mktemp("towers")
    return [
        tiny_towers.clip(folder / "vit"),
        tiny_towers.clip(folder / "resnet", "resnet"),
        tiny_towers.clip(folder / "other" / "vit", seed=1),
    ]


def grouped(names, said=lambda _: None, **options):
    run = loading.Run(tuple(names), ("val",), None, **options)
    found = [(list(group.values()), alone) for group, alone in loading.groups(run, said)]
    assert [alone for _, alone in found] == [len(found) == 1] * len(found)
    return [group for group, _ in found]


def test_as_many_encoders_as_fit(names, monkeypatch):
    [both] = grouped(names[:2])
    assert [encoder.name for encoder in both] == ["local-dir/vit", "local-dir/resnet"]
    bytes_each = [loading._size(encoder) for encoder in both]
    sides = both[0].module, both[0].text.model
    assert bytes_each[0] == sum(4 * tensor.numel() for side in sides for tensor in side.state_dict().values())
    monkeypatch.setattr(loading, "BUDGET", 1.0)
    for free, sizes in ((bytes_each[0] - 1, [1, 1]), (sum(bytes_each), [2]), (0, [1, 1])):
        monkeypatch.setattr(loading, "_free", lambda free=free: free)
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


def test_weights_that_cannot_be_had_end_a_run_or_are_left_out(names, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    wanted = ["hf-hub:nobody/nothing", names[0]]
    with pytest.raises(scales.Unreachable):
        grouped(wanted)
    said = []
    [[vit]] = grouped(wanted, said.append, skip=True)
    assert vit.name == "local-dir/vit" and "left out" in said[0]
