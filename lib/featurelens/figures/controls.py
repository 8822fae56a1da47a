"""Figures of chapter 5: robust encoders and their controls side by side."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from featurelens import plots
from featurelens.figures.robustness import MARKERS, NAMES

KINDS = {"encoder": "clip-web", "finetuned": "finetuned", "supervised": "supervised"}


def towers(table: pd.DataFrame, backbones: Mapping[str, str]) -> Figure:
    """Draw mean effective robustness of published models, a row per backbone, a mark per model.

    Args:
        table: rows of ``featurelens.controls.towers``: backbone, kind, regime, er (points).
        backbones: backbone -> name of its row, from the top.
    """
    figure, ax = plots.subplots(size=(6.8, 0.9 + 0.42 * len(backbones)))
    rows = list(backbones)
    for offset, (kind, regime) in zip((-0.18, 0, 0.18), KINDS.items(), strict=True):
        part = table[(table["kind"] == kind) & table["backbone"].isin(rows)]
        y = [rows.index(name) + offset for name in part["backbone"]]
        style = {"color": plots.colour(regime), "marker": MARKERS[regime], "s": 34, "zorder": 3}
        ax.scatter(part["er"], y, label=NAMES[regime], edgecolor="white", linewidth=0.5, **style)
    ax.axvline(0, color="black", lw=1)
    ax.set_yticks(range(len(rows)), list(backbones.values()))
    ax.set(ylim=(len(rows) - 0.5, -0.5), xlabel="mean effective robustness on four shifts (points)")
    ax.grid(axis="y", visible=False)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    return figure


def signatures(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Draw each signature of each network: a panel per signature, a row per regime, a mark per network.

    Args:
        table: regime, backbone and the columns of ``panels``.
        panels: column -> title, the first one the quantity that the others are to follow.
    """
    regimes = [name for name in plots.COLOURS if name in set(table["regime"])]
    columns = 4
    figure, axes = plots.subplots(
        -(-len(panels) // columns), columns, size=(7.4, 4.6), sharey=True, squeeze=False
    )
    for ax, (column, title) in zip(axes.flat, panels.items(), strict=False):
        for backbone, marker in (("resnet", "o"), ("vit", "^")):
            rows = table[table["backbone"] == backbone]
            y = [regimes.index(name) + (0.16 if backbone == "vit" else -0.1) for name in rows["regime"]]
            colours = [plots.colour(name) for name in rows["regime"]]
            ax.scatter(rows[column], y, c=colours, marker=marker, s=24, edgecolor="white", lw=0.5, zorder=3)
        ax.set_title(title, fontsize="small")
        ax.set(ylim=(len(regimes) - 0.5, -0.5))
        ax.margins(x=0.1)
        ax.tick_params(axis="x", labelsize="small")
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    for ax in axes[:, 0]:
        ax.set_yticks(range(len(regimes)), regimes, fontsize="small")
    figure.supxlabel("circles: ResNets; triangles: ViTs", fontsize="small")
    return figure


def kurtosis_against_robustness(table: pd.DataFrame) -> Figure:
    """Draw kurtosis of real feature sets against the robustness of their encoders.

    Args:
        table: rows of ``featurelens.controls.signatures``: label, side, family, kurtosis, er (points).
    """
    figure, ax = plots.subplots(size=(6.6, 4.0))
    styles = {"CLIP": ("o", 0), "EVA-CLIP": ("D", 2), "EfficientNet": ("s", 1)}
    for family, (marker, colour) in styles.items():
        for side, face in (("image", plots.OKABE_ITO[colour]), ("text", "white")):
            rows = table[(table["family"] == family) & (table["side"] == side)]
            shown = {"facecolor": face, "edgecolor": plots.OKABE_ITO[colour], "linewidth": 1.4}
            if len(rows):
                name = f"{family}, {side} features"
                ax.scatter(rows["kurtosis"], rows["er"], marker=marker, s=48, label=name, **shown)
    ax.axvline(3, color="#7F7F7F", lw=1, ls="--", label="Gaussian: 3")
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.set(xlabel="activation kurtosis", ylabel="mean effective robustness (points)")
    ax.legend(fontsize="small", loc="center")
    return figure


def path(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Draw quantities along the way from the zero-shot network (0) to the finetuned one (1).

    Args:
        table: backbone, seed, alpha and the columns of ``panels``.
        panels: column -> title.
    """
    figure, axes = plots.subplots(1, len(panels), size=(7.4, 2.9), sharex=True, squeeze=False)
    for ax, (column, title) in zip(axes[0], panels.items(), strict=True):
        for backbone, colour, dashes in (("resnet", 0, "-"), ("vit", 1, "--")):
            rows = table[table["backbone"] == backbone].groupby("alpha")[column]
            band = rows.agg(["mean", "min", "max"])
            shown = {"color": plots.OKABE_ITO[colour]}
            ax.plot(band.index, band["mean"], ls=dashes, marker=".", label=backbone, **shown)
            ax.fill_between(band.index, band["min"], band["max"], alpha=0.2, lw=0, **shown)
        ax.set_title(title, fontsize="small")
        ax.set_xticks(np.linspace(0, 1, 3))
    figure.supxlabel("alpha: 0 zero-shot, 1 finetuned", fontsize="medium")
    axes[0, 0].legend(fontsize="small")
    return figure
