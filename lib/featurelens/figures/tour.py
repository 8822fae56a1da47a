"""The figure of the two-minute tour: robustness on the left, its mark in the features on the right."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from featurelens import plots, robustness
from featurelens.figures.robustness import BASELINE, LINE, MARKERS, NAMES


def tour(scored: pd.DataFrame, fit: robustness.Fit, coordinates: pd.DataFrame) -> Figure:
    """Draw accuracy under one shift next to what a typical feature vector looks like.

    Args:
        scored: one row per model: ``kind``, ``regime``, ``acc_in``, ``acc_shift``, ``er``.
        fit: the baseline fit of that shift.
        coordinates: one row per network and coordinate: ``weights`` (*trained* or *random*), ``coordinate``,
            ``activation`` (standard deviations from the vector's mean, averaged over images).
    """
    figure, (left, right) = plots.subplots(1, 2, size=(7.4, 3.5))
    _accuracies(left, scored, fit)
    _vector(right, coordinates)
    return figure


def _accuracies(ax: Axes, scored: pd.DataFrame, fit: robustness.Fit) -> None:
    baseline = scored[scored["kind"] == "baseline"]
    ax.scatter(baseline["acc_in"], baseline["acc_shift"], s=9, color=BASELINE, lw=0, label="baseline models")
    x = np.linspace(fit.x_min, fit.x_max, 80)
    ax.plot(x, fit.predict(x), color=LINE, label="baseline fit")
    for regime in ("finetuned", "clip-web"):
        rows = scored[scored["regime"] == regime]
        style = {"s": 20, "color": plots.colour(regime), "edgecolor": "white", "linewidth": 0.5, "zorder": 3}
        ax.scatter(rows["acc_in"], rows["acc_shift"], marker=MARKERS[regime], label=NAMES[regime], **style)
    plots.logit_axes(ax, (0.49, 0.9), (0.1, 0.8))
    ax.set(title="Robust: above the line", xlabel="accuracy on ImageNet", ylabel="accuracy on sketches")
    ax.legend(fontsize="small", loc="lower right", labelspacing=0.2, borderaxespad=0.1)


def _vector(ax: Axes, coordinates: pd.DataFrame) -> None:
    for weights, colour, label in (
        ("random", plots.colour("random-init"), "same network, random weights"),
        ("trained", plots.colour("clip-web"), "CLIP"),
    ):
        rows = coordinates[coordinates["weights"] == weights]
        ax.plot(rows["coordinate"], rows["activation"], color=colour, lw=0.9, label=label)
    top = coordinates.loc[coordinates["activation"].abs().idxmax()]
    ax.annotate(
        f"coordinate {top['coordinate']:.0f}",
        (top["coordinate"], top["activation"]),
        xytext=(-6, -4),
        textcoords="offset points",
        ha="right",
        va="top",
    )
    ax.set(
        title="One coordinate towers",
        xlabel="coordinate of the feature vector",
        ylabel="mean activation (standard deviations)",
    )
    ax.legend(fontsize="small", loc="center left")
