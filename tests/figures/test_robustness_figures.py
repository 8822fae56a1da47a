"""Figures of chapter 1: what they draw is what the table holds."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from featurelens import robustness
from featurelens.figures import robustness as figures

LABELS = {"sketch": "Sketch", "adversarial": "Adversarial"}


@pytest.fixture
def paired():
    """Twelve baselines and two seeds of two regimes on two shifts."""
    rng = np.random.default_rng(0)
    x = np.linspace(0.5, 0.85, 12)
    rows = []
    for shift in LABELS:
        y = expit(logit(x) - 1 + 0.1 * rng.standard_normal(12))
        rows += [
            (f"base-{i}", "baseline", "supervised", shift, *pair)
            for i, pair in enumerate(zip(x, y, strict=True))
        ]
        rows += [(f"clip-{i}", "zoo", "clip-web", shift, 0.4 + i / 10, 0.6) for i in range(2)]
        rows += [(f"fine-{i}", "zoo", "finetuned", shift, 0.8, 0.5) for i in range(2)]
    return pd.DataFrame(rows, columns=["model", "kind", "regime", "shift", "acc_in", "acc_shift"])


@pytest.fixture
def fits(paired):
    rows = paired[paired["kind"] == "baseline"]
    line, bent = (rows[rows["shift"] == shift] for shift in LABELS)
    return {
        "sketch": robustness.fit_baseline(line["acc_in"], line["acc_shift"]),
        "adversarial": robustness.fit_segments(bent["acc_in"], bent["acc_shift"], 0.7),
    }


def points(ax):
    """All marked points of a panel."""
    return {tuple(np.round(xy, 6)) for each in ax.collections for xy in np.asarray(each.get_offsets())}


def test_scatter_has_a_panel_per_shift_with_every_model(paired, fits):
    figure = figures.scatter(paired, fits, LABELS, "accuracy on base")
    panels = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title(loc="left") or ax.get_title() for ax in panels] == list(LABELS.values())
    for ax, shift in zip(panels, LABELS, strict=True):
        rows = paired.loc[paired["shift"] == shift, ["acc_in", "acc_shift"]]
        assert set(map(tuple, rows.round(6).to_numpy())) <= points(ax)
        (low, high), (bottom, top) = ax.get_xlim(), ax.get_ylim()
        assert rows["acc_in"].between(low, high).all() and rows["acc_shift"].between(bottom, top).all()


def test_scatter_draws_the_fit_dashed_where_it_extrapolates(paired, fits):
    ax = figures.scatter(paired, fits, LABELS, "accuracy on base").axes[0]
    full, dashed = (
        next(line for line in ax.lines if line.get_linestyle() == style and line.get_color() == figures.LINE)
        for style in ("-", "--")
    )
    assert full.get_ydata() == pytest.approx(fits["sketch"].predict(full.get_xdata()))
    assert not fits["sketch"].extrapolates(full.get_xdata()).any()
    assert fits["sketch"].extrapolates(dashed.get_xdata()).any()


def test_legend_names_every_regime_once(paired, fits):
    figure = figures.scatter(paired, fits, LABELS, "accuracy on base")
    legend = next(ax.get_legend() for ax in figure.axes if ax.get_legend())
    names = [text.get_text() for text in legend.get_texts()]
    assert len(names) == len(set(names))
    assert {"CLIP, zero-shot", "CLIP, finetuned", "baseline models"} <= set(names)


def test_bend_marks_the_model_without_a_logit(paired, fits):
    rows = paired[(paired["shift"] == "adversarial") & (paired["kind"] == "baseline")].copy()
    rows.loc[rows["model"] == "base-6", "acc_shift"] = 0.0
    ax = figures.bend(rows, fits["adversarial"], "base-6").axes[0]
    assert any("base-6: 0 %" in text.get_text() for text in ax.texts)
    drawn = set(map(tuple, rows.loc[rows["acc_shift"] > 0, ["acc_in", "acc_shift"]].round(6).to_numpy()))
    assert drawn <= points(ax) and points(ax) - drawn <= {(0, 0)}  # a filled band's offset is the origin


def test_dots_stand_on_their_row_and_are_hollow_where_extrapolated(paired, fits):
    scored = robustness.score(paired, fits).assign(backbone="resnet")
    zoo, baselines = scored[scored["kind"] == "zoo"], scored[scored["kind"] == "baseline"]
    figure = figures.effective_robustness_dots(zoo, LABELS, "regime", "backbone", baselines)
    ax = figure.axes[0]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["resnet", "clip-web", "finetuned"]
    drawn = {}
    for each in ax.collections:
        drawn |= {
            tuple(np.round(xy, 6)): face
            for xy, face in zip(each.get_offsets(), each.get_facecolor(), strict=False)
        }
    for row in zoo[zoo["shift"] == "sketch"].itertuples():
        face = drawn[round(row.er, 6), names.index(row.regime)]
        assert (tuple(face[:3]) == (1, 1, 1)) == row.extrapolated


def test_dots_shade_two_standard_deviations_of_the_baselines(paired, fits):
    scored = robustness.score(paired, fits).assign(backbone="resnet")
    baselines = scored[scored["kind"] == "baseline"]
    ax = figures.effective_robustness_dots(scored, LABELS, "regime", "backbone", baselines).axes[0]
    sd = baselines.loc[baselines["shift"] == "sketch", "er"].std()
    span = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    assert (span.x0, span.x1) == pytest.approx((-2 * sd, 2 * sd))
