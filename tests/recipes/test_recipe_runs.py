"""Each recipe from pictures to an encoder, on a made ImageNet of four classes."""

import csv
import json

import open_clip
import pytest
import torch
from conftest import kurtosis
from safetensors.torch import load_file

from featurelens import imagesets, recipes
from featurelens.heads import accuracy
from featurelens.recipes import weights
from featurelens.recipes.train import train

LEARNING = {"epochs": 10, "log_every": 1, "flip": 0.5, "clip": 1.0}


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def epochs(out):
    return [row for row in rows(out / "metrics.csv") if row["accuracy"]]


def losses(out):
    return [float(row["loss"]) for row in rows(out / "metrics.csv") if row["loss"]]


def head_accuracy(encoder, folder):
    images = imagesets.load(folder)
    x_NCHW = torch.stack([encoder.preprocess(images[i]) for i in range(len(images))])
    return accuracy(
        encoder.encode(x_NCHW)[encoder.head.point], encoder.head.w_CD, images.y_N, encoder.head.b_C
    )


@pytest.mark.parametrize("model", ["tiny-vit", "tiny-resnet"])
def test_a_supervised_network_learns_and_loads_as_an_encoder(model, planned, world, tmp_path):
    out = tmp_path / "out"
    resnet = model == "tiny-resnet"
    result = train(planned(model=model, channels_last=resnet, lr=5e-4, **LEARNING), out)
    assert sum(losses(out)[-8:]) < 0.5 * sum(losses(out)[:8])
    last = epochs(out)[-1]
    assert [int(row["epoch"]) for row in epochs(out)] == list(range(1, 11)) and float(last["accuracy"]) >= 0.9
    encoder = recipes.load(result)
    assert encoder.dims == {"pre": 256 if resnet else 64, "joint": 32} and encoder.head.w_CD.shape == (4, 32)
    assert head_accuracy(encoder, world / "val") == pytest.approx(float(last["accuracy"]), abs=1e-6)
    assert {path.name for path in out.iterdir()} == {
        "model.safetensors", "metrics.csv", "speed.csv", "failures.csv"
    }  # fmt: skip


def test_features_at_pre_and_joint_are_those_of_the_tower(planned, world, tmp_path):
    for model in ("tiny-vit", "tiny-resnet"):
        result = train(planned(model=model, epochs=1), tmp_path / model)
        encoder = recipes.load(result)
        tower, x_NCHW = encoder.module.visual, torch.randn(3, 3, 32, 32)
        features = encoder.encode(x_NCHW)
        with torch.no_grad():
            torch.testing.assert_close(features["joint"], tower(x_NCHW))
            weight = tower.proj.T if model == "tiny-vit" else tower.attnpool.c_proj.weight
            bias = None if model == "tiny-vit" else tower.attnpool.c_proj.bias
            projected = torch.nn.functional.linear(features["pre"], weight, bias)
        torch.testing.assert_close(projected, features["joint"])


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_contrastive_network_learns_and_open_clip_loads_it(accumulate, planned, world, tmp_path):
    out = tmp_path / "out"
    values = {"kind": "contrastive", "caption": ["title"], "accumulate": accumulate, "batch": 16}
    result = train(planned(**values, epochs=6, log_every=1), out)
    assert float(epochs(out)[-1]["accuracy"]) >= 0.75
    assert sum(losses(out)[-3:]) < sum(losses(out)[:3]) - 1
    clip = open_clip.create_model_from_pretrained("tiny-vit", str(result), return_transform=False)
    assert all(torch.equal(tensor, load_file(result)[key]) for key, tensor in clip.state_dict().items())
    encoder = recipes.load(result)
    assert encoder.head.b_C is None and encoder.head.w_CD.norm(dim=1).allclose(torch.ones(4))
    assert head_accuracy(encoder, world / "val") == pytest.approx(
        float(epochs(out)[-1]["accuracy"]), abs=1e-6
    )
    made = weights.info(result)
    assert made["data"]["training"]["captions"] == 32 and made["recipe"]["seed"] == 0
    assert made["versions"]["torch"] == torch.__version__.split("+")[0]


