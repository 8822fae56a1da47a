"""Figures of encoded concepts; each takes a tidy table of chapter 4."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from featurelens import plots

DASHES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
KINDS = {"features": ("o", 0), "right singular vectors": ("s", 2), "random": ("x", 7)}
NAMES = {"features": "coordinates", "random": "random directions"}


def sweep(table: pd.DataFrame, panels: Mapping[str, str], column: str) -> Figure:
    """Draw how many concepts are encoded at each threshold: mean of each regime, and its range.

    Args:
        table: regime, threshold, count and ``column``; one row per network and threshold.
        panels: value of ``column`` -> title.
        column: what tells the panels apart.
    """
    figure, axes = plots.subplots(1, len(panels), size=(7.2, 3.4), sharey=True)
    regimes = [name for name in plots.COLOURS if name in set(table["regime"])]
    for ax, (value, title) in zip(axes, panels.items(), strict=True):
        rows = table[table[column] == value]
        for regime, dashes in zip(regimes, DASHES, strict=False):
            band = rows[rows["regime"] == regime].groupby("threshold")["count"].agg(["mean", "min", "max"])
            colour = plots.colour(regime)
            ax.plot(band.index, band["mean"], ls=dashes, color=colour, label=regime)
            ax.fill_between(band.index, band["min"], band["max"], color=colour, alpha=0.15, lw=0)
        ax.set(title=title, xlabel="threshold (average precision)")
    axes[0].set(ylabel="encoded concepts", ylim=(0, None))
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=6, fontsize="small")
    return figure


def kinds(table: pd.DataFrame, panels: Mapping[str, str], column: str, total: int) -> Figure:
    """Draw how many concepts the directions of each kind detect, one mark a network, one row a regime.

    Args:
        table: regime, kind, count and ``column``.
        panels: value of ``column`` -> title.
        column: what tells the panels apart.
        total: how many concepts there are.
    """
    figure, axes = plots.subplots(1, len(panels), size=(7.2, 3.2), sharey=True)
    regimes = [name for name in plots.COLOURS if name in set(table["regime"])]
    for ax, (value, title) in zip(axes, panels.items(), strict=True):
        rows = table[table[column] == value]
        for shift, (kind, (marker, colour)) in zip((-0.22, 0, 0.22), KINDS.items(), strict=True):
            part = rows[rows["kind"] == kind]
            y = [regimes.index(name) + shift for name in part["regime"]]
            shown = plots.OKABE_ITO[colour]
            ax.scatter(
                part["count"], y, marker=marker, color=shown, s=24, label=NAMES.get(kind, kind), zorder=3
            )
        ax.set(title=title, xlabel=f"encoded concepts, of {total}", ylim=(len(regimes) - 0.5, -0.5))
        ax.set_xlim(-0.5, None)
    axes[0].set_yticks(range(len(regimes)), regimes)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize="small")
    return figure


def categories(table: pd.DataFrame, order: list[str]) -> Figure:
    """Draw the mean best average precision of each category's concepts: one mark a network.

    Args:
        table: regime, category, ap; one row per network and category.
        order: categories from the left.
    """
    figure, axes = plots.subplots(1, len(order), size=(7.4, 2.8), sharey=True, sharex=True)
    regimes = [name for name in plots.COLOURS if name in set(table["regime"])]
    for ax, category in zip(axes, order, strict=True):
        rows = table[table["category"] == category]
        y = [regimes.index(name) for name in rows["regime"]]
        colours = [plots.colour(name) for name in rows["regime"]]
        ax.scatter(rows["ap"], y, c=colours, s=26, edgecolor="white", lw=0.5)
        ax.set(title=category, ylim=(len(regimes) - 0.5, -0.5), xlim=(0.55, 1.0))
        ax.set_xticks([0.6, 0.8, 1.0])
    axes[0].set_yticks(range(len(regimes)), regimes)
    figure.supxlabel("mean average precision of the best coordinate", fontsize="medium")
    return figure


def against_robustness(table: pd.DataFrame, columns: Mapping[str, str]) -> Figure:
    """Draw each network's count of concepts against its effective robustness, a panel per shift.

    Args:
        table: regime, backbone, count and the ``columns``.
        columns: column with effective robustness in points -> title.
    """
    figure, axes = plots.subplots(1, len(columns), size=(7.2, 3.3), sharey=True)
    for ax, (column, title) in zip(axes, columns.items(), strict=True):
        for regime in [name for name in plots.COLOURS if name in set(table["regime"])]:
            for backbone, marker in (("resnet", "o"), ("vit", "^")):
                rows = table[(table["regime"] == regime) & (table["backbone"] == backbone)]
                named = regime if backbone == "resnet" else None
                style = {"color": plots.colour(regime), "marker": marker, "s": 40, "edgecolor": "white"}
                ax.scatter(rows[column], rows["count"], label=named, **style)
        top = 1.1 * table["count"].max()
        ax.set(title=title, xlabel="effective robustness (points)", ylim=(0, top))
    axes[0].set(ylabel="encoded concepts")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5, fontsize="small")
    return figure


def probed(table: pd.DataFrame, panels: Mapping[str, str], threshold: float) -> Figure:
    """Draw how well the best direction detects each concept of real pictures, by kind of direction, and luck.

    Args:
        table: set, concept, category, kind, ap, luck, of one network.
        panels: value of ``set`` -> title.
        threshold: from which a concept counts as encoded, dashed.
    """
    sizes = [table[table["set"] == name]["concept"].nunique() for name in panels]
    figure, axes = plots.subplots(
        1, len(panels), size=(7.4, 0.9 + 0.2 * max(sizes)), sharex=True, squeeze=False
    )
    for ax, (name, title) in zip(axes[0], panels.items(), strict=True):
        rows = table[table["set"] == name]
        order = list(rows[rows["kind"] == "features"].sort_values(["category", "ap"])["concept"])
        for kind, (marker, colour) in KINDS.items():
            part = rows[rows["kind"] == kind].set_index("concept").loc[order]
            shown = plots.OKABE_ITO[colour]
            ax.scatter(
                part["ap"],
                range(len(order)),
                marker=marker,
                color=shown,
                s=20,
                label=NAMES.get(kind, kind),
                zorder=3,
            )
            if kind == "features":
                luck = {"color": "#7F7F7F", "marker": "|", "s": 50, "label": "luck, 95 %"}
                ax.scatter(part["luck"], range(len(order)), **luck)
        ax.axvline(threshold, color="black", lw=1, ls="--", zorder=0)
        ax.set_yticks(range(len(order)), [concept.replace("_", " ") for concept in order], fontsize="small")
        ax.set(title=title, xlim=(0.5, 1.02), ylim=(-0.7, max(sizes) - 0.3))
    figure.supxlabel("average precision of the best direction", fontsize="medium")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=4, fontsize="small")
    return figure
