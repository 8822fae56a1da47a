"""Figures of the words on the directions of a head."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from featurelens import plots

HIGH, LOW = plots.OKABE_ITO[0], plots.OKABE_ITO[1]
MARKERS = "os^Dv"
# Letters of names that fit side by side into a row of panels, left and right of zero.
LETTERS = {"high": 42, "low": 57}


def extremes(panels: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the words at both ends of some scores, the highest on top, a panel per score.

    Args:
        panels: tables of :func:`featurelens.words.extremes` by title, up to three.
    """
    n_words = max(len(table) for table in panels.values())
    furthest = 1.08 * max(table["z"].abs().max() for table in panels.values())
    figure, axes = plots.subplots(1, len(panels), size=(7.2, 0.8 + 0.19 * n_words), squeeze=False)
    for ax, (title, table) in zip(axes[0], panels.items(), strict=True):
        # A gap of one line stands for the words between the two ends.
        y = [n + (end == "low") for n, end in enumerate(table["end"])]
        colours = [HIGH if end == "high" else LOW for end in table["end"]]
        ax.hlines(y, 0, table["z"], color=colours, lw=1.2)
        ax.scatter(table["z"], y, c=colours, s=20, zorder=3)
        ax.axvline(0, color="#4D4D4D", lw=0.8)
        for height, word, end in zip(y, table["word"], table["end"], strict=True):
            # On the other side of zero than the line; the long names are mostly those with low scores.
            side = {"xytext": (-4, 0), "ha": "right"} if end == "high" else {"xytext": (4, 0), "ha": "left"}
            place = {"textcoords": "offset points", "va": "center", "fontsize": 8}
            ax.annotate(_short(word, LETTERS[end] // len(panels)), (0, height), **side, **place)
        ax.set(xlim=(-furthest, 1.3 * furthest), ylim=(max(y) + 0.7, -0.7), yticks=[])
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        ax.set_title(title, loc="left")
        ax.grid(axis="y", visible=False)
        ax.spines.left.set_visible(False)
    figure.supxlabel("distance from the mean over all words (sd)", fontsize="medium")
    return figure


def relations(
    table: pd.DataFrame, heads: Mapping[str, str], scores: Mapping[str, str], facts: Mapping[str, str]
) -> Figure:
    """Draw rank correlations of scores with facts of the words and their intervals, a panel per score.

    Args:
        table: one measure of :func:`featurelens.word_relations.relations`, with a column ``head``.
        heads: head -> its name in the key.
        scores: score -> title of its panel.
        facts: fact -> what to call it, from the top; a fact that a head does not have is left out there.
    """
    figure, axes = plots.subplots(
        1, len(scores), size=(7.2, 1.3 + 0.36 * len(facts)), squeeze=False, sharey=True, sharex=True
    )
    places = {fact: y for y, fact in enumerate(facts)}
    for ax, (score, title) in zip(axes[0], scores.items(), strict=True):
        for n, (head, label) in enumerate(heads.items()):
            rows = table[(table["head"] == head) & (table["score"] == score) & table["fact"].isin(places)]
            y = [places[fact] + 0.2 * (n - (len(heads) - 1) / 2) for fact in rows["fact"]]
            ax.hlines(y, rows["low"], rows["high"], color=plots.OKABE_ITO[n], lw=1.8)
            style = {"color": plots.OKABE_ITO[n], "marker": MARKERS[n], "s": 26, "zorder": 3, "label": label}
            ax.scatter(rows["value"], y, **style)
        ax.axvline(0, color="black", lw=1)
        ax.set_title(title, loc="left")
        ax.grid(axis="y", visible=False)
        ax.tick_params(axis="y", length=0)
    axes[0, 0].set_yticks(range(len(facts)), facts.values())
    axes[0, 0].set_ylim(len(facts) - 0.5, -0.5)
    figure.supxlabel("rank correlation", fontsize="medium")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize="small"
    )
    return figure


def _short(word: str, most: int) -> str:
    """The name with spaces, cut where it is too long."""
    plain = word.replace("_", " ")
    return plain if len(plain) <= most else f"{plain[: most - 1].rstrip()}…"
