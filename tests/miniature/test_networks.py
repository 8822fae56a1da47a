"""Towers, objectives, recipes and checkpoints."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from featurelens import heads
from featurelens.miniature import captions, checkpoints, objectives, recipes, sets
from featurelens.miniature.towers import BACKBONES, JOINT, Tower


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("size", [32, 40])
def test_towers_give_features_at_their_points(backbone, size):
    tower = Tower(backbone, joint=True, text=True).eval()
    h = tower.encode(torch.randn(3, 3, size, size))
    assert set(h) == {"pre", "joint"} and h["joint"].shape == (3, JOINT)
    torch.testing.assert_close(h["joint"], h["pre"] @ tower.project.weight.T)
    plain = Tower(backbone, joint=False, text=False, classes=5).eval()
    assert set(plain.encode(torch.randn(2, 3, size, size))) == {"pre"}
    assert plain.logits(plain.encode(torch.randn(2, 3, size, size))).shape == (2, 5)


def test_text_ignores_padding():
    text = Tower("resnet", joint=True, text=True).text.eval()
    tokens_NL = torch.zeros(2, 16, dtype=torch.long)
    tokens_NL[0, :3] = torch.tensor([5, 9, 4])
    tokens_NL[1, :9] = torch.arange(2, 11)
    torch.testing.assert_close(text(tokens_NL)[:1], text(tokens_NL[:1]), rtol=1e-5, atol=1e-6)


def test_contrastive_loss_against_a_loop():
    torch.manual_seed(0)
    image_ND, text_ND, log_scale = torch.randn(5, 8), torch.randn(5, 8), torch.tensor(2.0)
    total = 0.0
    for a, b in ((image_ND, text_ND), (text_ND, image_ND)):
        for i in range(5):
            cosine = [F.cosine_similarity(a[i], b[j], dim=0) * math.exp(2.0) for j in range(5)]
            total -= (cosine[i] - torch.stack(cosine).logsumexp(0)).item()
    assert objectives.contrastive_loss(image_ND, text_ND, log_scale).item() == pytest.approx(
        total / 10, rel=1e-5
    )


def test_a_zero_shot_head_is_made_of_the_networks_own_text_features():
    tower = checkpoints.load("clip-web-resnet-s0")
    head = objectives.head(tower, ("mug", "car"))
    for row, word in zip(head.w_CD, ("mug", "car"), strict=True):
        texts = [tower.text(captions.tokenize([t.format(word)])) for t in objectives.TEMPLATES]
        mean = torch.stack([text[0] / text.norm() for text in texts]).mean(0)
        torch.testing.assert_close(row, mean / mean.norm())
    assert head.point == "joint" and head.b_C is None and len(head.w_CD) == 2


def test_other_heads_are_the_classifier():
    pixels = torch.rand(7, 3, 32, 32) * 2 - 1
    for name, point in (("supervised-resnet-s0", "pre"), ("finetuned-vit-s0", "joint")):
        tower = checkpoints.load(name)
        head, h = objectives.head(tower, ()), tower.encode(pixels)
        assert head.point == point
        assert heads.predict(h[point], head.w_CD, head.b_C).equal(tower.logits(h).argmax(1))
    with pytest.raises(ValueError, match="an untrained network has no head"):
        objectives.head(checkpoints.load("random-init-resnet-s0"), ("mug",))


def test_augmentation_moves_and_mirrors_but_keeps_the_picture():
    x_NCHW = torch.arange(2 * 3 * 8 * 8).float().view(2, 3, 8, 8).repeat(40, 1, 1, 1)
    out = objectives.augment(x_NCHW, torch.Generator().manual_seed(0))
    centre = x_NCHW[0, :, 3:5, 3:5]
    windows = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)]
    seen = set()
    for picture in out[::2]:
        for flip in (False, True):
            p = picture.flip(2) if flip else picture
            seen |= {
                (flip, *w)
                for w in windows
                if torch.equal(p[:, 3 + w[0] : 5 + w[0], 3 + w[1] : 5 + w[1]], centre)
            }
    assert {flip for flip, *_ in seen} == {False, True} and len(seen) > 10
    assert set(out.unique().tolist()) <= set(x_NCHW.unique().tolist())


def test_batches_are_a_function_of_the_step():
    data = sets.MiniSet("toy", np.zeros((64, 8, 8, 3), np.uint8), sets.load("base-val", limit=64).pictures)
    batches = objectives.Batches(data, 16, seed=1, text=False)
    jumped = objectives.Batches(data, 16, seed=1, text=False)
    labels = [batches(step)[1] for step in range(8)]
    assert torch.equal(jumped(6)[1], labels[6])
    assert sorted(torch.cat(labels[:4]).tolist()) == sorted(data.y_N.tolist())
    assert not torch.equal(torch.cat(labels[:4]), torch.cat(labels[4:]))


def test_every_regime_has_three_resnets_and_a_vit():
    shipped = [recipes.recipe(name) for name in checkpoints.names()]
    regimes = {spec.regime for spec in shipped}
    assert regimes == {
        "clip-web",
        "clip-captions",
        "supervised",
        "supervised-web",
        "finetuned",
        "random-init",
    }
    for regime in regimes:
        cells = [spec.backbone for spec in shipped if spec.regime == regime]
        assert cells.count("resnet") == 3 and cells.count("vit") >= 1
    with pytest.raises(KeyError, match="did you mean clip-web-resnet-s"):
        recipes.recipe("clip-web-resnet")


def test_shipped_checkpoints_are_small_and_load():
    files = [checkpoints.path(name) for name in checkpoints.shipped()]
    assert sum(file.stat().st_size for file in files) < 20e6
    assert set(checkpoints.shipped()) - set(checkpoints.names()) == set(recipes.singles())
    for name in checkpoints.shipped():
        tower = checkpoints.load(name)
        assert not tower.training and all(p.dtype == torch.float32 for p in tower.parameters())
        assert checkpoints.card(name)["recipe"]["name"] == name


def test_shipped_files_are_the_listed_ones():
    assert (sets.paths.data() / "miniature" / "checksums.txt").read_text() == checkpoints.checksums()


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "path", lambda name: tmp_path / f"{name}.safetensors")
    checkpoints.load.cache_clear()
    yield "random-init-resnet-s0"
    checkpoints.load.cache_clear()


def test_a_checkpoint_survives_the_round_trip_in_half_precision(own):
    tower = checkpoints.build(recipes.recipe(own))
    checkpoints.save(own, tower, {"note": 1})
    assert checkpoints.card(own) == {"note": 1}
    for key, value in checkpoints.load(own).state_dict().items():
        torch.testing.assert_close(value, tower.state_dict()[key], rtol=1e-3, atol=1e-6)
    again = checkpoints.build(recipes.recipe(own))
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), tower.parameters(), strict=True))
    other = checkpoints.build(replace(recipes.recipe(own), seed=9))
    assert not torch.equal(other.backbone.stem[0].weight, tower.backbone.stem[0].weight)


def test_missing_truncated_and_foreign_checkpoints_are_one_line(own):
    file = checkpoints.path(own)
    with pytest.raises(FileNotFoundError, match="featurelens miniature train --only random-init-resnet-s0"):
        checkpoints.load(own)
    checkpoints.save(own, checkpoints.build(recipes.recipe(own)), {})
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"random-init-resnet-s0.safetensors is damaged"):
        checkpoints.load(own)
    file.write_bytes(whole)
    state = load_file(file)
    state.pop("project.weight")
    save_file(state, file)
    with pytest.raises(ValueError, match="holds another network") as error:
        checkpoints.load(own)
    assert "\n" not in str(error.value)
