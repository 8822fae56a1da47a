"""Figures of privileged directions and of pruning; each takes a tidy table of chapter 3."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from featurelens import plots

# Two ways of telling lines apart: by colour and by dashes.
ORDERS = {
    "importance": ("#0072B2", "-"),
    "singular value": ("#56B4E9", "--"),
    "centred": ("#009E73", "-"),
    "reduced rank": ("#009E73", ":"),
    "outliers first": ("#CC79A7", "-."),
    "random": ("#7F7F7F", "-"),
    "reversed": ("#D55E00", "--"),
}
VARIANTS = {"as it is": "-", "centred": "--", "random": ":"}


def spectra(table: pd.DataFrame, labels: Mapping[str, str], note: str = "") -> Figure:
    """Draw singular values as shares of their sum, one panel per head, with the centred and the random head.

    Args:
        table: name, variant, k, share.
        labels: title of each head, in the order of the panels.
        note: what the variants are, above the key.
    """
    figure, axes = plots.subplots(1, len(labels), size=(7.4, 2.9), sharey=True)
    for ax, (name, title) in zip(axes, labels.items(), strict=True):
        for (variant, style), colour in zip(VARIANTS.items(), plots.OKABE_ITO, strict=False):
            rows = table[(table["name"] == name) & (table["variant"] == variant)]
            rows = rows[rows["share"] > 0]
            ax.plot(rows["k"], 100 * rows["share"], style, color=colour, label=variant)
        ax.set(title=title, xscale="log", yscale="log", xlabel="direction k", ylim=(0.01, 30))
        ax.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
    axes[0].set_yticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
    axes[0].set(ylabel="share of all strengths (%)")
    axes[-1].legend(fontsize="small", title=note or None, loc="upper right")
    return figure


def overlap(table: pd.DataFrame, chance: float, coordinates: str) -> Figure:
    """Draw how much of each direction lies in the outlier coordinates, as they are and after a rotation.

    Args:
        table: k, overlap, variant (*as it is*, *rotated*), of one head.
        chance: share that an unrelated direction has on average.
        coordinates: the outlier coordinates, in words.
    """
    figure, axes = plots.subplots(1, 2, size=(7.2, 2.8), sharey=True)
    for ax, variant in zip(axes, ("as it is", "rotated"), strict=True):
        rows = table[table["variant"] == variant]
        ax.vlines(rows["k"], 0, 100 * rows["overlap"], color=plots.OKABE_ITO[0], lw=1.2)
        for row in rows[rows["overlap"] > 0.5].itertuples():
            side = {"ha": "left", "xytext": (5, -3)} if row.k < 250 else {"ha": "right", "xytext": (-5, -3)}
            text = f"direction {row.k}: {100 * row.overlap:.0f} %"
            ax.annotate(text, (row.k, 100 * row.overlap), textcoords="offset points", **side)
        ax.axhline(100 * chance, color="black", lw=1, ls="--")
        ax.set(title=variant, xlabel="direction k, strongest first", ylim=(0, 108))
    axes[0].set(ylabel=f"length in coordinates {coordinates} (%)")
    return figure


def importance(table: pd.DataFrame, labels: Mapping[str, str]) -> Figure:
    """Draw the share of the most important direction for each head, and for its three controls.

    Args:
        table: name, variant, top_share.
        labels: what to call each head, from the top.
    """
    variants = {
        "as it is": ("o", plots.OKABE_ITO[0]),
        "centred": ("s", plots.OKABE_ITO[2]),
        "rotated head": ("^", plots.OKABE_ITO[1]),
        "random head": ("x", "#7F7F7F"),
    }
    figure, ax = plots.subplots(size=(7.2, 1.1 + 0.33 * len(labels)))
    for variant, (marker, colour) in variants.items():
        rows = table[table["variant"] == variant].set_index("name").loc[list(labels)]
        style = {"marker": marker, "color": colour, "s": 42, "zorder": 3, "label": variant}
        ax.scatter(100 * rows["top_share"], range(len(labels)), **style)
    ax.set_yticks(range(len(labels)), labels.values())
    ticks = (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
    ax.set(xscale="log", xlim=(0.2, 100), ylim=(len(labels) - 0.4, -0.6))
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set_xlabel("share of the most important direction (%, log scale)")
    figure.legend(loc="outside upper center", ncols=4, fontsize="small")
    return figure


def pruning(table: pd.DataFrame, panels: Mapping[str, str], by: str) -> Figure:
    """Draw accuracy against the number of directions kept, a line per order, a panel per curve bundle.

    Args:
        table: k, order, accuracy, and a column ``by``.
        panels: title of each value of ``by``, in the order of the panels.
        by: column that tells the panels apart.
    """
    figure, axes = plots.subplots(1, len(panels), size=(7.4, 3.4), squeeze=False)
    for ax, (value, title) in zip(axes[0], panels.items(), strict=True):
        rows = table[table[by] == value]
        for order, (colour, dashes) in ORDERS.items():
            curve = rows[rows["order"] == order]
            ax.plot(curve["k"], 100 * curve["accuracy"], dashes, color=colour, lw=1.5, label=order)
        ax.set(title=title, xlabel="directions kept", xlim=(0, rows["k"].max()), ylim=(0, None))
    axes[0, 0].set(ylabel="accuracy (%)")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize="small")
    return figure


def by_class_count(table: pd.DataFrame, losses: Mapping[str, str]) -> Figure:
    """Draw which share of the directions can go against the number of classes, a panel per loss.

    Args:
        table: task, classes, and the columns of ``losses``, as fractions.
        losses: column -> title.
    """
    figure, axes = plots.subplots(1, len(losses), size=(7.2, 3.0), sharey=True)
    for ax, (column, title) in zip(axes, losses.items(), strict=True):
        for (task, rows), marker, colour in zip(
            table.groupby("task", sort=False), "os", plots.OKABE_ITO, strict=False
        ):
            ax.plot(rows["classes"], 100 * rows[column], marker=marker, color=colour, label=task)
        ax.axhline(80, color="black", lw=1, ls="--")
        ax.set(title=title, xscale="log", xlabel="classes of the head (log scale)", ylim=(-3, 100))
        ax.set_xticks(table["classes"].unique(), table["classes"].unique())
        ax.set_xticks([], minor=True)
    axes[0].set(ylabel="directions that can go (%)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
    return figure


def regimes(table: pd.DataFrame, columns: Mapping[str, str], xlabel: str, floor: float) -> Figure:
    """Draw one number of every miniature network by regime, a panel per column.

    Args:
        table: regime, backbone and the ``columns``, as fractions; one row a network.
        columns: column -> title of its panel.
        xlabel: what the numbers are, drawn in per cent.
        floor: value of a head that prefers no direction, drawn as a dashed line.
    """
    figure, axes = plots.subplots(1, len(columns), size=(7.2, 2.9), sharey=True, sharex=True)
    order = [name for name in plots.COLOURS if name in set(table["regime"])]
    for ax, (column, title) in zip(axes, columns.items(), strict=True):
        for backbone, marker, shift in (("resnet", "o", -0.13), ("vit", "^", 0.13)):
            rows = table[table["backbone"] == backbone]
            y = [order.index(name) + shift for name in rows["regime"]]
            colours = [plots.colour(name) for name in rows["regime"]]
            ax.scatter(100 * rows[column], y, c=colours, marker=marker, s=34, edgecolor="white", lw=0.5)
        ax.axvline(100 * floor, color="black", lw=1, ls="--", zorder=0)
        ax.set(title=title, xlabel=xlabel, ylim=(len(order) - 0.5, -0.5), xlim=(0, None))
        ax.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(order)), order)
    for marker, backbone in (("o", "ResNet"), ("^", "ViT")):
        axes[-1].scatter([], [], marker=marker, color="#4D4D4D", s=34, label=backbone)
    axes[-1].legend(fontsize="small", loc="lower right")
    return figure


def along_k(table: pd.DataFrame, panels: Mapping[str, str], value: str, ylabel: str) -> Figure:
    """Draw a quantity of miniature networks against the directions kept: mean of each regime, and its range.

    Args:
        table: regime, k, panel and ``value``; several networks a regime.
        panels: value of ``panel`` -> title.
        value: column to draw.
        ylabel: what it is.
    """
    figure, axes = plots.subplots(1, len(panels), size=(7.4, 3.3), sharey=True)
    present = [name for name in plots.COLOURS if name in set(table["regime"])]
    for ax, (panel, title) in zip(axes, panels.items(), strict=True):
        rows = table[table["panel"] == panel]
        for regime, dashes in zip(
            present, ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3))), strict=False
        ):
            band = rows[rows["regime"] == regime].groupby("k")[value].agg(["mean", "min", "max"])
            band = band[np.isfinite(band["mean"])]
            colour = plots.colour(regime)
            ax.plot(band.index, band["mean"], ls=dashes, color=colour, label=regime)
            ax.fill_between(band.index, band["min"], band["max"], color=colour, alpha=0.15, lw=0)
        ax.set(title=title, xlabel="directions kept", xlim=(0, rows["k"].max()))
        ax.set_xticks(range(0, rows["k"].max() + 1, 2))
    axes[0].set(ylabel=ylabel)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5, fontsize="small")
    return figure
