"""Figures of the sweep of chapter 5: what they draw is what the table holds."""

import pandas as pd
import pytest
from looks import drawn, key, ticks, titles
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex

from featurelens.figures import sweep as figures

FACTORS = {"batch": "batch size", "data": "pictures", "scale": "logit scale"}


def marks(ax):
    """x, y and colour of every mark of a panel."""
    return sorted(
        (*map(float, xy), to_hex(each.get_facecolor()[0]).upper())
        for each in ax.collections
        if isinstance(each, PathCollection)
        for xy in each.get_offsets()
    )


def intervals(ax):
    """y, left and right end of every horizontal line of a panel."""
    lines = [each for each in ax.collections if isinstance(each, LineCollection)]
    ends = [segment for each in lines for segment in each.get_segments()]
    assert all(y == y_end for (_, y), (_, y_end) in ends)
    return sorted((float(y), float(low), float(high)) for (low, y), (high, _) in ends)


@pytest.fixture
def effect():
    """Effects in powers of two, in another order than the rows: up, down, and one that may be nothing."""
    return pd.DataFrame(
        [("scale", 2.0, 1.0, 3.0), ("batch", -1.0, -2.0, -0.5), ("data", 1.0, -1.0, 3.0), ("else", 9, 8, 10)],
        columns=["factor", "effect", "low", "high"],
    )


def test_effects_are_ratios_with_their_intervals(effect):
    opposite = effect.assign(effect=-effect["effect"], low=-effect["high"], high=-effect["low"])
    figure = drawn(figures.effects({"Kurtosis": effect, "Gap": opposite}, FACTORS))
    assert titles(figure) == ["Kurtosis", "Gap"]
    kurtosis, gap = figure.axes
    assert intervals(kurtosis) == [
        (0, pytest.approx(0.25), pytest.approx(2**-0.5)),
        (1, pytest.approx(0.5), pytest.approx(8)),
        (2, pytest.approx(2), pytest.approx(8)),
    ]
    assert intervals(gap)[2] == (2, pytest.approx(1 / 8), pytest.approx(1 / 2))
    full = marks(kurtosis)[0][2]
    assert full != "#FFFFFF"
    assert marks(kurtosis) == [(0.5, 0, full), (2, 1, "#FFFFFF"), (4, 2, full)]
    assert marks(gap) == [(0.25, 2, full), (0.5, 1, "#FFFFFF"), (2, 0, full)]
    assert ticks(kurtosis.yaxis) == list(FACTORS.values()) and list(kurtosis.get_yticks()) == [0, 1, 2]
    for ax in figure.axes:
        assert list(ax.lines[0].get_xdata()) == [1, 1]
        assert ax.get_ylim() == (2.5, -0.5), "the first factor on top"
    assert "times as large" in figure._supxlabel.get_text()


def test_an_interval_that_ends_at_one_does_not_leave_it_out(effect):
    [ax] = drawn(figures.effects({"Gap": effect.assign(low=0.0)}, {"scale": "logit scale"})).axes
    assert marks(ax) == [(4, 0, "#FFFFFF")]


@pytest.mark.parametrize("factors", [["batch", "scale"], ["data"]])
def test_effects_that_are_all_clear_or_all_unclear(effect, factors):
    [ax] = drawn(figures.effects({"Gap": effect}, {name: FACTORS[name] for name in factors})).axes
    assert len(marks(ax)) == len(intervals(ax)) == len(factors)
    assert len({colour for *_, colour in marks(ax)}) == 1


def test_effects_name_a_factor_that_is_not_there(effect):
    with pytest.raises(KeyError, match="absent"):
        figures.effects({"Gap": effect}, {"batch": "batch size", "absent": "?"})


@pytest.fixture
def ends():
    return pd.DataFrame(
        [
            ("one-lamb-s0", 6.0, 0.9),
            ("one-centre-s1", 12.0, 0.4),
            ("one-centre-s0", 10.0, 0.5),
            ("one-sgd-s0", 3.0, 0.7),
            ("one-centre-s2", 11.0, 0.45),
            ("screen-00-s0", 99.0, 9.0),
        ],
        columns=["name", "kurtosis", "gap"],
    )


CHANGES = {"one-sgd-s0": "SGD", "one-lamb-s0": "LAMB"}


