"""Figures of chapter 4: what they draw is what the table holds."""

import pandas as pd
import pytest
from looks import drawn, key, near, ticks, titles
from matplotlib.colors import to_hex

from featurelens import plots
from featurelens.figures import concepts as figures

PANELS = {"v": "ViTs", "r": "ResNets"}


def marks(ax):
    """Marks of each collection of a panel."""
    return [[tuple(map(float, xy)) for xy in each.get_offsets()] for each in ax.collections]


def colours(collection):
    return [to_hex(face).upper() for face in collection.get_facecolor()]


@pytest.fixture
def swept():
    """Two networks a regime, two thresholds, all six regimes in the reverse of the book's order."""
    return pd.DataFrame(
        [
            {"regime": regime, "b": b, "threshold": t, "count": 10.0 * i + size + shift - 8 * t}
            for i, regime in enumerate(reversed(plots.COLOURS))
            for b, size in (("r", 0), ("v", 100))
            for t in (0.5, 0.75)
            for shift in (6, 8)
        ]
    )


def test_sweep_draws_mean_and_range_of_every_regime(swept):
    figure = drawn(figures.sweep(swept, PANELS, "b"))
    assert titles(figure) == ["ViTs", "ResNets"]
    for ax, size in zip(figure.axes, (100, 0), strict=True):
        assert [line.get_label() for line in ax.lines] == list(plots.COLOURS)
        for line, band, i in zip(ax.lines, ax.collections, range(5, -1, -1), strict=True):
            start = 10 * i + size
            assert list(line.get_xdata()) == [0.5, 0.75]
            assert list(line.get_ydata()) == [start + 3, start + 1]
            corners = {tuple(map(float, xy)) for xy in band.get_paths()[0].vertices}
            assert corners == {
                (0.5, start + 2),
                (0.5, start + 4),
                (0.75, start),
                (0.75, start + 2),
            }
            assert line.get_color() == plots.COLOURS[line.get_label()]
            assert colours(band) == [line.get_color()]
        assert len({str(line._unscaled_dash_pattern) for line in ax.lines}) == 6, "no two dashes alike"
    assert key(figure) == list(plots.COLOURS)
    assert figure.axes[0].get_ylim()[0] == 0


def test_sweep_leaves_out_regimes_that_are_not_there(swept):
    figure = drawn(figures.sweep(swept[swept["regime"] == "finetuned"], PANELS, "b"))
    assert key(figure) == ["finetuned"]
    assert figure.axes[1].lines[0].get_color() == plots.COLOURS["finetuned"]


def test_kinds_mark_each_network_on_the_row_of_its_regime():
    table = pd.DataFrame(
        [
            ("supervised", "features", 9, "r"),
            ("supervised", "right singular vectors", 5, "r"),
            ("supervised", "random", 3.5, "r"),
            ("clip-web", "features", 20, "r"),
            ("clip-web", "features", 22, "r"),
            ("clip-web", "random", 4, "v"),
        ],
        columns=["regime", "kind", "count", "b"],
    )
    figure = drawn(figures.kinds(table, PANELS, "b", total=50))
    vits, resnets = figure.axes
    assert titles(figure) == ["ViTs", "ResNets"]
    assert marks(resnets) == [
        near([(9, 0.78), (20, -0.22), (22, -0.22)]),
        near([(5, 1)]),
        near([(3.5, 1.22)]),
    ]
    assert marks(vits) == [[], [], near([(4, 0.22)])]
    assert ticks(vits.yaxis) == ["clip-web", "supervised"] and list(vits.get_yticks()) == [0, 1]
    assert key(figure) == ["coordinates", "right singular vectors", "random directions"]
    assert len({colours(each)[0] for each in resnets.collections}) == 3
    for ax in figure.axes:
        assert ax.get_xlabel() == "encoded concepts, of 50"
        assert ax.get_ylim() == (1.5, -0.5) and ax.get_xlim()[0] == -0.5


