"""Figures of activation kurtosis and outlier coordinates; each takes a tidy table of chapter 2."""

from collections.abc import Iterable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from featurelens import plots

GAUSSIAN = 3
TRAINED, RANDOM, OTHER = plots.OKABE_ITO[0], "#7F7F7F", plots.OKABE_ITO[1]
ROTATED = plots.OKABE_ITO[2]


def profiles(profile: pd.DataFrame, titles: dict[str, str], named: dict[str, list[int]]) -> Figure:
    """Draw each coordinate's typical distance from the mean, one panel per feature set.

    Args:
        profile: name, coordinate, z.
        titles: title of each feature set, in the order of the panels (two a row).
        named: outlier coordinates of each feature set, to be labelled.
    """
    rows_of_panels = -(-len(titles) // 2)
    figure, axes = plots.subplots(
        rows_of_panels, 2, size=(7.2, 2.1 * rows_of_panels), sharey=True, squeeze=False
    )
    for ax, (name, title) in zip(axes.flat, titles.items(), strict=True):
        rows = profile[profile["name"] == name]
        outlier = rows["coordinate"].isin(named[name])
        for part, colour in ((rows[~outlier], RANDOM), (rows[outlier], OTHER)):
            ax.vlines(part["coordinate"], 0, part["z"], color=colour, lw=1.2 if colour == OTHER else 0.5)
        for row in rows[outlier].itertuples():
            note = {"xytext": (5, -4), "textcoords": "offset points", "color": OTHER, "weight": "bold"}
            ax.annotate(str(row.coordinate), (row.coordinate, row.z), **note)
        ax.set(title=title, xlim=(-5, rows["coordinate"].max() + 5))
        ax.grid(axis="x", visible=False)
    axes[0, 0].set_ylim(0, 1.1 * profile["z"].max())  # shared: set once, or a taller panel would be cut
    for ax in axes[-1]:
        ax.set(xlabel="coordinate")
    figure.supylabel("median distance from the mean (sd)", fontsize="medium")
    return figure


def distributions(table: pd.DataFrame, labels: dict[str, str]) -> Figure:
    """Draw the kurtosis over the rows of each feature set: median, middle half and middle nine tenths.

    Args:
        table: name, model, weights, rotated, p05, p25, p50, p75, p95.
        labels: what to call each feature set, in the order from the top.
    """
    figure, ax = plots.subplots(size=(7.2, 0.9 + 0.27 * len(labels)))
    for y, row in enumerate(table.set_index("name").loc[list(labels)].itertuples()):
        colour = RANDOM if row.weights == "random" else OTHER if "EVA" in row.model else TRAINED
        ax.plot([row.p05, row.p95], [y, y], color=colour, lw=1.2)
        ax.plot([row.p25, row.p75], [y, y], color=colour, lw=5, solid_capstyle="butt")
        ax.plot(row.p50, y, "o", color="white", mec=colour, ms=5)
        ax.plot(row.rotated, y, "|", color=ROTATED, ms=11, mew=2.5)
    ax.axvline(GAUSSIAN, color="black", lw=1, ls="--", zorder=0)
    ax.set(xscale="log", xlabel="activation kurtosis (log scale)", ylim=(len(labels) - 0.5, -0.7))
    ax.set_yticks(range(len(labels)), labels.values(), fontsize="small")
    _log_ticks(ax, (2, 3, 5, 10, 20, 50, 100, 200))
    ax.grid(axis="y", visible=False)
    key = {"trained": TRAINED, "EVA-CLIP": OTHER, "random weights": RANDOM, "after rotation": ROTATED}
    for label, colour in key.items():
        ax.plot([], [], color=colour, lw=5, label=label)
    # Where no row has a mark: right of the feature sets without outliers, near the bottom.
    ax.legend(fontsize="small", loc="center right", bbox_to_anchor=(1, 0.3))
    return figure


def concentration(curves: pd.DataFrame, labels: dict[str, str], colours: dict[str, str]) -> Figure:
    """Draw the share of the mean kurtosis that the few largest coordinates make up.

    Args:
        curves: name, coordinates, share.
        labels: what to call each feature set; others are left out.
        colours: colour of each.
    """
    figure, ax = plots.subplots(size=(6.4, 3.6))
    for name, label in labels.items():
        rows = curves[curves["name"] == name]
        ax.plot(rows["coordinates"], 100 * rows["share"], marker="o", ms=3, color=colours[name], label=label)
    ax.set(
        xscale="log", xlabel="largest coordinates counted", ylabel="share of the kurtosis (%)", ylim=(0, 103)
    )
    _log_ticks(ax, (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000))
    ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(0.14, 0.93))
    return figure


