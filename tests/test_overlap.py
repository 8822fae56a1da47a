"""Overlap of encoded concepts: exclusive regions against set algebra, and the paper's numbers."""

from itertools import combinations

import numpy as np
import pytest

from featurelens import overlap
from featurelens.checks import UnknownNameError
from featurelens.overlap import Overlap


def draw(seed, models=4, concepts=60):
    generator = np.random.default_rng(seed)
    names = [f"concept {t}" for t in range(concepts)]
    return {f"m{m}": {name for name in names if generator.random() < 0.4} for m in range(models)}


@pytest.mark.parametrize("seed", range(5))
def test_regions_are_what_set_algebra_says(seed):
    encoded = draw(seed)
    found = Overlap.of(encoded)
    for size in range(1, 5):
        for inside in combinations(encoded, size):
            others = set().union(*(encoded[m] for m in encoded if m not in inside))
            expected = len(set.intersection(*(encoded[m] for m in inside)) - others)
            assert found.regions.get(frozenset(inside), 0) == expected
    assert found.union == len(set().union(*encoded.values()))
    assert found.totals == {model: len(names) for model, names in encoded.items()}
    alone = {m: names - set().union(*(encoded[o] for o in encoded if o != m)) for m, names in encoded.items()}
    assert found.unique == {model: len(names) for model, names in alone.items()}


def test_regions_are_sorted_and_empty_ones_are_not_listed():
    found = Overlap.of({"a": {"x", "y", "z"}, "b": {"z", "u"}, "c": {"z", "u", "v", "w"}})
    assert [(set(region), n) for region, n in found.regions.items()] == [
        ({"a"}, 2),
        ({"c"}, 2),
        ({"b", "c"}, 1),
        ({"a", "b", "c"}, 1),
    ]
    assert found.unique["b"] == 0


def test_both_ways_of_making_one_agree():
    encoded = draw(7)
    found = Overlap.of(encoded)
    shuffled = dict(reversed(found.regions.items())) | {frozenset(["m0", "m1", "m2", "m3"]): 0}
    whole = found.regions.get(frozenset(encoded), 0)
    again = Overlap.of_counts(encoded, shuffled | {frozenset(encoded): whole})
    assert again == found and list(again.regions) == list(found.regions)


def test_a_repeated_name_counts_once_and_a_model_may_encode_nothing():
    found = Overlap.of({"a": ["x", "x"], "b": []})
    assert found.totals == {"a": 1, "b": 0} and found.union == 1
    assert Overlap.of({"a": []}).union == 0 and len(Overlap.of({"a": []}).table()) == 0


def test_table_is_tidy():
    table = Overlap.of({"a": {"x", "y"}, "b": {"y"}, "c": set()}).table()
    assert list(table.columns) == ["a", "b", "c", "degree", "count"]
    assert table.to_numpy().tolist() == [[True, False, False, 1, 1], [True, True, False, 2, 1]]


@pytest.mark.parametrize(
    ("models", "counts", "error", "message"),
    [
        ([], {}, ValueError, "expected at least 1 model to compare, found 0"),
        (["a", "a"], {}, ValueError, "expected different models, found a, a"),
        (["a"], {frozenset(["a"]): -1}, ValueError, "a: expected a number of concepts, found -1"),
        (["a"], {frozenset(["a"]): 1.5}, ValueError, "found 1.5"),
        (["a"], {frozenset(["a"]): float("nan")}, ValueError, "found nan"),
        (["a"], {frozenset(): 3}, ValueError, "regions of at least 1 model, found one of 0"),
        (
            ["zero-shot"],
            {frozenset(["zero-shoot"]): 3},
            UnknownNameError,
            "'zero-shoot': did you mean zero-shot",
        ),
    ],
)
def test_bad_input_is_one_line(models, counts, error, message):
    with pytest.raises(error, match=message) as caught:
        Overlap.of_counts(models, counts)
    assert "\n" not in str(caught.value)


def test_a_text_is_no_set_of_names():
    with pytest.raises(ValueError, match="a: expected a set of concept names, found the text 'red'"):
        Overlap.of({"a": "red"})
    with pytest.raises(ValueError, match="at least 1 model"):
        Overlap.of({})


@pytest.mark.parametrize(
    ("backbone", "totals", "unique", "union"),
    [
        ("RN50", (507, 311, 418), (105, 8, 51), 577),
        ("RN101", (489, 323, 397), (101, 13, 30), 558),
        ("ViT-B/16", (702, 555, 635), (77, 4, 31), 744),
        ("ViT-B/32", (689, 557, 559), (91, 6, 9), 708),
    ],
)
def test_the_papers_numbers(backbone, totals, unique, union):
    cited = overlap.paper()[backbone]
    models = ("zero-shot", "finetuned", "supervised")
    assert cited.models == models and len(cited.regions) == 7 and cited.union == union
    assert cited.totals == dict(zip(models, totals, strict=True))
    assert cited.unique == dict(zip(models, unique, strict=True))
