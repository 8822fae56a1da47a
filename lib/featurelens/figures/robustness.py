"""Figures of accuracy under shift and effective robustness; the same for published and miniature models.

Tables are those of ``featurelens.robustness``: one row per model and shift, with ``model``, ``kind``,
``regime``, ``acc_in`` and ``acc_shift`` (``pairs``), and ``er`` and ``extrapolated`` (``score``).
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator
from scipy.special import expit, logit

from featurelens import plots, robustness

# Shape repeats what colour says, so that neither is needed alone.
MARKERS = {
    "clip-web": "o",
    "clip-captions": "v",
    "finetuned": "^",
    "supervised": "s",
    "supervised-web": "D",
    "random-init": "X",
}
NAMES = {
    "clip-web": "CLIP, zero-shot",
    "clip-captions": "CLIP on base captions, zero-shot",
    "finetuned": "CLIP, finetuned",
    "supervised": "supervised on labels",
    "supervised-web": "supervised, more data",
    "random-init": "random weights",
}
BASELINE = "#8C8C8C"
LINE = "#333333"


def scatter(
    paired: pd.DataFrame, fits: dict[str, robustness.Fit], labels: dict[str, str], x_label: str
) -> Figure:
    """Draw accuracy under each shift against accuracy without, on logit axes, with the baseline's line.

    Args:
        paired: rows of ``robustness.pairs``; those of kind *baseline* are drawn in grey and give the band.
        fits: the baseline fit of each shift.
        labels: title of each shift, in the order of the panels.
        x_label: what the accuracy without shift was measured on.
    """
    columns, rows = 2, -(-(len(labels) + 1) // 2)
    figure, axes = plots.subplots(rows, columns, size=(7.2, 2.9 * rows), squeeze=False)
    x_range = _padded(paired["acc_in"])
    for ax, (shift, title) in zip(axes.flat, labels.items(), strict=False):
        panel = paired[paired["shift"] == shift]
        _baseline(ax, panel[panel["kind"] == "baseline"], fits[shift], x_range)
        ax.plot(x_range, x_range, color=LINE, lw=0.9, ls=":", label="no loss under shift (y = x)")
        _regimes(ax, panel[panel["kind"] != "baseline"])
        plots.logit_axes(ax, x_range, _padded(panel["acc_shift"]))
        _thin_ticks(ax)
        ax.set(title=title)
    for ax in axes[:, 0]:
        ax.set(ylabel="accuracy under shift")
    for ax in axes.flat[max(0, len(labels) - columns) : len(labels)]:
        ax.set(xlabel=x_label)
    _legend_panel(axes.flat[len(labels) :], axes.flat[0])
    return figure


def _padded(accuracy: pd.Series) -> tuple[float, float]:
    """Range of accuracies with a margin, in fractions."""
    low, high = logit(accuracy.min()), logit(accuracy.max())
    margin = 0.06 * (high - low)
    return float(expit(low - margin)), float(expit(high + margin))


def _thin_ticks(ax: Axes) -> None:
    """Drop ticks closer than a share of the axis, so that the labels of a small panel do not touch."""
    for axis, ends, gap in ((ax.xaxis, ax.get_xlim(), 0.18), (ax.yaxis, ax.get_ylim(), 0.09)):
        ticks = axis.get_majorticklocs()
        kept = list(ticks[:1])
        for tick in ticks[1:]:
            if logit(tick) - logit(kept[-1]) >= gap * np.diff(logit(ends)).item():
                kept.append(tick)
        axis.set_major_locator(FixedLocator(kept))


def _parts(fit: robustness.Fit) -> list[tuple[robustness.BaselineFit, float, float]]:
    """The lines of a fit, each with the range of accuracies that it answers for."""
    if isinstance(fit, robustness.SegmentedFit):
        return [(fit.below, 0.0, fit.at), (fit.above, fit.at, 1.0)]
    return [(fit, 0.0, 1.0)]


def _baseline(ax: Axes, baseline: pd.DataFrame, fit: robustness.Fit, x_range: tuple[float, float]) -> None:
    """Draw the baselines, their line (dashed where it extrapolates) and its bootstrap band."""
    ax.scatter(baseline["acc_in"], baseline["acc_shift"], s=10, color=BASELINE, lw=0, label="baseline models")
    for part, low, high in _parts(fit):
        x = expit(np.linspace(*logit([max(low, x_range[0]), min(high, x_range[1])]), 80))
        own = baseline[(baseline["acc_in"] > low) & (baseline["acc_in"] <= high)]
        edges = robustness.bootstrap_band(own["acc_in"], own["acc_shift"], x)
        ax.fill_between(x, *edges, color=LINE, alpha=0.18, lw=0)
        ax.plot(x, part.predict(x), color=LINE, lw=1, ls="--")
        seen = x[~part.extrapolates(x)]
        ax.plot(seen, part.predict(seen), color=LINE, lw=1.8)
    ax.plot([], [], color=LINE, lw=1.8, label="baseline fit")
    ax.plot([], [], color=LINE, lw=1, ls="--", label="the same, extrapolated")
    ax.fill_between([], [], [], color=LINE, alpha=0.18, lw=0, label="95 % bootstrap band")


def _regimes(ax: Axes, models: pd.DataFrame) -> None:
    """Draw one point per model in the colour and shape of its regime."""
    for regime in (name for name in MARKERS if name in set(models["regime"])):
        rows = models[models["regime"] == regime]
        style = {"s": 20, "color": plots.colour(regime), "edgecolor": "white", "linewidth": 0.5, "zorder": 3}
        ax.scatter(rows["acc_in"], rows["acc_shift"], marker=MARKERS[regime], label=NAMES[regime], **style)


def _legend_panel(spare: np.ndarray, described: Axes) -> None:
    """Use the first panel that is left over for the legend, and hide the others."""
    for ax in spare:
        ax.axis("off")
    handles, names = described.get_legend_handles_labels()
    spare[0].legend(handles, names, loc="center left", fontsize="small")


def bend(baseline: pd.DataFrame, fit: robustness.SegmentedFit, filtered: str) -> Figure:
    """Draw ImageNet-A: two segments against one line, and the model its images were chosen against.

    Args:
        baseline: pairs of the baselines on ImageNet-A, the model ``filtered`` (at 0 %) among them.
        fit: the two segments.
        filtered: the model that has no logit.
    """
    figure, ax = plots.subplots(size=(6.4, 4.2))
    zero = baseline.loc[baseline["model"] == filtered, "acc_in"].item()
    rest = baseline[baseline["model"] != filtered]
    x_range, y_range = _padded(baseline["acc_in"]), (0.003, 0.6)
    _baseline(ax, rest, fit, x_range)
    line = robustness.fit_baseline(rest["acc_in"], rest["acc_shift"])
    x = np.linspace(*x_range, 80)
    ax.plot(x, line.predict(x), color=plots.OKABE_ITO[1], lw=1.2, label="one line for all, for comparison")
    plots.logit_axes(ax, x_range, y_range)
    arrow = {"arrowstyle": "-|>", "color": plots.OKABE_ITO[1]}
    ax.annotate("", (zero, 0.003), (zero, 0.0055), arrowprops=arrow, zorder=5)
    note = f"{filtered}: 0 % by construction,\nno place on a logit axis"
    ax.annotate(note, (zero, 0.0036), (-8, 0), textcoords="offset points", ha="right", fontsize="small")
    ax.set(xlabel="accuracy on ImageNet", ylabel="accuracy on ImageNet-A")
    ax.legend(loc="upper left", fontsize="small")
    return figure


def effective_robustness_dots(
    scored: pd.DataFrame, labels: dict[str, str], row: str, group: str, spread: pd.DataFrame
) -> Figure:
    """Draw effective robustness, one panel per shift and one line per ``row``, grouped by ``group``.

    Args:
        scored: rows of ``robustness.score``; several models with the same ``row`` (seeds) give several dots.
        labels: title of each shift, in the order of the panels.
        row: column that names the lines; ``group``: column whose values head them, in order of appearance.
        group: see ``row``.
        spread: scored baselines; two of their standard deviations are shaded.
    """
    places, ticks = _rows(scored, row, group)
    size = (7.2, 0.9 + 0.21 * len(ticks))
    figure, axes = plots.subplots(1, len(labels), size=size, sharey=True, squeeze=False)
    for ax, (shift, title) in zip(axes[0], labels.items(), strict=True):
        sd = spread.loc[spread["shift"] == shift, "er"].std()
        ax.axvspan(-2 * sd, 2 * sd, color=BASELINE, alpha=0.3, lw=0)
        ax.axvline(0, color=LINE, lw=1)
        for regime, rows in scored[scored["shift"] == shift].groupby("regime"):
            _dots(ax, rows, [places[key] for key in zip(rows[group], rows[row], strict=True)], regime)
        ax.set_title(title, fontsize="small")
        ax.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
        ax.grid(axis="y", visible=False)
        ax.margins(x=0.08)
        ax.tick_params(axis="y", length=0)
    _name_rows(axes[0, 0], ticks)
    figure.supxlabel(
        "effective robustness (percentage points); grey: ± 2 sd of the baselines", fontsize="small"
    )
    return figure


def _rows(
    scored: pd.DataFrame, row: str, group: str
) -> tuple[dict[tuple[str, str], int], list[tuple[str, bool]]]:
    """Place of each (group, row) from the top, and the tick labels with whether they head a group."""
    places, ticks = {}, []
    for name in scored[group].unique():
        ticks.append((name, True))
        for member in scored.loc[scored[group] == name, row].unique():
            places[name, member] = len(ticks)
            ticks.append((member, False))
    return places, ticks


def _dots(ax: Axes, rows: pd.DataFrame, places: list[int], regime: str) -> None:
    """Draw full dots, and hollow ones where the baseline was extrapolated."""
    hollow = rows["extrapolated"].to_numpy()
    faces = np.where(hollow, "white", plots.colour(regime))
    style = {
        "marker": MARKERS[regime],
        "s": 26,
        "edgecolor": plots.colour(regime),
        "linewidth": 1.2,
        "zorder": 3,
    }
    ax.scatter(rows["er"], places, color=faces, **style)


def _name_rows(ax: Axes, ticks: list[tuple[str, bool]]) -> None:
    """Write the names of the lines, the groups in bold, the first at the top."""
    ax.set_yticks(range(len(ticks)), [name for name, _ in ticks], fontsize="small")
    for label, (_, heads) in zip(ax.get_yticklabels(), ticks, strict=True):
        label.set_fontweight("bold" if heads else "normal")
    ax.set_ylim(len(ticks) - 0.4, -0.6)
