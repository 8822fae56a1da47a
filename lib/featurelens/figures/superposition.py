"""Figures of superposition, in a toy model and in the miniature's networks; each takes a tidy table."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from featurelens import plots

_GREY = "#7F7F7F"


def toy(table: pd.DataFrame, dimensions: int) -> Figure:
    """Draw inputs per dimension, and the loss over that without superposition, against sparsity.

    Args:
        table: sparsity, seed, represented, ratio, as :func:`featurelens.toy.table` gives them.
        dimensions: number of hidden units.
    """
    figure, axes = plots.subplots(1, 2, size=(7.2, 2.9))
    panels = (
        (table["represented"] / dimensions, "Represented inputs", "inputs per hidden unit"),
        (table["ratio"], "Loss", "relative to no superposition"),
    )
    for ax, (value, title, ylabel), colour in zip(axes, panels, plots.OKABE_ITO, strict=False):
        # Steps of equal size multiply how rare an input is.
        x = -np.log(1 - table["sparsity"])
        mean = value.groupby(x).mean()
        ax.plot(mean.index, mean, color=colour)
        ax.scatter(x, value, color=colour, s=22, edgecolor="white", lw=0.5, zorder=3)
        ax.axhline(1, color="black", lw=1, ls="--", zorder=0)
        ax.set_xticks(mean.index, [f"{s:g}" for s in sorted(table["sparsity"].unique())])
        ax.set(title=title, ylabel=ylabel, xlabel="sparsity S: an input is zero with probability S")
        ax.set_ylim(0, 1.1 * max(value.max(), 1))
    return figure


def products(table: pd.DataFrame) -> Figure:
    """Draw W^T W of toy models as heat maps, a panel per sparsity, in the order of the table.

    Args:
        table: sparsity, row, column, product.
    """
    sparsities = table["sparsity"].unique()
    figure, axes = plots.subplots(1, len(sparsities), size=(7.2, 3.4), sharey=True, squeeze=False)
    for ax, sparsity in zip(axes[0], sparsities, strict=True):
        rows = table[table["sparsity"] == sparsity]
        square = rows.pivot(index="row", columns="column", values="product")
        edges = (0.5, len(square) + 0.5, len(square) + 0.5, 0.5)
        picture = ax.imshow(square, cmap="RdBu", vmin=-1, vmax=1, extent=edges, interpolation="nearest")
        ticks = [1, *range(5, len(square) + 1, 5)]
        ax.set(title=f"S = {sparsity:g}", xlabel="input, most important first", xticks=ticks, yticks=ticks)
        ax.grid(visible=False)
    axes[0, 0].set(ylabel="restored input")
    ticks = (-1, -0.5, 0, 0.5, 1)
    figure.colorbar(picture, ax=axes[0].tolist(), label="entry of $W^T W$", shrink=0.9, ticks=ticks)
    return figure


def interference(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Draw mean interference of every miniature network by regime, with what it would be by luck.

    Args:
        table: regime, backbone, random, shuffled, and the columns of ``panels``; one row a network.
        panels: column to draw -> title of its panel.
    """
    figure, axes = plots.subplots(1, len(panels), size=(7.2, 3.5), sharex=True, sharey=True)
    order = [name for name in plots.COLOURS if name in set(table["regime"])]
    for ax, (column, title) in zip(axes, panels.items(), strict=True):
        for backbone, marker, shift in (("resnet", "o", -0.16), ("vit", "^", 0.16)):
            rows = table[table["backbone"] == backbone]
            y = np.array([order.index(name) + shift for name in rows["regime"]])
            colours = [plots.colour(name) for name in rows["regime"]]
            ax.scatter(rows["random"], y, color="black", marker="|", s=70, lw=1)
            ax.scatter(rows["shuffled"], y, color=_GREY, marker="x", s=26, lw=1.2)
            ax.scatter(rows[column], y, c=colours, marker=marker, s=34, edgecolor="white", lw=0.5, zorder=3)
        ax.set(title=title, xlabel="mean |cos| of two concepts", xlim=(0, None))
        ax.grid(axis="y", visible=False)
    axes[0].set(ylim=(len(order) - 0.5, -0.5))
    axes[0].set_yticks(range(len(order)), order)
    _key(figure, axes[-1])
    return figure


def _key(figure: Figure, ax: Axes) -> None:
    """Say what the marks are, below the panels."""
    marks = {
        "ResNet": {"marker": "o", "color": "#4D4D4D", "s": 34},
        "ViT": {"marker": "^", "color": "#4D4D4D", "s": 34},
        "same features, shuffled labels": {"marker": "x", "color": _GREY, "s": 26},
        "random directions": {"marker": "|", "color": "black", "s": 70},
    }
    handles = [ax.scatter([], [], **style) for style in marks.values()]
    figure.legend(handles, marks, loc="outside lower center", ncols=4, fontsize="small")
