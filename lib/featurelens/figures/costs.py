"""Figure of chapter 6: what a run at the paper's scale takes."""

import pandas as pd
from matplotlib.figure import Figure

from featurelens import plots


def hours(table: pd.DataFrame, encoders: int) -> Figure:
    """Draw the hours of forward passes and of decoding, once or for every encoder, a row a GPU.

    Args:
        table: rows of ``featurelens.paper.costs.hours``.
        encoders: how many encoders they are for.
    """
    figure, ax = plots.subplots(size=(7.2, 1.2 + 0.36 * len(table)))
    marks = {
        "forward passes": (table["encode"], plots.OKABE_ITO[0], "o"),
        "decoding, once for all": (table["decode"], plots.OKABE_ITO[2], "s"),
        f"decoding, {encoders} times": (table["decode"] * encoders, plots.OKABE_ITO[1], "D"),
    }
    for label, (values, colour, marker) in marks.items():
        ax.scatter(values, range(len(table)), color=colour, marker=marker, s=42, zorder=3, label=label)
    names = [
        f"{row.hardware}, {row.cores:.0f} cores{'*' if row.kind == 'estimate' else ''}"
        for row in table.itertuples()
    ]
    ax.set_yticks(range(len(table)), names)
    ax.set(xscale="log", ylim=(len(table) - 0.5, -0.5), xlabel="hours (* estimated rates)")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.grid(axis="y", visible=False)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    return figure