def test_one_at_a_time_marks_runs_beside_the_stripe_of_the_centre(ends):
    figure = drawn(figures.one_at_a_time(ends, {"gap": "Gap", "kurtosis": "Kurtosis"}, CHANGES))
    assert titles(figure) == ["Gap", "Kurtosis"]
    expected = (([(0.7, 0), (0.9, 1)], (0.4, 0.5)), ([(3, 0), (6, 1)], (10, 12)))
    for ax, (found, stripe) in zip(figure.axes, expected, strict=True):
        assert [(x, y) for x, y, _ in marks(ax)] == sorted(found)
        [grey] = ax.patches
        box = grey.get_bbox()
        assert (box.x0, box.x1) == pytest.approx(stripe) and (box.y0, box.y1) == (0, 1)
        assert to_hex(grey.get_facecolor()) == figures.CENTRE
        assert ax.get_ylim() == (1.5, -0.5), "the first change on top"
        assert ax.get_xlim()[0] < min(stripe[0], found[0][0])
        assert ax.get_xlim()[1] > max(stripe[1], found[1][0])
    assert ticks(figure.axes[0].yaxis) == ["SGD", "LAMB"] and list(figure.axes[0].get_yticks()) == [0, 1]


def test_one_at_a_time_without_a_centre_draws_the_runs(ends):
    runs = ends[ends["name"].isin(CHANGES)]
    [ax] = drawn(figures.one_at_a_time(runs, {"gap": "Gap"}, CHANGES)).axes
    assert [(x, y) for x, y, _ in marks(ax)] == [(0.7, 0), (0.9, 1)]


def test_one_at_a_time_names_a_run_that_is_not_there(ends):
    with pytest.raises(KeyError, match="one-lamb-s0"):
        figures.one_at_a_time(ends[ends["name"] != "one-lamb-s0"], {"gap": "Gap"}, CHANGES)


@pytest.fixture
def measured():
    """Two runs measured three times, the last measurement first."""
    return pd.DataFrame(
        [
            {"name": name, "step": step, "image": size * step, "text": step - size, "gap": step / 100}
            for name, size in (("b", 3.0), ("a", 2.0), ("unasked", 50.0))
            for step in (20, 10, 0)
        ]
    )


def test_trajectories_draw_a_line_a_run_in_the_order_of_its_steps(measured):
    panels = {"text": "Captions", "image": "Images"}
    figure = drawn(figures.trajectories(measured, {"a": "first", "b": "second"}, panels))
    assert titles(figure) == ["Captions", "Images"]
    captions, images = figure.axes
    assert [list(line.get_ydata()) for line in images.lines] == [[0, 20, 40], [0, 30, 60]]
    assert [list(line.get_ydata()) for line in captions.lines] == [[-2, 8, 18], [-3, 7, 17]]
    for ax in figure.axes:
        assert [list(line.get_xdata()) for line in ax.lines] == [[0, 10, 20]] * 2
        assert [line.get_label() for line in ax.lines] == ["first", "second"]
        assert ax.get_xlabel() == "step"
    for before, after in zip(captions.lines, images.lines, strict=True):
        assert before.get_color() == after.get_color() and before.get_ls() == after.get_ls()
    assert key(figure) == ["first", "second"]
    assert captions.get_ylim() != images.get_ylim()


def test_trajectories_leave_out_no_run_and_tell_all_apart():
    runs = {name: name.upper() for name in "abcdefgh"}
    table = pd.DataFrame([(name, 0, 1.0) for name in runs], columns=["name", "step", "gap"])
    figure = drawn(figures.trajectories(table, runs, {"gap": "Gap"}))
    lines = figure.axes[0].lines
    assert key(figure) == [line.get_label() for line in lines] == list("ABCDEFGH")
    assert len({(line.get_color(), str(line._unscaled_dash_pattern)) for line in lines}) == 8


def test_trajectories_of_one_panel_and_of_a_run_without_measurements(measured):
    runs = {"a": "first", "absent": "not there"}
    figure = drawn(figures.trajectories(measured, runs, {"gap": "Gap"}))
    first, absent = figure.axes[0].lines
    assert list(first.get_ydata()) == [0, 0.1, 0.2] and list(absent.get_ydata()) == []
    drawn(figures.trajectories(measured[:0], runs, {"gap": "Gap"}))
