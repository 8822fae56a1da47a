"""Other ways to compute a network: the same features, or a refusal."""

import pytest
import timm
import tiny_towers
import torch
from torch import nn

from featurelens import checks, compute, preprocess, zoo
from featurelens.compute import Compute

X = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))
BFLOAT16, LAST = Compute("bfloat16"), Compute(channels_last=True)


class Network(nn.Module):
    """A small convolutional network that records what it is given."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 6)
        self.seen = []

    def forward(self, x):
        maps = self.conv(x)
        self.seen.append((x.is_contiguous(memory_format=torch.channels_last), maps.dtype, len(x)))
        return self.head(maps.relu().mean((2, 3)))


def load(way, module=None, **options):
    return zoo.load(module or Network(), preprocess.square(16), compute=way, **options)


@pytest.mark.parametrize(
    ("way", "relative", "layout", "dtype"),
    [
        (Compute(), 0, False, torch.float32),
        (LAST, 1e-5, True, torch.float32),
        (BFLOAT16, 3e-2, False, torch.bfloat16),
        (Compute("bfloat16", channels_last=True), 3e-2, True, torch.bfloat16),
    ],
)
def test_features_are_float32_and_those_of_the_plain_way(way, relative, layout, dtype):
    plain, fast = load(Compute()), load(way)
    h, expected = fast.encode(X)["pre"], plain.encode(X)["pre"]
    assert fast.module.seen[-1] == (layout, dtype, len(X)) and h.dtype == torch.float32
    assert ((h - expected).norm(dim=1) <= relative * expected.norm(dim=1)).all()
    assert torch.equal(h, expected) == (way == Compute())


def test_identity_says_how_only_if_it_is_not_the_plain_way():
    plain, fast = load(Compute()).identity, load(Compute("bfloat16", channels_last=True)).identity
    assert "compute" not in plain
    assert fast == {**plain, "compute": "bfloat16, channels_last"}
    assert load(LAST).identity["weights"] == plain["weights"]


def test_layers_are_kept_in_float32_and_go_with_lower_precision():
    plain, fast = load(Compute(), layers=("conv",)), load(BFLOAT16, layers=("conv",))
    h, expected = fast.encode(X)["conv"], plain.encode(X)["conv"]
    assert h.dtype == torch.float32 and not torch.equal(h, expected)
    torch.testing.assert_close(h, expected, atol=0.02, rtol=0.02)
    with pytest.raises(ValueError, match="Network: expected layers= or a compiled network, found both"):
        load(Compute(compiled=True), layers=("conv",))


class Rounds(Network):
    """Gives other features in lower precision: by more than rounding, or none at all."""

    def __init__(self, add):
        super().__init__()
        self.add = add

    def forward(self, x):
        h = super().forward(x)
        return h + self.add if self.seen[-1][1] == torch.bfloat16 else h


@pytest.mark.parametrize("add", [1.0, float("nan"), float("inf")])
def test_features_that_differ_by_more_than_rounding_are_refused(add):
    with pytest.raises(FloatingPointError, match=r"Rounds: expected .* at pre to 8\.0% .* with bfloat16$"):
        load(BFLOAT16, Rounds(add))
    assert load(BFLOAT16, Rounds(0.0)).compute == BFLOAT16


@pytest.mark.filterwarnings("error")
def test_rows_of_zeros_in_both_ways_agree():
    class Silent(Network):
        def forward(self, x):
            return super().forward(x) * 0

    assert load(BFLOAT16, Silent()).encode(X)["pre"].abs().max() == 0


def test_unknown_precision_and_half_precision_on_a_cpu_are_refused(monkeypatch):
    with pytest.raises(checks.UnknownNameError, match="unknown precision 'bf16': did you mean bfloat16"):
        Compute("bf16")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="expected bfloat16 or float32 on a CPU, found float16"):
            load(Compute("float16"))


def test_what_is_suggested_never_lowers_precision():
    resnet = timm.create_model("test_resnet", pretrained=False)
    vit = timm.create_model("test_vit", pretrained=False)
    assert compute.suggested(resnet) == LAST
    assert compute.suggested(vit) == compute.PLAIN
    assert compute.suggested(nn.Linear(2, 2)) == compute.PLAIN


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_tuned_clips_are_pickled_with_their_text_side(kind, tmp_path):
    cloudpickle = pytest.importorskip("ray.cloudpickle", reason="needs the extra 'cluster'")
    encoder = zoo.load(tiny_towers.clip(tmp_path / kind, kind), compute=Compute("bfloat16", True))
    other = cloudpickle.loads(cloudpickle.dumps(encoder))
    x = torch.randn(2, 3, 32, 32)
    for point, h_ND in encoder.encode(x).items():
        assert torch.equal(other.encode(x)[point], h_ND)
    assert other.identity == encoder.identity and other.compute == encoder.compute
    assert other.text.identity == encoder.text.identity


def test_compiled_functions_are_not_pickled_and_compiled_once(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda function: compiled.append(function) or function)
    encoder = load(Compute(compiled=True))
    expected = load(Compute()).encode(X[:1])["pre"]
    h = encoder.encode(X[:1])["pre"]  # a batch of one is not compiled for itself
    assert encoder.module.seen[-1][2] == 2 and h.shape == (1, 6) and len(compiled) == 1
    torch.testing.assert_close(h, expected)
    assert encoder.forward.__getstate__()["_compiled"] is None and encoder.forward._compiled is not None


@pytest.mark.slow
def test_compilation_gives_the_same_features_for_batches_of_all_sizes():
    cloudpickle = pytest.importorskip("ray.cloudpickle", reason="needs the extra 'cluster'")
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GELU(), nn.Flatten(), nn.Linear(8 * 14 * 14, 6))
    plain, fast = load(Compute(), module), load(Compute(compiled=True), module)
    torch._dynamo.utils.counters.clear()
    for n in (5, 3, 1):
        torch.testing.assert_close(fast.encode(X[:n]), plain.encode(X[:n]), atol=1e-5, rtol=1e-5)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 0  # that of the probe served for all
    other = cloudpickle.loads(cloudpickle.dumps(fast))
    torch.testing.assert_close(other.encode(X), plain.encode(X), atol=1e-5, rtol=1e-5)
