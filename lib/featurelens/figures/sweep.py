"""Figures of the sweep of chapter 5: what in training makes outlier features."""

from collections.abc import Mapping
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from featurelens import plots

CENTRE = "#999999"


def effects(tables: Mapping[str, pd.DataFrame], names: Mapping[str, str]) -> Figure:
    """Draw main effects with their intervals, a panel per response, a row per factor.

    Args:
        tables: title -> ``featurelens.effects.main_effects`` of a response in powers of two.
        names: factor -> what its row says.
    """
    figure, axes = plots.subplots(1, len(tables), size=(7.4, 3.4), sharey=True, squeeze=False)
    for ax, (title, table) in zip(axes[0], tables.items(), strict=True):
        rows = table.set_index("factor").loc[list(names)]
        y, clear = np.arange(len(rows)), ((rows["low"] > 0) | (rows["high"] < 0)).to_numpy()
        factor = 2 ** rows[["effect", "low", "high"]]
        ax.axvline(1, color="black", lw=1)
        for chosen, face in ((clear, plots.OKABE_ITO[0]), (~clear, "white")):
            part = factor[chosen]
            ax.hlines(y[chosen], part["low"], part["high"], color=plots.OKABE_ITO[0], lw=1.5)
            shown = {"facecolor": face, "edgecolor": plots.OKABE_ITO[0], "zorder": 3, "s": 34}
            ax.scatter(part["effect"], y[chosen], **shown)
        ax.set_title(title, fontsize="small")
        ax.set(ylim=(len(rows) - 0.5, -0.5))
    axes[0, 0].set_yticks(range(len(names)), list(names.values()), fontsize="small")
    figure.supxlabel("times as large; full: the 95 % interval leaves out 1", fontsize="small")
    return figure


def one_at_a_time(table: pd.DataFrame, panels: Mapping[str, str], names: Mapping[str, str]) -> Figure:
    """Draw the end of each run around the centre; the centre's seeds are the grey stripe.

    Args:
        table: name and the columns of ``panels``, one row per run; runs of the centre are ``one-centre-…``.
        panels: column -> title.
        names: run -> what it changes, from the top.
    """
    figure, axes = plots.subplots(
        1, len(panels), size=(7.4, 0.8 + 0.22 * len(names)), sharey=True, squeeze=False
    )
    ends, centre = table.set_index("name"), table[table["name"].str.startswith("one-centre")]
    for ax, (column, title) in zip(axes[0], panels.items(), strict=True):
        ax.axvspan(centre[column].min(), centre[column].max(), color=CENTRE, alpha=0.3, lw=0)
        ax.scatter(ends.loc[list(names), column], range(len(names)), s=30, zorder=3)
        ax.set_title(title, fontsize="small")
        ax.set(ylim=(len(names) - 0.5, -0.5))
        ax.margins(x=0.1)
    axes[0, 0].set_yticks(range(len(names)), list(names.values()), fontsize="small")
    return figure


def trajectories(table: pd.DataFrame, runs: Mapping[str, str], panels: Mapping[str, str]) -> Figure:
    """Draw quantities along training, a line per run, a panel per quantity.

    Args:
        table: name, step and the columns of ``panels``, one row per measurement.
        runs: run -> label.
        panels: column -> title.
    """
    figure, axes = plots.subplots(1, len(panels), size=(7.4, 3.2), squeeze=False)
    dashes = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
    for ax, (column, title) in zip(axes[0], panels.items(), strict=True):
        looks = zip(cycle(dashes), cycle(plots.OKABE_ITO), strict=True)
        for (run, label), (style, colour) in zip(runs.items(), looks, strict=False):
            rows = table[table["name"] == run].sort_values("step")
            ax.plot(rows["step"], rows[column], ls=style, color=colour, label=label)
        ax.set_title(title, fontsize="small")
        ax.set(xlabel="step")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small"
    )
    return figure