def accuracy(table: pd.DataFrame, sets: dict[str, str]) -> Figure:
    """Draw accuracy next to kurtosis, and to the top coordinate's share of it, one mark per encoder and set.

    Args:
        table: model, image_set, accuracy, kurtosis, top_share.
        sets: what to call each image set.
    """
    figure, axes = plots.subplots(1, 2, size=(7.2, 3.3), sharey=True)
    for (name, label), marker, colour in zip(sets.items(), "osD^", plots.OKABE_ITO, strict=False):
        rows = table[table["image_set"] == name]
        for ax, x in zip(axes, (rows["kurtosis"], 100 * rows["top_share"]), strict=True):
            ax.scatter(x, 100 * rows["accuracy"], marker=marker, color=colour, s=36, label=label)
    axes[0].set(
        xlabel="mean kurtosis", ylabel="accuracy (%)", xlim=(0, 1.2 * table["kurtosis"].max()), ylim=(0, 100)
    )
    axes[1].set(xlabel="share of the top coordinate (%)", xlim=(-3, 103))
    axes[1].legend(fontsize="small", loc="upper right")
    return figure


def regimes(table: pd.DataFrame, points: dict[str, str]) -> Figure:
    """Draw the mean kurtosis of every miniature network by regime, one panel per feature point.

    Args:
        table: regime, backbone, point, kurtosis; one row a network.
        points: title of each feature point.
    """
    figure, axes = plots.subplots(1, len(points), size=(7.2, 3.0), sharey=True, sharex=True)
    order = [name for name in plots.COLOURS if name in set(table["regime"])]
    for ax, (point, title) in zip(axes, points.items(), strict=True):
        rows = table[table["point"] == point]
        for backbone, marker, shift in (("resnet", "o", -0.13), ("vit", "^", 0.13)):
            part = rows[rows["backbone"] == backbone]
            y = [order.index(name) + shift for name in part["regime"]]
            style = {"marker": marker, "s": 32, "edgecolor": "white", "linewidth": 0.5}
            ax.scatter(part["kurtosis"], y, c=[plots.colour(name) for name in part["regime"]], **style)
        ax.axvline(GAUSSIAN, color="black", lw=1, ls="--", zorder=0)
        ax.set(title=title, xscale="log", xlabel="mean kurtosis (log scale)", ylim=(len(order) - 0.5, -0.5))
        ax.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(order)), order)
    low, high = table["kurtosis"].min(), table["kurtosis"].max()
    axes[0].set_xlim(0.8 * min(low, GAUSSIAN), 1.25 * high)
    for ax in axes:
        _log_ticks(ax, (1, 2, 3, 5, 10, 20, 50, 100))
    for marker, backbone in (("o", "ResNet"), ("^", "ViT")):
        axes[-1].scatter([], [], marker=marker, color="#4D4D4D", s=32, label=backbone)
    axes[-1].legend(fontsize="small")
    return figure


def training(curves: pd.DataFrame, points: dict[str, str]) -> Figure:
    """Draw the kurtosis of miniature networks through training, one panel per feature point.

    Args:
        curves: model, regime, step and one column ``kurtosis_<point>`` per feature point.
        points: title of each feature point.
    """
    figure, axes = plots.subplots(1, len(points), size=(7.2, 3.0), sharey=True)
    for ax, (point, title) in zip(axes, points.items(), strict=True):
        shown = curves.dropna(subset=f"kurtosis_{point}")
        for (regime, model), rows in shown.groupby(["regime", "model"], sort=False):
            named = regime if regime not in ax.get_legend_handles_labels()[1] else None
            style = {"color": plots.colour(regime), "ls": "--" if "vit" in model else "-", "lw": 1.3}
            ax.plot(rows["step"], rows[f"kurtosis_{point}"], label=named, **style)
        ax.axhline(GAUSSIAN, color="black", lw=1, ls="--", zorder=0)
        ax.set(title=title, xlabel="training step", yscale="log")
        _log_ticks(ax, (2, 3, 4, 5, 6, 8, 10, 20, 50), vertical=True)
    axes[0].set(ylabel="mean kurtosis (log scale)")
    # The joint space has room, and fewer regimes: the key of the first panel names them all.
    axes[-1].legend(*axes[0].get_legend_handles_labels(), fontsize="small", loc="upper right")
    return figure


def _log_ticks(ax: Axes, ticks: Iterable[float], *, vertical: bool = False) -> None:
    """Plain numbers at those of the places that a log axis reaches, and nothing between them."""
    axis = ax.yaxis if vertical else ax.xaxis
    low, high = ax.get_ylim() if vertical else ax.get_xlim()
    shown = [tick for tick in ticks if low <= tick <= high]
    axis.set_ticks(shown, [f"{tick:g}" for tick in shown])
    axis.set_ticks([], minor=True)
