"""Figures of chapter 7: how many images a scan needs, and of how many kinds."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from featurelens import plots, samplesize, scan_measures

GROUP, OTHER, MIXED = plots.OKABE_ITO[0], plots.OKABE_ITO[1], "#B3B3B3"
METHODS = {"student": "Student's t", "percentile": "bootstrap, percentile", "bca": "bootstrap, BCa"}
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))


def sizes(table: pd.DataFrame, labels: Mapping[str, str]) -> Figure:
    """Draw what random samples say against their size: range of the kurtosis, of the top share, and outliers.

    Args:
        table: as :func:`featurelens.samplesize.study`.
        labels: what to call each feature set; others are left out.
    """
    figure, axes = plots.subplots(1, 3, size=(7.6, 3.9))
    for (name, label), style, colour in zip(labels.items(), DASHES, plots.OKABE_ITO, strict=False):
        rows, look = table[table["name"] == name], {"ls": style, "color": colour, "lw": 1.5}
        for ax, what in zip(axes, ("kurtosis", "share"), strict=False):
            for end in ("low", "high"):
                ax.plot(rows["n"], rows[f"{what}_{end}"], label=label if end == "low" else None, **look)
        axes[2].plot(rows["n"], 100 * rows["same"], **look)
    for ax in axes[:2]:
        ax.axhspan(1 - samplesize.WITHIN, 1 + samplesize.WITHIN, color=MIXED, alpha=0.4, lw=0)
        ax.set_yscale("log")
    _ticks(axes[0], (0.4, 0.5, 0.7, 1, 1.5, 2))
    _ticks(axes[1], (0.5, 1, 2, 5, 10, 20))
    axes[0].set_title("mean kurtosis, over that\nof all images", fontsize="small")
    axes[1].set_title("top share, over that\nof all images", fontsize="small")
    axes[2].set_title("samples that name the\nsame outliers (%)", fontsize="small")
    axes[2].set_ylim(0, 103)
    for ax in axes:
        _sizes(ax, table)
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=2, fontsize="small")
    return figure


def coverage(table: pd.DataFrame) -> Figure:
    """Draw how often each kind of 95 % interval contains the mean of all images, a thin line a feature set.

    Args:
        table: as :func:`featurelens.samplesize.study`.
    """
    figure, axes = plots.subplots(1, len(METHODS), size=(7.6, 3.1), sharey=True)
    level = scan_measures.CONFIDENCE
    error = 1.96 * np.sqrt(level * (1 - level) / samplesize.SAMPLES)
    for ax, (method, title) in zip(axes, METHODS.items(), strict=True):
        ax.axhspan(100 * (level - error), 100 * (level + error), color=MIXED, alpha=0.5, lw=0)
        for _, rows in table.groupby("name", sort=False):
            ax.plot(rows["n"], 100 * rows[method], color=GROUP, lw=0.8, marker="o", ms=3)
        ax.set_title(title, fontsize="small")
        _sizes(ax, table)
    axes[0].set(ylabel="intervals that contain the value (%)", ylim=(40, 101))
    return figure


def variety(table: pd.DataFrame, labels: Mapping[tuple[str, str], str]) -> Figure:
    """Draw images of one kind against as many of all kinds: mean kurtosis and top share, a mark a group.

    Args:
        table: as :func:`featurelens.variety.study`.
        labels: what to call each encoder and kind of groups, in the order from the top.
    """
    figure, axes = plots.subplots(1, 2, size=(7.6, 1.5 + 0.36 * len(labels)), sharey=True)
    for y, key in enumerate(labels):
        rows = table[(table["name"] == key[0]) & (table["kind"] == key[1])]
        over, pool = rows["kurtosis"] / rows["pool_kurtosis"], rows["pool_kurtosis"]
        low, high = (rows["mixed_low"] / pool).min(), (rows["mixed_high"] / pool).max()
        axes[0].barh(y, high - low, left=low, height=0.62, color=MIXED)
        axes[1].barh(y, 100 * rows["mixed_share"].max(), height=0.62, color=MIXED)
        odd = (rows["outliers"] != rows["pool_outliers"]).to_numpy()
        for ax, x in zip(axes, (over, 100 * rows["share"]), strict=True):
            ax.scatter(x[~odd], np.full((~odd).sum(), y), s=20, color=GROUP, edgecolor="white", lw=0.4)
            ax.scatter(x[odd], np.full(odd.sum(), y), s=44, marker="D", color=OTHER, zorder=4)
    axes[0].set_yticks(range(len(labels)), labels.values(), fontsize="small")
    axes[0].set(xlabel="mean kurtosis, over that of all kinds", ylim=(len(labels) - 0.4, -0.6))
    axes[1].set(xlabel="share of the top coordinate (%)", xlim=(0, None))
    marks = [
        axes[0].scatter([], [], s=20, color=GROUP, label="one kind"),
        axes[0].scatter([], [], s=44, marker="D", color=OTHER, label="one kind, other outlier coordinates"),
        Patch(color=MIXED, label="95 % of mixed samples"),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=3, fontsize="small")
    return figure


def _sizes(ax: Axes, table: pd.DataFrame) -> None:
    ax.set(xscale="log", xlabel="images")
    shown = sorted(table["n"].unique())
    ax.set_xticks(shown, [f"{n}" for n in shown], fontsize="x-small")
    ax.set_xticks([], minor=True)


def _ticks(ax: Axes, ticks: tuple[float, ...]) -> None:
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_yticks([], minor=True)
