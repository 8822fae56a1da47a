"""Features of named layers, against a network that is run step by step."""

import pytest
import tiny_towers
import torch
from torch import nn

from featurelens import checks, preprocess, zoo

X = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Network(nn.Module):
    """Maps, then tokens, then a vector; its ReLU works in place, and one layer is called twice."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.relu = nn.Conv2d(3, 6, 4, stride=4), nn.ReLU(inplace=True)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.last, self.unused, self.twice = nn.Linear(6, 5), nn.Linear(6, 5), nn.Identity()

    def forward(self, x):
        t = self.relu(self.conv(x)).flatten(2).transpose(1, 2)
        t, _ = self.attention(t, t, t)
        return self.twice(self.twice(self.last(t.mean(1))))


def load(*layers, module=None):
    return zoo.load(module or Network(), preprocess.square(16), layers=layers)


@torch.no_grad()
def test_maps_tokens_and_vectors_become_one_row_per_image():
    encoder = load("conv", "relu", "attention", "attention[0]", "attention[3]", "last")
    network, h = encoder.module, encoder.encode(X)
    maps = network.conv(X)
    t_NLC = maps.relu().flatten(2).transpose(1, 2)
    attended, _ = network.attention(t_NLC, t_NLC, t_NLC)
    expected = {
        "pre": network(X),
        "conv": maps.mean((2, 3)),  # as it was, before the ReLU overwrote it
        "relu": maps.relu().mean((2, 3)),
        "attention": attended.mean(1),
        "attention[0]": attended[:, 0],
        "attention[3]": attended[:, 3],
        "last": network.last(attended.mean(1)),
    }
    assert list(h) == list(expected) == list(encoder.dims)
    assert encoder.dims == {name: h_ND.shape[1] for name, h_ND in expected.items()}
    for point, h_ND in expected.items():
        torch.testing.assert_close(h[point], h_ND, msg=point)


def test_vector_is_copied_before_a_later_layer_works_in_place():
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4), nn.ReLU(inplace=True))
    h = load("1", module=module).encode(X)
    assert (h["1"] < 0).any() and (h["pre"] >= 0).all()


def test_layers_leave_the_identity_and_the_network_as_they_were():
    module = Network()
    plain, deep = load(module=module), load("conv", module=module)
    assert deep.identity == plain.identity and plain.dims == {"pre": 5}
    deep.encode(X)
    assert not any(layer._forward_hooks for layer in module.modules())
    assert list(plain.encode(X)) == ["pre"]


def test_one_layer_may_be_named_without_a_list():
    assert list(zoo.load(Network(), preprocess.square(16), layers="conv").dims) == ["pre", "conv"]


@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [
        ("atention", checks.UnknownNameError, "unknown layer of Network 'atention': did you mean attention"),
        ("", checks.UnknownNameError, "unknown layer of Network ''"),
        ("unused", ValueError, "Network: expected layers that are called, found 'unused' is not"),
        ("twice", ValueError, "expected layers that are called once, found 'twice' called again"),
        (
            "conv[0]",
            ValueError,
            r"conv\[0\]: expected tokens \(N x L x D\) with number 0, found \(4, 6, 4, 4\)",
        ),
        ("attention[16]", ValueError, r"with number 16, found \(4, 16, 6\)"),
    ],
)
def test_layers_without_a_row_per_image_are_refused(layer, error, message):
    with pytest.raises(error, match=message):
        load(layer)


def test_a_layer_cannot_take_the_place_of_a_point():
    module = nn.Sequential()
    module.add_module("pre", nn.Flatten())
    with pytest.raises(ValueError, match="expected no layer named as a point is, found 'pre'"):
        load("pre", module=module)


def test_outputs_that_are_no_features_are_refused():
    class Odd(nn.Module):
        def __init__(self, out):
            super().__init__()
            self.inner = nn.Identity()
            self.out = out

        def forward(self, x):
            self.inner(self.out)
            return x.flatten(1)

    for out, found in (
        ([1], "found list"),
        (torch.zeros(4), r"found \(4,\)"),
        (torch.zeros(7, 2), r"\(7, 2\)"),
    ):
        with pytest.raises(ValueError, match=found):
            load("inner", module=Odd(out))


@pytest.mark.parametrize(
    ("kind", "layer", "dim"),
    [
        ("vit", "visual.transformer.resblocks.0[0]", 64),
        ("vit", "visual.transformer.resblocks.1.mlp.c_fc", 256),
        ("resnet", "visual.layer2", 128),
        ("coca", "visual.transformer.resblocks.1", 64),
    ],
)
def test_layers_of_clips_have_open_clips_names(kind, layer, dim, tmp_path):
    encoder = zoo.load(tiny_towers.clip(tmp_path / kind, kind), layers=(layer,))
    assert encoder.dims[layer] == dim
    x = torch.randn(2, 3, 32, 32)
    assert encoder.encode(x)[layer].shape == (2, dim)
    assert {"pre", "joint"} <= set(encoder.encode(x))


@torch.no_grad()
def test_class_token_of_the_last_block_is_what_pre_is_made_of(tmp_path):
    last = "visual.transformer.resblocks.1[0]"
    encoder = zoo.load(tiny_towers.clip(tmp_path / "vit"), layers=(last,))
    h = encoder.encode(torch.randn(2, 3, 32, 32))
    torch.testing.assert_close(encoder.module.visual.ln_post(h[last]), h["pre"])
