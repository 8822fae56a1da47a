"""Rows of the page of a dissection, and how it writes an average precision."""

import html
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from featurelens.dissect_report import Report

ARROWS = {1: "↑", -1: "↓"}
MOST_KINDS = 30  # categories that get a bar
SENSES = {1: "highest scores first", -1: "lowest scores first"}


def shown(ap: float) -> str:
    """An average precision with three decimals, rounded down: 0.8999 must not look like 0.9."""
    return f"{thousandths(ap) / 1000:.3f}"


def thousandths(ap: float | np.ndarray) -> np.ndarray:
    """Average precisions in whole thousandths, rounded down."""
    return np.floor(1000 * ap + 1e-9).astype(int)  # 0.29 is 289.99999999999994 thousandths


def kinds(report: "Report") -> str:
    """How many concepts are encoded, category by category; nothing where that is one bar, or too many."""
    counts = report.kinds()
    if not 1 < len(counts) <= MOST_KINDS:
        return ""
    items = (
        f'<li><span class="name">{html.escape(name)}</span>'
        f'<span class="share" style="--v: {encoded / of:.4f}"><i></i></span>'
        f'<span class="of">{encoded:,} of {of:,}</span></li>'
        for name, encoded, of in counts.itertuples()
    )
    return f'<ul class="kinds" aria-label="Encoded, by category">{"".join(items)}</ul>'


def _precision(ap: float, luck: float, threshold: float) -> str:
    """A table's cell: number and bar."""
    kind = "ap found" if ap >= threshold else "ap"
    return (
        f'<td data-v="{ap:.6f}"><span class="{kind}"><b>{shown(ap)}</b><span aria-hidden="true" '
        f'style="--v: {ap:.3f}; --luck: {luck:.3f}"><i></i></span></span></td>'
    )


def _sense(sense: int) -> str:
    words = SENSES[sense]
    return f'<span role="img" aria-label="{words}" title="{words}">{ARROWS[sense]}</span>'


def concepts(report: "Report", luck_T: list[float]) -> Iterator[str]:
    """Concepts, best first."""
    detecting_T = (report.found.ap_KT >= report.threshold).sum(0).numpy()
    table = report.found.table().assign(luck=luck_T, detecting=detecting_T, images=report.positive_T)
    for row in table.sort_values("ap", ascending=False, kind="stable").itertuples():
        name, kind = html.escape(row.concept), html.escape(row.category)
        found = ' data-found=""' if row.ap >= report.threshold else ""
        yield (
            f'<tr id="concept-{row.Index}" data-direction="{row.direction}"{found}>'
            f'<th scope="row" data-v="{name}"><a href="#concept-{row.Index}">{name}</a>'
            f'<small class="narrow">{kind}</small></th>'
            f'<td class="wide" data-v="{kind}">{kind}</td>{_precision(row.ap, row.luck, report.threshold)}'
            f'<td class="number" data-v="{row.direction}">'
            f'<a href="#direction-{row.direction}">{row.direction}</a> {_sense(row.sense)}</td>'
            f'<td class="number wide" data-v="{row.detecting}">{row.detecting}</td>'
            f'<td class="number wide" data-v="{row.images}">{row.images:,}</td></tr>'
        )


def directions(report: "Report", order: pd.DataFrame, luck_T: list[float], pictures: bool) -> Iterator[str]:
    """Directions, those that detect most first."""
    best_2K, concept_2K = report.found.ap_2KT.max(2)
    sense_K = best_2K.argmax(0)
    strip = '<td class="strip"></td>' if pictures else ""
    for row in order.itertuples():
        k = row.direction
        t = int(concept_2K[sense_K[k], k])
        name, kind = html.escape(report.found.names[t]), html.escape(report.found.categories[t])
        bits = "" if math.isnan(row.entropy) else f"{row.entropy:.2f}"
        found = ' data-found=""' if row.concepts else ""
        yield (
            f'<tr id="direction-{k}"{found}>'
            f'<th scope="row" data-v="{k}"><a href="#direction-{k}">{k}</a></th>'
            f'<td class="number" data-v="{row.concepts}">{row.concepts}</td>'
            f'<td class="number wide" data-v="{bits}">{bits or "–"}</td>'
            f"{_precision(row.ap, luck_T[t], report.threshold)}"
            f'<td data-v="{name}"><a href="#concept-{t}">{name}</a> '
            f"{_sense(1 - 2 * int(sense_K[k]))} <small>{kind}</small></td>{strip}</tr>"
        )