def test_a_finetuned_network_starts_at_its_zero_shot_head_and_interpolates(planned, world, tmp_path):
    out, start = tmp_path / "out", str(world / "tiny-vit.safetensors")
    result = train(planned(kind="finetuned", start=start, decay_vectors=True, clip=1.0, epochs=8), out)
    assert float(epochs(out)[-1]["accuracy"]) >= 0.9
    first, last = load_file(out / "start.safetensors"), load_file(result)
    clip = open_clip.create_model_from_pretrained("tiny-vit", start, return_transform=False).eval()
    names = ["red square", "green sea", "blue sky", "grey road"]
    with torch.no_grad():
        templates, w_CD = open_clip.OPENAI_IMAGENET_TEMPLATES, []
        for name in names:
            h_PD = clip.encode_text(open_clip.get_tokenizer("tiny-vit")([t(name) for t in templates]))
            w_CD.append(torch.nn.functional.normalize(torch.nn.functional.normalize(h_PD).mean(0), dim=0))
    torch.testing.assert_close(first["head.weight"], torch.stack(w_CD) * clip.logit_scale.exp().detach())
    assert not first["head.bias"].any()
    for key, tensor in clip.visual.state_dict().items():
        assert torch.equal(first[f"visual.{key}"], tensor)

    paths = weights.write_interpolated(out / "start.safetensors", result, [0.0, 0.5, 1.0], tmp_path / "mixed")
    assert [path.name for path in paths] == [f"alpha-{a}.safetensors" for a in ("0", "0.5", "1")]
    zero, half, one = map(load_file, paths)
    for key in last:
        assert torch.equal(zero[key], first[key])
        torch.testing.assert_close(one[key], last[key])
        torch.testing.assert_close(half[key], (first[key] + last[key]) / 2)
    encoder = recipes.load(result)
    assert encoder.encode(torch.randn(2, 3, 32, 32))["joint"].norm(dim=1).allclose(torch.ones(2))
    assert head_accuracy(encoder, world / "val") == pytest.approx(
        float(epochs(out)[-1]["accuracy"]), abs=1e-6
    )
    assert recipes.load(paths[1]).name == "recipe/tiny@0.5"


def test_kurtosis_in_the_metrics_is_that_of_the_encoder(planned, world, tmp_path):
    out = tmp_path / "out"
    encoder = recipes.load(train(planned(epochs=1), out))
    for point, expected in kurtosis(encoder, world / "val").items():
        assert float(epochs(out)[-1][f"kurtosis_{point}"]) == pytest.approx(expected, rel=1e-4)


def test_without_validation_pictures_the_columns_are_empty(world, planned, tmp_path):
    import dataclasses

    train(dataclasses.replace(planned(epochs=1), validation=None), tmp_path / "out")
    assert rows(tmp_path / "out" / "metrics.csv")[-1]["accuracy"] == ""


def test_a_finished_run_is_left_alone_and_another_is_refused(planned, tmp_path):
    out = tmp_path / "out"
    result = train(planned(epochs=1), out)
    before = result.read_bytes()
    assert train(planned(epochs=1, workers=1), out) == result and result.read_bytes() == before
    for change in ({"epochs": 2}, {"model": "tiny-resnet"}, {"seed": 1}):
        with pytest.raises(ValueError, match="belongs to another run") as error:
            train(planned(**{"epochs": 1, **change}), out)
        assert next(iter(change)) in str(error.value) and "\n" not in str(error.value)
    assert result.read_bytes() == before


def test_more_devices_than_gpus_are_refused(planned, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="expected 2 GPUs, found 1"):
        train(planned(devices=2), tmp_path / "out")


def test_bfloat16_trains_and_keeps_weights_in_float32(planned, tmp_path):
    result = train(planned(precision="bf16-mixed", epochs=1), tmp_path / "out")
    assert {tensor.dtype for tensor in load_file(result).values()} == {torch.float32}
    assert json.loads(json.dumps(weights.info(result)))["recipe"]["precision"] == "bf16-mixed"
