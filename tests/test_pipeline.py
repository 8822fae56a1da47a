"""Copies of encoders, and work on several devices."""

from contextlib import nullcontext

import pytest
import test_extract
import tiny_towers
import torch

from featurelens import compute, extract, pipeline, zoo
from featurelens.encoder import adapted, wrap
from featurelens.store import FeatureStore


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("towers")
    clip = zoo.load(tiny_towers.clip(folder / "clip"))
    return {
        "open_clip": clip,
        "timm": zoo.load(tiny_towers.classifier(folder / "timm", classes=5)),
        "own": wrap("own", test_extract.Tower(), clip.preprocess),
        "tuned": adapted(clip, (), compute.Compute("bfloat16")),
        "layers": adapted(clip, ("visual.transformer",)),
        "miniature": zoo.load("miniature/clip-web-resnet-s0"),
    }


@pytest.mark.parametrize("kind", ["open_clip", "timm", "own", "tuned", "layers", "miniature"])
def test_a_replica_has_its_own_tensors_and_the_same_features(encoders, kind):
    encoder = encoders[kind]
    x_NCHW = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    copied, before = pipeline.replica(encoder, torch.device("cpu")), encoder.encode(x_NCHW)
    with torch.no_grad():
        for tensor in copied.module.parameters():
            tensor.zero_()
    for point, h_ND in encoder.encode(x_NCHW).items():
        assert torch.equal(h_ND, before[point])
        assert not torch.equal(copied.encode(x_NCHW)[point], h_ND)


def test_several_gpus_share_the_shards(tmp_path, monkeypatch):
    """Two that are really the processor: each shard is made once, by one of them, with the same bytes."""
    used, replica = [], pipeline.replica

    def on_cpu(encoder, device):
        used.append(device.index)
        return replica(encoder, torch.device("cpu"))

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "device", lambda gpu: nullcontext())
    monkeypatch.setattr(pipeline, "replica", on_cpu)
    pictures = test_extract.images(bad=(7,))
    both = extract.extract(test_extract.encoder(), pictures, FeatureStore(tmp_path / "both", shard_rows=20))
    assert sorted(used) == [0, 1] and set(pictures.decode.count.values()) == {1}
    monkeypatch.undo()
    one = extract.extract(
        test_extract.encoder(), test_extract.images(bad=(7,)), FeatureStore(tmp_path / "one", shard_rows=20)
    )
    assert test_extract.digest(both.path) == test_extract.digest(one.path)


def test_an_error_on_one_gpu_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "device", lambda gpu: nullcontext())
    monkeypatch.setattr(pipeline, "replica", lambda enc, device: enc)
    enc = wrap("any", test_extract.Tower(), lambda image: torch.ones(3, image.height, image.width))
    with pytest.raises(ValueError, match="expected one size"):
        extract.extract(enc, test_extract.images(), FeatureStore(tmp_path, shard_rows=20))
