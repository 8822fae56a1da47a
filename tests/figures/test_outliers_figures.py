"""Figures of chapter 2: what they draw is what the table holds."""

import numpy as np
import pandas as pd
import pytest
from looks import drawn

from featurelens.figures import outliers as figures


def test_profiles_name_the_outliers():
    z = np.ones(6)
    z[4] = 14
    table = pd.concat([pd.DataFrame({"name": n, "coordinate": range(6), "z": z}) for n in "ab"])
    figure = drawn(figures.profiles(table, {"a": "first", "b": "second"}, {"a": [4], "b": []}))
    assert [[text.get_text() for text in ax.texts] for ax in figure.axes] == [["4"], []]
    assert [ax.get_title() for ax in figure.axes] == ["first", "second"]


def test_profiles_cut_off_no_panel():
    table = pd.DataFrame(
        {"name": ["a", "a", "b", "b"], "coordinate": [0, 1, 0, 1], "z": [1.0, 2.0, 1.0, 5.0]}
    )
    figure = drawn(figures.profiles(table, {"a": "first", "b": "second"}, {"a": [], "b": [1]}))
    assert all(ax.get_ylim()[0] == 0 and ax.get_ylim()[1] > 5 for ax in figure.axes)


def test_distributions_draw_one_row_a_set_in_the_order_of_the_labels():
    quantiles = {"p05": 2.0, "p25": 3.0, "p50": 4.0, "p75": 5.0, "p95": 9.0, "rotated": 3.0}
    table = pd.DataFrame(
        [
            {"name": name, "model": model, "weights": "trained", **quantiles}
            for name, model in (("x", "CLIP"), ("y", "EVA-CLIP"), ("z", "CLIP"))
        ]
    )
    [ax] = drawn(figures.distributions(table, {"y": "EVA", "x": "other"})).axes
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["EVA", "other"]
    spans = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2 and line.get_lw() < 2]
    assert [9.0 in span for span in spans].count(True) == 2
    assert ax.get_xscale() == "log"


def test_concentration_draws_per_cent():
    table = pd.DataFrame({"name": "a", "coordinates": [1, 2, 3], "share": [0.5, 0.9, 1.0]})
    [ax] = drawn(figures.concentration(table, {"a": "A"}, {"a": "#0072B2"})).axes
    assert ax.lines[0].get_ydata().tolist() == pytest.approx([50, 90, 100])


def test_accuracy_draws_each_set_in_both_panels():
    table = pd.DataFrame(
        {
            "image_set": ["p", "p", "q"],
            "accuracy": [0.8, 0.9, 0.2],
            "kurtosis": [17, 18, 16],
            "top_share": 0.1,
        }
    )
    figure = drawn(figures.accuracy(table, {"p": "photographs", "q": "edges"}))
    assert [[len(c.get_offsets()) for c in ax.collections] for ax in figure.axes] == [[2, 1], [2, 1]]
    assert figure.axes[1].collections[0].get_offsets()[0].tolist() == pytest.approx([10, 80])


@pytest.fixture
def networks():
    rows = [
        (f"{regime}-{backbone}", regime, backbone, point, 2.0 + i)
        for i, regime in enumerate(("clip-web", "supervised"))
        for backbone in ("resnet", "vit")
        for point in (("pre", "joint") if regime == "clip-web" else ("pre",))
    ]
    return pd.DataFrame(rows, columns=["model", "regime", "backbone", "point", "kurtosis"])


def test_regimes_draw_every_network(networks):
    points = {"pre": "before", "joint": "joint"}
    figure = drawn(figures.regimes(networks, points))
    counts = [sum(len(c.get_offsets()) for c in ax.collections) for ax in figure.axes]
    assert counts == [4, 2]
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["clip-web", "supervised"]


def test_training_skips_points_that_a_network_lacks():
    table = pd.DataFrame(
        {
            "model": ["a", "a", "b", "b"],
            "regime": ["clip-web", "clip-web", "supervised", "supervised"],
            "step": [0, 10, 0, 10],
            "kurtosis_pre": [3.0, 5, 3, 4],
            "kurtosis_joint": [3.0, 6, np.nan, np.nan],
        }
    )
    figure = drawn(figures.training(table, {"pre": "before", "joint": "joint"}))
    networks = [
        [line for line in ax.lines if len(line.get_xdata()) and line.get_ls() != "--"] for ax in figure.axes
    ]
    assert [len(lines) for lines in networks] == [2, 1]
    assert networks[1][0].get_ydata().tolist() == [3, 6]
