"""Widgets without a browser: a control is set, and the kernel then shows what the library computes."""

import builtins
import math
import re

import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score

from featurelens import explorers, imagesets, widgets
from featurelens.concepts import Labels
from featurelens.heads import LinearHead
from featurelens.pruning import Labelled, curves

N = 60


def features(width=12, seed=0):
    return torch.randn(N, width, generator=torch.Generator().manual_seed(seed)) + 8 * torch.eye(width)[4]


def images(n=N):
    keys = [f"picture {i}" for i in range(n)]
    return imagesets.ImageSet("own", keys, [], None, {}, lambda i: Image.new("RGB", (5, 5), (i, 0, 0)))


def shown(box):
    """Words of the output, and the pictures in it."""
    said = box.children[-1].value
    return re.sub(r"<[^>]+>", " ", said), re.findall(r'alt="([^"]+)"', said)


HEAD = LinearHead(torch.randn(6, 12, generator=torch.Generator().manual_seed(3)), None, "pre")
SETS = {
    "base": Labelled(features(), torch.arange(N) % 6),
    "shift <1>": Labelled(features(seed=5), torch.arange(N) % 6),
}


def test_pruning_follows_the_order_and_k():
    box = widgets.pruning(HEAD, SETS, features(seed=7))
    order, k, _ = box.children
    exact = curves(HEAD, SETS, features(seed=7)).set_index(["order", "draw", "image_set", "k"])["accuracy"]
    for name in widgets.ORDERS:
        order.value = name
        for at in (0, 2, 6):
            k.value = at
            said = box.children[-1].value
            assert f"{at} of 6 directions" in said and "shift &lt;1&gt;" in said
            values = re.findall(r"<td>(\d+\.\d)</td>", said)
            assert values == [f"{100 * exact[name, 0, s, n]:.1f}" for s in SETS for n in (at, 6)]


def test_kurtosis_starts_with_the_top_coordinate_and_follows_the_field():
    h = {"a": features(), "b": features(9, 1)}
    box = widgets.kurtosis(h, images())
    view, field, _ = box.children
    assert field.value == 4 and field.max == 11
    field.value = 7
    text, keys = shown(box)
    row = explorers.coordinates(h["a"]).loc[7]
    assert f"{row['share']:.3f}" in text and f"{row['leads']:.3f}" in text and row["kind"] in text
    z_N = explorers.standard_scores(h["a"])[:, 7]
    order = [*z_N.argsort(descending=True)[:8].tolist(), *z_N.argsort()[:8].tolist()]
    assert keys == [f"picture {i}" for i in order] and f"z = {z_N.max():+.1f}" in text
    field.value = 11
    view.value = "b"
    assert (field.value, field.max) == (4, 8)
    assert f"{explorers.coordinates(h['b']).loc[4, 'distance']:.3f}" in shown(box)[0]


def test_kurtosis_without_pictures():
    box = widgets.kurtosis({"a": features()})
    assert shown(box)[1] == [] and "constant offset" in shown(box)[0]


PRESENT = torch.stack([features()[:, 1] > 0, features()[:, 5] < 0.2, torch.arange(N) % 3 == 0], 1)
JUDGED = Labels(["up", "down", "third"], ["b", "a", "a"], PRESENT, torch.ones_like(PRESENT), [])


def test_concepts_show_the_best_direction_and_any_other():
    box = widgets.concepts(features(), JUDGED, images=images())
    concept, field, _ = box.children
    assert [name for name, _ in concept.options] == ["a: down", "a: third", "b: up"] and field.value == 5
    for name, k, sense in (("down", 5, -1), ("up", 1, 1)):
        concept.value = name
        assert field.value == k
        text, keys = shown(box)
        assert f"{'highest' if sense > 0 else 'lowest'} scores first: average precision 1.000" in text
        order = (sense * features()[:, k]).argsort(descending=True)[:8].tolist()
        assert keys == [f"picture {i}" for i in order] and text.count("✓ yes") == 8
        assert ("First pictures, lowest scores first" in text) == (sense < 0)
    concept.value = "third"
    field.value = 9
    score_N, present_N = features()[:, 9].numpy(), PRESENT[:, 2].numpy()
    ap = max(average_precision_score(present_N, sense * score_N) for sense in (1, -1))
    assert (
        "third, direction 9, " in shown(box)[0]
        and f"average precision {math.floor(1000 * ap) / 1000:.3f}" in shown(box)[0]
    )


def test_concepts_of_other_directions():
    box = widgets.concepts(features(), JUDGED, torch.eye(12)[:, [1, 5]])
    assert box.children[1].max == 1 and shown(box)[1] == []


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: widgets.kurtosis({}), "at least one matrix, found none"),
        (
            lambda: widgets.kurtosis({"a": features()}, images(5)),
            "a: expected features of 5 images, found 60",
        ),
        (lambda: widgets.concepts(features(), JUDGED, images=images(5)), "features of 5 images, found 60"),
        (lambda: widgets.concepts(features(), JUDGED, torch.eye(3)), "directions: expected 12 x K"),
        (lambda: widgets.pruning(HEAD, {}, features()), "at least one image set, found none"),
    ],
)
def test_bad_input_is_a_one_line_error(made, message):
    with pytest.raises(ValueError, match=message) as caught:
        made()
    assert "\n" not in str(caught.value)


def test_without_ipywidgets_one_line_says_so(monkeypatch):
    real = builtins.__import__

    def missing(name, *rest):
        if name == "ipywidgets":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(
        ModuleNotFoundError, match="widgets need ipywidgets, not found: pip install ipywidgets"
    ):
        widgets.kurtosis({"a": features()})
