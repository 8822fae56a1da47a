"""Image towers against open_clip's own ``encode_image``, and against projections applied by hand."""

import numpy as np
import open_clip
import pytest
import tiny_towers
import torch
from torch import nn

from featurelens import preprocess, zoo
from featurelens.towers import Text, Tower

X = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
# What a tower writes for the fixed picture: the first features at both points, of weights drawn by numpy.
GOLDEN = {
    "vit": {"pre": [-0.0367, 0.7784, 1.0594, -0.1219], "joint": [1.6544, 2.5842, -1.477, 0.8686]},
    "resnet": {"pre": [-0.1026, -0.0782, 0.4664, 0.3069], "joint": [-0.3704, -0.0928, 0.1326, 0.2843]},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Function: kind of tower -> name for ``zoo.load``."""
    root = tmp_path_factory.mktemp("towers")
    return lambda kind: tiny_towers.clip(root / kind, kind)


def project(visual: nn.Module, pre_ND: torch.Tensor) -> torch.Tensor:
    """The last projection of a tower, by hand."""
    if hasattr(visual, "attnpool"):
        return pre_ND @ visual.attnpool.c_proj.weight.T + visual.attnpool.c_proj.bias
    if hasattr(visual, "proj"):
        return pre_ND @ visual.proj
    return visual.head(pre_ND) if len(visual.head) else visual.trunk.get_classifier()(pre_ND)


@pytest.mark.parametrize("kind", tiny_towers.MODELS)
@torch.no_grad()
def test_joint_is_what_open_clip_encodes_and_pre_is_what_is_projected(kind, folder):
    name = folder(kind)
    clip = open_clip.create_model_from_pretrained(name, return_transform=False).eval()
    encoder = zoo.load(name)
    h = encoder.encode(X)
    torch.testing.assert_close(h["joint"], clip.encode_image(X, normalize=False), atol=1e-5, rtol=1e-5)
    assert h["joint"].std(0).max() > 0.01  # the pictures differ, so the comparison says something
    if kind == "timm-bare":
        assert list(h) == ["joint"]
    else:
        torch.testing.assert_close(project(clip.visual, h["pre"]), h["joint"], atol=1e-5, rtol=1e-5)
        assert h["pre"].shape[1] == encoder.dims["pre"] and encoder.dims["joint"] == 32


@pytest.mark.parametrize("pool", ["abs_attn", "rot_attn"])
@torch.no_grad()
def test_a_head_that_pools_and_projects_at_once_gives_joint_alone(pool):
    options = {"image_size": 224, "timm_model_name": "resnet18", "timm_pool": pool, "timm_proj": ""}
    clip = open_clip.model.CLIP(32, options, tiny_towers.TEXT).eval()
    h, x = Tower(clip.visual).encode, torch.rand(2, 3, 224, 224)
    assert list(h(x)) == ["joint"]
    torch.testing.assert_close(h(x)["joint"], clip.encode_image(x))


@torch.no_grad()
def test_normalised_joint_has_length_one_and_pre_stays():
    visual = tiny_towers.drawn(open_clip.model.CLIP(32, tiny_towers.VIT, tiny_towers.TEXT), 0).visual
    plain, normalised = Tower(visual).encode(X), Tower(visual, normalised=True).encode(X)
    torch.testing.assert_close(normalised["joint"], nn.functional.normalize(plain["joint"]))
    assert torch.equal(normalised["pre"], plain["pre"]) and plain["joint"].norm(dim=1).min() > 1.5


def test_another_kind_of_tower_is_refused():
    with pytest.raises(TypeError, match=r"expected an image tower of open_clip .*TimmModel.*, found Linear"):
        Tower(nn.Linear(3, 3))


def test_the_activation_matters(folder):
    plain, quick = (zoo.load(folder(kind)) for kind in ("vit", "quickgelu"))
    assert plain.identity["weights"] == quick.identity["weights"]
    assert plain.identity["architecture"] != quick.identity["architecture"]
    assert not torch.allclose(plain.encode(X)["joint"], quick.encode(X)["joint"], atol=1e-3)


@pytest.mark.parametrize("kind", GOLDEN)
def test_features_are_those_that_were_committed(kind, folder):
    encoder = zoo.load(folder(kind))
    h = encoder.encode(encoder.preprocess(preprocess.probe_image())[None])
    for point, expected in GOLDEN[kind].items():
        found = h[point][0, : len(expected)].tolist()
        np.testing.assert_allclose(found, expected, atol=2e-4, err_msg=f"{point}: {found}")


@pytest.mark.parametrize("kind", ["vit", "coca"])
def test_text_side_makes_heads_and_has_no_image_tower(kind, folder):
    clip = open_clip.create_model_from_pretrained(folder(kind), return_transform=False).eval()
    tokenizer = open_clip.get_tokenizer(folder(kind))
    text = Text(clip, tokenizer)
    assert not [key for key in text.model.state_dict() if key.startswith(("visual", "text_decoder"))]
    assert hasattr(clip, "visual")  # the network that was handed over is as it was
    w_CD = text.head(["dog", "grey cat"], ["a {}.", "the {}."])
    with torch.no_grad():
        h_CPD = clip.encode_text(
            tokenizer(["a dog.", "the dog.", "a grey cat.", "the grey cat."]), normalize=True
        )
    expected = nn.functional.normalize(h_CPD.reshape(2, 2, -1).mean(1))
    torch.testing.assert_close(w_CD, expected)


def test_text_identity_follows_weights_and_tokens(folder):
    clip = open_clip.create_model_from_pretrained(folder("vit"), return_transform=False)
    tokenizer, identity = open_clip.get_tokenizer(folder("vit")), lambda *a: Text(*a).identity
    base = identity(clip, tokenizer)
    assert identity(clip, tokenizer) == base
    shorter = open_clip.SimpleTokenizer(context_length=8)
    assert identity(clip, shorter)["tokens"] != base["tokens"]
    with torch.no_grad():
        clip.visual.proj += 1
        assert identity(clip, tokenizer) == base
        clip.ln_final.bias += 1
    assert identity(clip, tokenizer)["text weights"] != base["text weights"]
