"""Figures of chapter 7: what they draw is what the table holds."""

import numpy as np
import pandas as pd
import pytest
from looks import drawn, key, texts, ticks, titles

from featurelens.figures import samplesize as figures

SIZES = [2, 20, 200]


@pytest.fixture
def table():
    rows = [
        {"name": name, "n": n, "kurtosis_low": 1 - 1 / n, "kurtosis_high": 1 + 1 / n, "share_low": 0.9}
        | {"share_high": 1 + at, "same": 1 - at / n, "student": 0.95, "percentile": 0.5 + at, "bca": 0.6}
        for at, name in ((0.1, "a"), (0.3, "b"))
        for n in SIZES
    ]
    return pd.DataFrame(rows)


def test_sizes_draw_both_ends_of_each_set(table):
    figure = drawn(figures.sizes(table, {"b": "second", "a": "first"}))
    assert [len(ax.lines) for ax in figure.axes] == [4, 4, 2]
    assert key(figure) == ["second", "first"]
    low, high = (line.get_ydata() for line in figure.axes[0].lines[:2])
    assert low == pytest.approx(1 - 1 / np.array(SIZES)) and high == pytest.approx(1 + 1 / np.array(SIZES))
    assert figure.axes[1].lines[1].get_ydata() == pytest.approx(1.3)
    assert figure.axes[2].lines[0].get_ydata() == pytest.approx(100 * (1 - 0.3 / np.array(SIZES)))
    assert ticks(figure.axes[0].xaxis) == ["2", "20", "200"]


def test_sizes_leave_out_what_has_no_label(table):
    figure = drawn(figures.sizes(table, {"a": "first"}))
    assert [len(ax.lines) for ax in figure.axes] == [2, 2, 1]


def test_coverage_draws_a_panel_for_each_kind_of_interval(table):
    figure = drawn(figures.coverage(table))
    assert titles(figure) == ["Student's t", "bootstrap, percentile", "bootstrap, BCa"]
    drawn_at = [[set(np.round(line.get_ydata(), 6)) for line in ax.lines] for ax in figure.axes]
    assert drawn_at == [[{95}, {95}], [{60}, {80}], [{60}, {60}]]


def test_variety_marks_groups_and_those_with_other_outliers():
    shared = {"name": "e", "pool_kurtosis": 4.0, "mixed_low": 3.0, "mixed_high": 5.0, "mixed_share": 0.1}
    groups = [("style", 8.0, 0.8, "3"), ("style", 2.0, 0.2, "none"), ("class", 4.0, 0.1, "none")]
    table = pd.DataFrame(
        [
            {
                **shared,
                "kind": kind,
                "kurtosis": k,
                "share": share,
                "outliers": named,
                "pool_outliers": "none",
            }
            for kind, k, share, named in groups
        ]
    )
    labels = {("e", "class"): "one class", ("e", "style"): "one style"}
    figure = drawn(figures.variety(table, labels))
    left, right = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == ["one class", "one style"]
    points = [
        sorted(map(tuple, np.vstack([c.get_offsets() for c in ax.collections]))) for ax in (left, right)
    ]
    assert points[0] == [(0.5, 1), (1, 0), (2, 1)]
    assert points[1] == [pytest.approx(each) for each in [(10, 0), (20, 1), (80, 1)]]
    odd = [
        c.get_offsets().tolist() for c in left.collections if c.get_sizes()[0] > 40 and len(c.get_offsets())
    ]
    assert odd == [[[2, 1]]]
    assert [(bar.get_x(), bar.get_width()) for bar in left.patches] == [(0.75, 0.5)] * 2
    assert [bar.get_width() for bar in right.patches] == pytest.approx([10, 10])
    assert texts(figure.legends[0]) == [
        "one kind",
        "one kind, other outlier coordinates",
        "95 % of mixed samples",
    ]
