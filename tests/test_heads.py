import csv
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from featurelens import checks, heads

G = torch.Generator().manual_seed(0)
H, W, B = torch.randn(50, 8, generator=G), torch.randn(5, 8, generator=G), torch.randn(5, generator=G)


def encode_text(prompts):
    """Text features that depend on every letter, of different lengths."""
    rows = [[len(p), sum(map(ord, p)) % 97, p.count("a"), p.find("dog")] for p in prompts]
    return torch.tensor(rows, dtype=torch.float64) + 0.5


def test_zero_shot_head_is_the_normalised_mean_of_normalised_prompts():
    templates, names = ["a photo of a {}", "{} art", "{}"], ["dog", "catfish"]
    rows = []
    for name in names:
        vectors = [encode_text([t.format(name)]).numpy()[0] for t in templates]
        mean = np.mean([v / np.linalg.norm(v) for v in vectors], axis=0)
        rows.append(mean / np.linalg.norm(mean))
    w_CD = heads.zero_shot_head(encode_text, names, templates)
    np.testing.assert_allclose(w_CD.numpy(), rows, rtol=1e-12)


def test_zero_shot_head_keeps_braces_of_class_names():
    seen = []
    heads.zero_shot_head(lambda p: (seen.extend(p), encode_text(p))[1], ["set {1}"], ["a {}"])
    assert seen == ["a set {1}"]


@pytest.mark.parametrize(
    ("names", "templates", "message"),
    [
        ([], ["{}"], "found 0 classes and 1 templates"),
        (["dog"], [], "found 1 classes and 0 templates"),
        (["dog"], ["a photo"], "expected one {} in each template, found 'a photo'"),
    ],
)
def test_zero_shot_head_refuses(names, templates, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        heads.zero_shot_head(encode_text, names, templates)


def test_a_zero_text_feature_has_no_direction():
    with pytest.raises(ValueError, match="found zeros in row 1"):
        heads.zero_shot_head(lambda p: torch.tensor([[1.0, 0], [0, 0]]), ["dog"], ["{}", "a {}"])


def test_predict_and_accuracy_against_a_loop():
    scores = [[float(h @ w + b) for w, b in zip(W, B, strict=True)] for h in H]
    expected = np.argmax(scores, axis=1)
    assert heads.predict(H, W, B).tolist() == expected.tolist()
    y = torch.tensor(expected)
    y[:10] = (y[:10] + 1) % 5
    assert heads.accuracy(H, W, y, B) == 0.8
    assert heads.accuracy(H, W, heads.predict(H, W)) == 1.0


@given(st.floats(0.01, 100))
def test_decisions_without_bias_ignore_the_length_of_features(scale):
    assert torch.equal(heads.predict(H * scale, W), heads.predict(heads.unit(H), W))


def test_linear_head_reproduces_its_layer():
    layer = nn.Linear(8, 5)
    head = heads.LinearHead.of(layer, "pre")
    torch.testing.assert_close(heads.logits(H, head.w_CD, head.b_C), layer(H).detach())
    assert heads.LinearHead.of(nn.Linear(8, 5, bias=False), "joint").b_C is None
    assert heads.LinearHead.of(nn.Identity(), "pre") is None


def test_bad_shapes_and_labels():
    with pytest.raises(ValueError, match="expected features for a head of 8, found 7 features"):
        heads.predict(H[:, :7], W)
    with pytest.raises(ValueError, match=r"expected 50 labels, one an image, found \(49,\)"):
        heads.accuracy(H, W, torch.zeros(49, dtype=torch.long))
    with pytest.raises(ValueError, match=r"expected labels 0..4, found 0..5"):
        heads.accuracy(H, W, torch.arange(50) % 6)


def test_grouped_is_the_mean_probability_of_each_group():
    group = torch.tensor([1, -1, 0, 1, 0])
    scores = heads.logits(H, W, B)
    p = torch.softmax(scores, 1).numpy()
    expected = np.stack([p[:, [2, 4]].mean(1), p[:, [0, 3]].mean(1)], 1)
    np.testing.assert_allclose(heads.grouped(scores, group).numpy(), expected, rtol=1e-5)


def test_grouped_refuses():
    with pytest.raises(ValueError, match=r"expected 5 groups, one a class, found \(4,\)"):
        heads.grouped(torch.zeros(2, 5), torch.zeros(4, dtype=torch.long))
    for groups in ([0, 2, 0, 2, -1], [-1] * 5):
        with pytest.raises(ValueError, match="found an empty one"):
            heads.grouped(torch.zeros(2, 5), torch.tensor(groups))


def test_imagenet_table():
    wnids = heads.imagenet("wnid")
    assert len(wnids) == 1000 and wnids == sorted(wnids)
    assert sum(map(int, heads.imagenet("imagenet_r"))) == sum(map(int, heads.imagenet("imagenet_a"))) == 200
    objectnet = heads.imagenet("objectnet")
    assert (len(set(objectnet) - {""}), len(list(filter(None, objectnet)))) == (113, 125)
    names, group = heads.imagenet_groups("geirhos16")
    assert len(names) == 16 and names[0] == "airplane" and (group >= 0).sum() == 207
    with heads.TABLE.open(newline="") as file:
        assert [int(row["index"]) for row in csv.DictReader(file)] == list(range(1000))
    with pytest.raises(checks.UnknownNameError, match="did you mean geirhos16"):
        heads.imagenet("geirhos")
