"""Figures of a scan's page: kurtosis over images, coordinates, the model among references, a pruned head."""

import numpy as np
import pandas as pd

from featurelens.figures import svg

HEIGHT, TALL = 230, 380
BINS = 36
STEPS = 200  # of a curve: one every few pixels
STATES = {  # shape, class and words of a reference
    "robust": ("circle", "robust", "robust"),
    "not robust": ("square", "fragile", "not robust"),
    "unknown": ("triangle", "unknown", "robustness not known"),
}


def kurtosis(k_N: np.ndarray, gaussian: float) -> str:
    """Draw how the activation kurtosis is distributed over images, and where Gaussian features would be."""
    low, high = min(k_N.min(), gaussian), max(k_N.max(), gaussian)
    margin = 0.04 * (high - low) or 1.0
    x = svg.across(low - margin, high + margin)
    count_B, edge_B = np.histogram(k_N, BINS, (low, high + 1e-9))
    y = svg.upwards(0, 1.08 * count_B.max(), HEIGHT)
    body = svg.axes(x, y, "activation kurtosis of an image", "images")
    for count, left, right in zip(count_B, edge_B[:-1], edge_B[1:], strict=True):
        if count:
            place = f'x="{x(left):g}" y="{y(count):g}" width="{max(x(right) - x(left) - 1, 1):.1f}"'
            body.append(f'<rect class="bar" {place} height="{y.start - y(count):.1f}"/>')
    body.append(svg.line("reference", x(gaussian), y.start, x(gaussian), y.end))
    body.append(svg.word(x(gaussian) + 4, y.end + 10, "Gaussian"))
    five, half, most = np.quantile(k_N, (0.05, 0.5, 0.95))
    title = f"Half of the {len(k_N):,} images have a kurtosis above {half:.3g}; Gaussian: {gaussian:.3g}."
    words = f"Histogram. Nine tenths of the images lie between {five:.3g} and {most:.3g}."
    return svg.figure("kurtosis", title, words, HEIGHT, body)


def profile(distance_D: np.ndarray, outliers: list[int]) -> str:
    """Draw how far each coordinate lies from its image's mean; outlier coordinates carry their number."""
    x, y = svg.across(-1, len(distance_D)), svg.upwards(0, 1.12 * distance_D.max() or 1.0, HEIGHT)
    body = svg.axes(x, y, "coordinate", "standard deviations")
    path = "".join(f"M{x(j):g} {y.start:g}V{y(z):g}" for j, z in enumerate(distance_D))
    body.append(f'<path class="stems" d="{path}"/>')
    for j in outliers:
        body.append(svg.line("model-stem", x(j), y.start, x(j), y(distance_D[j])))
        anchor = "end" if j > 0.9 * len(distance_D) else "start"
        body.append(svg.word(x(j) + (4 if anchor == "start" else -4), y(distance_D[j]) + 4, str(j), anchor))
    first, usual = int(distance_D.argmax()), float(np.median(distance_D))
    title = (
        f"The furthest coordinate, {first}, lies {distance_D[first]:.3g} standard deviations from the mean."
    )
    words = f"One line for each of {len(distance_D):,} coordinates, median over images; median: {usual:.3g}."
    words += f" Outlier coordinates: {', '.join(map(str, outliers)) or 'none'}."
    return svg.figure("profile", title, words, HEIGHT, body)


def agreement(agreement_K1: np.ndarray, prunable: float, loss: float) -> str:
    """Draw the share of a head's decisions that stay when only its k most important directions do."""
    last = len(agreement_K1) - 1
    x, y = svg.across(0, last), svg.upwards(0, 1.04, HEIGHT)
    body = svg.axes(x, y, "directions kept, most important first", "same decisions")
    ks = np.unique(np.linspace(0, last, STEPS).round().astype(int))
    points = " ".join(f"{x(k):g},{y(agreement_K1[k]):g}" for k in ks)
    kept = round((1 - prunable) * last)
    body += [
        svg.line("reference", x.start, y(1 - loss), x.end, y(1 - loss)),
        f'<polyline class="curve" points="{points}"/>',
        svg.line("model-stem", x(kept), y.start, x(kept), y(agreement_K1[kept])),
    ]
    title = f"{kept} of {last} directions keep {1 - loss:.0%} of the head's decisions: {prunable:.0%} can go."
    half = agreement_K1[last // 2]
    words = f"A curve over the number of directions kept. Half of them keep {half:.0%} of the decisions."
    return svg.figure("agreement", title, words, HEIGHT, body)


def standing(references: pd.DataFrame, name: str, kurtosis: float, share: float, robust_from: float) -> str:
    """Draw a model among the references: kurtosis, and how much of it one coordinate has.

    Args:
        references: as :func:`featurelens.scan_references.table`.
        name: of the model.
        kurtosis: of the model.
        share: largest share of one coordinate in the model.
        robust_from: effective robustness from which on a reference counts as robust, in points.
    """
    seen = [*references["kurtosis"], kurtosis]
    x, y = svg.across(min(seen) / 1.15, 2.2 * max(seen), log=True), svg.upwards(-0.03, 1.06, TALL)
    body = svg.axes(x, y, "mean activation kurtosis (logarithmic)", "share of one coordinate in it")
    for row in references.itertuples():
        known = "robust" if row.er >= robust_from else "not robust"
        shape, kind, words = STATES["unknown" if pd.isna(row.er) else known]
        kind += " small" if row.world == "miniature" else ""
        told = f"{row.label}, {row.described} ({row.side}): kurtosis {row.kurtosis:.3g}, {words}"
        body.append(svg.mark(shape, kind, x(row.kurtosis), y(row.outlier_share), told))
    known = references[references["er"].notna() & (references["world"] == "real")]
    for family, rows in known.groupby("family", sort=False):
        at = y(rows["outlier_share"].mean())
        body.append(svg.word(x(rows["kurtosis"].max()) + 9, at + 4, str(family), "start", "family"))
    here = x(kurtosis), y(share)
    body.append(svg.mark("diamond", "model", *here, name))
    away, anchor = (12, "start") if here[0] < svg.WIDTH / 2 else (-12, "end")
    body.append(svg.word(here[0] + away, here[1] - 10, "this model", anchor, "model-name"))
    spans = []
    for family, rows in known.groupby("family", sort=False):
        low, high = rows["kurtosis"].min(), rows["kurtosis"].max()
        spans.append(f"{family} {low:.3g} to {high:.3g}")
    title = f"{name} has a kurtosis of {kurtosis:.3g}, of which one coordinate has {share:.0%}."
    words = f"Scatter plot of {len(references)} reference feature sets and this model. Kurtosis of families: "
    return svg.figure("standing", title, words + "; ".join(spans) + ".", TALL, body)
