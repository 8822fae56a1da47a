"""Figures of chapter 3: what they draw is what the table holds."""

import pandas as pd
import pytest
from looks import drawn, near, texts, ticks, titles
from matplotlib.colors import to_hex

from featurelens import plots
from featurelens.figures import directions as figures


def lines(ax):
    """Labelled lines of a panel: label -> (x, y)."""
    return {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata()))
        for line in ax.lines
        if not line.get_label().startswith("_")
    }


def marks(ax):
    """Marks of a panel by label; those without a label together under None."""
    found = {}
    for each in ax.collections:
        label = each.get_label()
        name = None if label.startswith("_") else label
        found.setdefault(name, []).extend(tuple(map(float, xy)) for xy in each.get_offsets())
    return found


def test_spectra_draw_each_variant_of_each_head_in_per_cent():
    shares = {"as it is": [0.6, 0.3, 0.1], "centred": [0.5, 0.4, 0.1], "random": [0.4, 0.35, 0.25]}
    rows = [
        {"name": name, "variant": variant, "k": k, "share": share / factor}
        for name, factor in (("a", 1), ("b", 2))
        for variant, values in shares.items()
        for k, share in enumerate(values, start=1)
    ]
    figure = drawn(figures.spectra(pd.DataFrame(rows), {"b": "second", "a": "first"}, note="a note"))
    assert titles(figure) == ["second", "first"]
    for ax, factor in zip(figure.axes, (2, 1), strict=True):
        found = lines(ax)
        assert list(found) == list(shares)
        for variant, values in shares.items():
            assert found[variant][0] == [1, 2, 3]
            assert found[variant][1] == pytest.approx([100 * share / factor for share in values])
        assert len({(line.get_color(), line.get_ls()) for line in ax.lines}) == 3
        assert (ax.get_xscale(), ax.get_yscale(), ax.get_ylim()) == ("log", "log", (0.01, 30))
    legend = figure.axes[-1].get_legend()
    assert texts(legend) == list(shares) and legend.get_title().get_text() == "a note"


def test_spectra_leave_out_directions_without_strength():
    table = pd.DataFrame({"name": "a", "variant": "centred", "k": [1, 2, 3], "share": [0.8, 0.2, 0.0]})
    figure = drawn(figures.spectra(pd.concat([table, table.assign(name="b")]), {"a": "A", "b": "B"}))
    assert lines(figure.axes[0])["centred"] == ([1, 2], pytest.approx([80, 20]))


def test_overlap_draws_a_stick_a_direction_and_names_those_over_a_half():
    table = pd.DataFrame(
        {
            "k": [1, 200, 300, 1, 200],
            "overlap": [0.3, 0.912, 0.75, 0.02, 0.5],
            "variant": ["as it is"] * 3 + ["rotated"] * 2,
        }
    )
    figure = drawn(figures.overlap(table, chance=0.05, coordinates="4 and 9"))
    assert titles(figure) == ["as it is", "rotated"]
    for ax in figure.axes:
        rows = table[table["variant"] == ax.get_title()]
        [sticks] = ax.collections
        found = [[tuple(map(float, xy)) for xy in stick] for stick in sticks.get_segments()]
        pairs = zip(rows["k"], rows["overlap"], strict=True)
        assert found == [near([(k, 0), (k, 100 * share)]) for k, share in pairs]
        [line] = ax.lines
        assert list(line.get_ydata()) == pytest.approx([5, 5])
        assert ax.get_ylim() == (0, 108)
    left = {text.get_text(): (text.xy, text.get_ha()) for text in figure.axes[0].texts}
    assert left == {
        "direction 200: 91 %": ((200, pytest.approx(91.2)), "left"),
        "direction 300: 75 %": ((300, 75), "right"),  # else it would run out of the panel
    }
    assert not figure.axes[1].texts
    assert figure.axes[0].get_ylabel() == "length in coordinates 4 and 9 (%)"


def test_importance_marks_each_variant_on_the_row_of_its_head():
    variants = ["as it is", "centred", "rotated head", "random head"]
    rows = [
        {"name": name, "variant": variant, "top_share": 0.01 * (10 * i + j + 1)}
        for i, name in enumerate("abc")
        for j, variant in enumerate(variants)
    ]
    figure = drawn(figures.importance(pd.DataFrame(rows[::-1]), {"c": "third", "a": "first"}))
    [ax] = figure.axes
    assert ticks(ax.yaxis) == ["third", "first"] and list(ax.get_yticks()) == [0, 1]
    top, bottom = ax.get_ylim()[::-1]
    assert top < 0 and bottom > 1, "the first head is at the top"
    assert marks(ax) == {v: near([(21 + j, 0), (1 + j, 1)]) for j, v in enumerate(variants)}
    assert texts(figure.legends[0]) == variants
    assert ax.get_xscale() == "log" and ax.get_xlim() == (0.2, 100)
    assert ticks(ax.xaxis) == ["0.2", "0.5", "1", "2", "5", "10", "20", "50", "100"]