def test_categories_have_a_panel_each_in_the_order_asked():
    table = pd.DataFrame(
        [
            ("random-init", "color", 0.7),
            ("clip-web", "color", 0.9),
            ("clip-web", "part", 0.8),
            ("clip-web", "scene", 0.6),
        ],
        columns=["regime", "category", "ap"],
    )
    figure = drawn(figures.categories(table, ["part", "color"]))
    part, color = figure.axes
    assert titles(figure) == ["part", "color"]
    assert marks(part) == [near([(0.8, 0)])] and marks(color) == [near([(0.7, 1), (0.9, 0)])]
    assert colours(color.collections[0]) == [plots.COLOURS["random-init"], plots.COLOURS["clip-web"]]
    assert ticks(part.yaxis) == ["clip-web", "random-init"]
    for ax in figure.axes:
        assert ax.get_xlim() == (0.55, 1) and ax.get_ylim() == (1.5, -0.5)
    assert "average precision of the best coordinate" in figure._supxlabel.get_text()


def test_against_robustness_draws_each_network_in_each_panel():
    table = pd.DataFrame(
        [
            ("finetuned", "resnet", 12, 1.5, -3.0),
            ("clip-web", "resnet", 20, 4.0, 2.0),
            ("clip-web", "vit", 25, 5.0, 3.0),
        ],
        columns=["regime", "backbone", "count", "sketch", "texture"],
    )
    figure = drawn(figures.against_robustness(table, {"texture": "Texture", "sketch": "Sketch"}))
    assert titles(figure) == ["Texture", "Sketch"]
    for ax, column in zip(figure.axes, ("texture", "sketch"), strict=True):
        found = [
            (*map(float, xy), colours(each)[0], len(each.get_paths()[0].vertices) > 10)
            for each in ax.collections
            for xy in each.get_offsets()
        ]
        expected = [
            (x, y, plots.COLOURS[regime], backbone == "resnet")  # ResNets round, ViTs with corners
            for x, y, regime, backbone in zip(
                table[column], table["count"], table["regime"], table["backbone"], strict=True
            )
        ]
        assert sorted(found) == sorted(expected)
        assert ax.get_ylim()[0] == 0
    assert key(figure) == ["clip-web", "finetuned"]


@pytest.fixture
def detected():
    """Two sets: three concepts of two categories, and one concept; every kind, in no order."""
    ap = {"big_cat": 0.7, "dog": 0.95, "blue": 0.8, "road": 0.85}
    category = {"big_cat": "object", "dog": "object", "blue": "color", "road": "object"}
    minus = {"features": 0, "right singular vectors": 0.1, "random": 0.15}
    rows = [
        {
            "set": "CamVid" if concept == "road" else "PACS",
            "concept": concept,
            "category": category[concept],
            "kind": kind,
            "ap": ap[concept] - less,
            "luck": ap[concept] - 0.05 if kind == "features" else float("nan"),
        }
        for kind, less in minus.items()
        for concept in ap
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=1)


def test_probed_sorts_concepts_by_category_and_precision(detected):
    figure = drawn(figures.probed(detected, {"CamVid": "Town", "PACS": "Styles"}, threshold=0.9))
    town, styles = figure.axes
    assert titles(figure) == ["Town", "Styles"]
    assert ticks(town.yaxis) == ["road"] and ticks(styles.yaxis) == ["blue", "big cat", "dog"]
    best = [0.8, 0.7, 0.95]
    features, luck, right, random = marks(styles)
    for found, less in ((features, 0), (luck, 0.05), (right, 0.1), (random, 0.15)):
        assert found == near([(ap - less, y) for y, ap in enumerate(best)])
    assert marks(town) == [near([(0.85 - less, 0)]) for less in (0, 0.05, 0.1, 0.15)]
    assert key(figure) == ["coordinates", "luck, 95 %", "right singular vectors", "random directions"]
    for ax in figure.axes:
        assert list(ax.lines[0].get_xdata()) == [0.9, 0.9] and ax.lines[0].get_ls() == "--"
        # One scale for both panels: a row is as high in each.
        assert ax.get_xlim() == (0.5, 1.02) and ax.get_ylim() == (-0.7, 2.7)


def test_probed_draws_one_set_too(detected):
    [ax] = drawn(figures.probed(detected, {"PACS": "Styles"}, threshold=0.8)).axes
    assert ticks(ax.yaxis) == ["blue", "big cat", "dog"] and list(ax.lines[0].get_xdata()) == [0.8, 0.8]
