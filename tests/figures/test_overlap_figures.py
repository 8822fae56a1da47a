"""Figure of overlaps: bars, dots and notes say what the regions are; nothing lies on anything else."""

import matplotlib as mpl
import pytest
from matplotlib.text import Text

from featurelens import overlap, plots
from featurelens.figures import overlap as figures
from featurelens.overlap import Overlap


@pytest.fixture(autouse=True)
def book_style():
    with mpl.rc_context():
        plots.use_style()
        yield


def drawn(figure):
    figure.draw_without_rendering()
    return figure


def many(models=5):
    names = [f"model {m}" for m in range(models)]
    sets = {frozenset(n for m, n in enumerate(names) if bits >> m & 1): bits for bits in range(1, 2**models)}
    return Overlap.of_counts(names, sets)


def panel(figure, title):
    return next(ax for ax in figure.axes if ax.get_title(loc="left") == title)


def numbers(ax):
    return [int(text.get_text()) for text in ax.texts if text.get_text()]


def boxes(figure):
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    return [(text.get_text(), text.get_window_extent()) for text in texts]


def test_bars_carry_the_counts_in_order_of_degree_and_size():
    cited = overlap.paper()
    figure = drawn(figures.upset(cited))
    for backbone, each in cited.items():
        ax = panel(figure, backbone)
        assert numbers(ax) == [bar.get_height() for bar in ax.patches] == list(each.regions.values())
        assert ax.get_title(loc="right") == f"{each.union} concepts"
    # One scale for all panels, so that heights compare.
    assert len({panel(figure, backbone).get_ylim() for backbone in cited}) == 1


def test_totals_stand_at_the_left():
    cited = {"RN50": overlap.paper()["RN50"]}
    totals = drawn(figures.upset(cited)).axes[2]
    assert numbers(totals) == [507, 311, 418] == [bar.get_width() for bar in totals.patches]


def test_dots_are_dark_where_a_model_is_in_the_region():
    each = Overlap.of({"a": {"x", "y"}, "b": {"y", "z"}})
    dots = drawn(figures.upset({"both": each}, {"a": "#111111", "b": "#222222"})).axes[3]
    dark = {
        (line.get_xdata()[0], line.get_ydata()[0]): line.get_color() != figures.ABSENT
        for line in dots.lines
        if line.get_marker() == "o"
    }
    expected = {(x, y): m in region for x, region in enumerate(each.regions) for y, m in enumerate("ab")}
    assert dark == expected
    assert [label.get_text() for label in dots.get_yticklabels()] == ["a", "b"]


def test_only_the_largest_regions_are_drawn_and_the_rest_is_counted():
    each = many()
    ax = panel(drawn(figures.upset({"five": each})), "five")
    assert sorted(numbers(ax)) == list(range(20, 32))
    rest = sum(range(1, 20))
    assert ax.get_title(loc="right") == f"{each.union} concepts, {rest} in 19 regions left out"


@pytest.mark.parametrize("case", ["paper", "five", "mixed"])
def test_no_text_lies_on_another_or_outside(case):
    cases = {"paper": overlap.paper(), "five": {"ResNet": many(), "ViT": many()}}
    cases["mixed"] = {"one": Overlap.of({"a": {"x"}}), "two": Overlap.of({"a": {"x"}, "b": {"y"}})}
    figure = drawn(figures.upset(cases[case]))
    found = boxes(figure)
    for n, (text, box) in enumerate(found):
        assert box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1, text
        assert not [other for other, around in found[n + 1 :] if box.overlaps(around)], text


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="found 0"):
        figures.upset({})
    with pytest.raises(ValueError, match="expected overlaps with concepts, empty: b"):
        figures.upset({"a": many(2), "b": Overlap.of({"a": []})})