def test_pruning_draws_a_line_an_order_and_a_panel_a_bundle():
    rows = [
        {"head": head, "order": order, "k": k, "accuracy": 0.001 * (last + 100 * k + j)}
        for head, last in (("x", 4), ("y", 6))
        for j, order in enumerate(figures.ORDERS)
        for k in range(last + 1)
    ]
    table = pd.DataFrame(rows).sample(frac=1, random_state=0).sort_values("k")
    figure = drawn(figures.pruning(table, {"y": "wide", "x": "narrow"}, by="head"))
    assert titles(figure) == ["wide", "narrow"]
    for ax, last in zip(figure.axes, (6, 4), strict=True):
        found = lines(ax)
        assert list(found) == list(figures.ORDERS)
        for j, order in enumerate(figures.ORDERS):
            y = [0.1 * (last + 100 * k + j) for k in range(last + 1)]
            assert found[order] == (list(range(last + 1)), pytest.approx(y))
        assert ax.get_xlim() == (0, last) and ax.get_ylim()[0] == 0
    assert texts(figure.legends[0]) == list(figures.ORDERS)
    looks = {(line.get_color(), line.get_ls()) for line in figure.axes[0].lines}
    assert len(looks) == len(figures.ORDERS), "no two orders look alike"


def test_one_bundle_is_one_panel():
    table = pd.DataFrame({"head": "x", "order": "importance", "k": [1, 2], "accuracy": [0.2, 0.4]})
    [ax] = drawn(figures.pruning(table, {"x": "only"}, by="head")).axes
    assert lines(ax)["importance"] == ([1, 2], pytest.approx([20, 40]))


def test_by_class_count_draws_each_task_in_each_panel():
    table = pd.DataFrame(
        {
            "task": ["groups", "subset", "groups", "subset"],
            "classes": [10, 10, 100, 100],
            "one": [0.9, 0.8, 0.5, 0.4],
            "two": [0.95, 0.85, 0.65, 0.55],
        }
    )
    figure = drawn(figures.by_class_count(table, {"two": "loses two", "one": "loses one"}))
    assert titles(figure) == ["loses two", "loses one"]
    first, second = (lines(ax) for ax in figure.axes)
    assert first == {
        "groups": ([10, 100], pytest.approx([95, 65])),
        "subset": ([10, 100], pytest.approx([85, 55])),
    }
    assert second["subset"] == ([10, 100], pytest.approx([80, 40]))
    assert texts(figure.legends[0]) == ["groups", "subset"]
    for ax in figure.axes:
        assert ticks(ax.xaxis) == ["10", "100"]
        assert [list(line.get_ydata()) for line in ax.lines if line.get_ls() == "--"] == [[80, 80]]


def test_regimes_draw_every_network_in_the_colour_of_its_regime():
    table = pd.DataFrame(
        [("supervised", "resnet", 0.2, 0.5), ("clip-web", "vit", 0.3, 0.6), ("clip-web", "resnet", 0.4, 0.7)],
        columns=["regime", "backbone", "p", "q"],
    )
    figure = drawn(figures.regimes(table, {"p": "first", "q": "second"}, "share (%)", floor=0.125))
    assert titles(figure) == ["first", "second"]
    # The order of the regimes is that of the book's colours, not of the table.
    assert ticks(figure.axes[0].yaxis) == ["clip-web", "supervised"]
    for ax, column in zip(figure.axes, "pq", strict=True):
        resnets, vits = ax.collections[:2]
        a, b, c = 100 * table[column]
        assert [tuple(xy) for xy in resnets.get_offsets()] == near([(a, 0.87), (c, -0.13)])
        assert [tuple(xy) for xy in vits.get_offsets()] == near([(b, 0.13)])
        colours = [to_hex(face).upper() for face in resnets.get_facecolor()]
        assert colours == [plots.COLOURS["supervised"], plots.COLOURS["clip-web"]]
        assert list(ax.lines[0].get_xdata()) == [12.5, 12.5] and ax.lines[0].get_ls() == "--"
        assert ax.get_ylim() == (1.5, -0.5) and ax.get_xlim()[0] == 0 and ax.get_xlabel() == "share (%)"
    assert texts(figure.axes[-1].get_legend()) == ["ResNet", "ViT"]


def test_along_k_draws_mean_and_range_of_each_regime():
    values = {("clip-web", "u"): ([1, 2, 6], [2, 4, 6]), ("finetuned", "u"): ([5, 5, 5], [7, 8, 9])}
    values |= {(regime, "v"): ([0, 1, 2], [3, 3, 6]) for regime in ("clip-web", "finetuned")}
    rows = [
        {"regime": regime, "panel": panel, "k": k, "loss": value}
        for (regime, panel), by_k in values.items()
        for k, networks in zip((1, 4), by_k, strict=True)
        for value in networks
    ]
    rows.append({"regime": "finetuned", "panel": "v", "k": 5, "loss": float("nan")})  # nothing to draw there
    figure = drawn(figures.along_k(pd.DataFrame(rows), {"u": "U", "v": "V"}, "loss", "what is lost"))
    assert titles(figure) == ["U", "V"] and figure.axes[0].get_ylabel() == "what is lost"
    assert lines(figure.axes[0]) == {"clip-web": ([1, 4], [3, 4]), "finetuned": ([1, 4], [5, 8])}
    assert lines(figure.axes[1]) == dict.fromkeys(["clip-web", "finetuned"], ([1, 4], [1, 4]))
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    assert {tuple(map(float, xy)) for xy in band} == {(1, 1), (1, 6), (4, 2), (4, 6)}
    assert [ax.get_xlim() for ax in figure.axes] == [(0, 4), (0, 5)]
    assert list(figure.axes[1].get_xticks()) == [0, 2, 4]
    assert texts(figure.legends[0]) == ["clip-web", "finetuned"]
    assert figure.axes[0].lines[1].get_color() == plots.COLOURS["finetuned"]
