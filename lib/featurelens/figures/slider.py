"""Accuracy of a head that keeps its first k directions, with a slider over k; nothing is fetched.

Python writes the complete picture and its table, all directions kept; the script only lets a reader move k.
"""

import base64
import hashlib
import html
import math
from collections import Counter
from pathlib import Path
from string import Template
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from featurelens import stamps
from featurelens.figures.markup import Markup, options, packed

_STYLE, _SCRIPT, _PAGE, _IMAGE = (
    stamps.read(Path(__file__).with_suffix(end)).read_text("utf-8").strip()
    for end in (".css", ".js", ".html", ".svg")
)
_CURVE = ("model", "order", "image_set")
_MOST_SETS = 8  # as many as slider.css has colours and dashes
_POINTS = 200  # of a curve drawn without the script: one every few pixels
_LABEL = 5.5  # height of a curve's label, % of the plot's height
_LONGEST = 22  # letters of a name beside its curve; the table has it in full


class _Curves(NamedTuple):
    """Accuracies in tenths of a percent: ``values[model]`` is orders x image sets x (K + 1)."""

    models: list[str]
    orders: list[str]
    sets: list[str]
    values: list[np.ndarray]
    lasts: list[int]  # K of each model
    top: int  # upper end of the y axis


def slider(curves: pd.DataFrame, caption: str) -> Markup:
    """Return the curves of one model and order at a time, with a slider over the number of directions kept.

    Args:
        curves: model, order, image_set, k (0..K of the model), accuracy (fraction). k = K is the full head.
            Names are listed as they first appear; the sentence below the slider is about the first image set.
            Accuracies are rounded to 0.1 %, like ``f"{100 * accuracy:.1f}"``; differences are of the rounded.
        caption: what is shown, as plain text.

    Raises:
        ValueError: a column or a curve is missing, a k is missing or doubled, an accuracy is outside 0..1.
    """
    data = _read(curves)
    room = 2.2 + 0.55 * min(_LONGEST, max(map(len, data.sets)))  # for the names beside the curves, em
    drawing, width = _drawing(data), round(680 - 13 * room)
    image = Template(_IMAGE).substitute(style=html.escape(_STYLE, quote=False), drawing=drawing, width=width)
    parts = {"style": _STYLE, "script": _SCRIPT, "drawing": drawing, "packed": _packed(data)}
    parts["still"] = base64.b64encode(image.encode()).decode()
    parts["name"] = f"slider-{hashlib.sha256((caption + parts['packed']).encode()).hexdigest()[:10]}"
    parts["choices"] = _choice("model", data.models) + _choice("order", data.orders)
    full_S = data.values[0][0, :, -1] / 10
    words = {"caption": caption, "model": data.models[0], "order": data.orders[0], "set": data.sets[0]}
    words |= {"title": _title(data, 0, 0), "full": f"{full_S[0]:.1f}", "last": f"{data.lasts[0]}"}
    parts |= {"room": f"{room:.1f}", **{name: html.escape(text) for name, text in words.items()}}
    parts["rows"] = "".join(_row(n, *row) for n, row in enumerate(zip(data.sets, full_S, strict=True)))
    return Markup(Template(_PAGE).substitute(parts))


def _read(curves: pd.DataFrame) -> _Curves:
    """Check the table and turn it into arrays."""
    if missing := {*_CURVE, "k", "accuracy"} - set(curves):
        raise ValueError(f"curves: expected columns {(*_CURVE, 'k', 'accuracy')}, missing {sorted(missing)}")
    if curves.empty or curves[[*_CURVE, "k"]].isna().any(axis=None):
        raise ValueError(f"curves: expected {', '.join(_CURVE)} and k in every row, found none or a gap")
    if not pd.api.types.is_integer_dtype(curves["k"]):
        raise ValueError(f"curves: expected integers in k, found {curves['k'].dtype}")
    accuracy = pd.to_numeric(curves["accuracy"], errors="coerce").to_numpy(float, na_value=np.nan)
    if len(bad := curves["accuracy"][~((accuracy >= 0) & (accuracy <= 1))]):
        raise ValueError(f"curves: expected accuracies within 0..1, found {bad.iloc[0]} (in {len(bad)} rows)")
    table = curves[[*_CURVE]].astype(str).assign(k=curves["k"], accuracy=accuracy)
    models, orders, sets = (list(table[column].unique()) for column in _CURVE)
    if len(sets) > _MOST_SETS:
        raise ValueError(f"curves: expected at most {_MOST_SETS} image sets, found {len(sets)}")
    found = dict(list(table.groupby([*_CURVE])))
    last = table.groupby("model")["k"].max().to_dict()
    values = [np.array([[_curve(found, (m, o, s), last[m]) for s in sets] for o in orders]) for m in models]
    step = _step(highest := max(10, *(value.max() for value in values)))
    return _Curves(models, orders, sets, values, [last[m] for m in models], math.ceil(highest / step) * step)


def _curve(found: dict[tuple, pd.DataFrame], name: tuple[str, str, str], last: int) -> list[int]:
    """One curve, k = 0..last, in tenths of a percent."""
    if name not in found:
        raise ValueError(f"curves: expected every model x order x image set, missing {' / '.join(name)}")
    rows = found[name].sort_values("k")
    times = Counter(rows["k"].tolist())
    if wrong := [k for k in sorted({*range(max(last, 1) + 1), *times}) if times[k] != (k >= 0)]:
        expected, what = f"each k of 0..{max(last, 1)} once", f"k = {wrong[0]} {times[wrong[0]]} times"
        raise ValueError(f"curves: expected {expected}, found {what} in {' / '.join(name)}")
    # Rounded in the same two steps as a printed percentage, so that a page's tables and its slider agree.
    return [round(10 * round(100 * value, 1)) for value in rows["accuracy"].tolist()]


def _step(high: int) -> int:
    """The smallest 1, 2 or 5 x 10^n that takes at most six steps to ``high``."""
    return next(step for n in range(9) for step in (10**n, 2 * 10**n, 5 * 10**n) if 6 * step >= high)


def _title(data: _Curves, model: int, order: int) -> str:
    """What the drawing shows, in words."""
    kept = f"the number of directions kept, 0 to {data.lasts[model]}"
    which = f"Model: {data.models[model]}. Order: {data.orders[order]}."
    return f"Line chart: accuracy on {', '.join(data.sets)} against {kept}. {which}"


def _heights(values_S: np.ndarray, data: _Curves) -> np.ndarray:
    """Where accuracies lie, in percent of the plot from its upper edge."""
    return (100 - 100 * values_S / data.top).round(2)


def _ends(data: _Curves, model: int, order: int) -> list[float]:
    """Heights of the curves' labels: as near to the curves' ends as labels that do not overlap can be."""
    at_S = _heights(data.values[model][order, :, -1], data)
    rank_S, apart_S = at_S.argsort(kind="stable").argsort(), _LABEL * np.arange(len(at_S))
    return (isotonic_regression(np.sort(at_S) - apart_S).x + apart_S)[rank_S].round(2).tolist()


def _drawing(data: _Curves) -> str:
    """The inside of the SVG. Lengths are percentages, so that text keeps its size at any width."""
    curves, last, ends = data.values[0][0], data.lasts[0], _ends(data, 0, 0)
    shapes, dots = [_axes(data)], ['<line class="fl-marker" x1="100%" x2="100%" y2="100%"/>']
    drawn = np.unique(np.linspace(0, last, _POINTS + 1).round().astype(int))
    for n, (name, y) in enumerate(zip(data.sets, _heights(curves[:, -1], data), strict=True)):
        points = " ".join(f"{k},{-curves[n, k]}" for k in drawn)
        short = html.escape(name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…")
        shapes.append(
            f'<g data-series="{n}"><line class="fl-full" x2="100%" y1="{y}%" y2="{y}%"/>'
            f'<svg width="100%" height="100%" viewBox="0 {-data.top} {last} {data.top}" '
            f'preserveAspectRatio="none"><polyline points="{points}"/></svg><svg x="100%" height="100%">'
            f'<line class="fl-leader" x1="5" x2="12" y1="{y}%" y2="{ends[n]}%"/></svg>'
            f'<text class="fl-end" x="100%" dx="16" y="{ends[n]}%" dy="0.35em">{short}</text></g>'
        )
        dots.append(f'<circle class="fl-dot" data-series="{n}" cx="100%" cy="{y}%" r="5"/>')
    return "".join(shapes + dots)


def _axes(data: _Curves) -> str:
    """Grid and numbers: accuracy once for all models, k for each model (one model's are visible)."""
    parts = ['<g class="fl-axis"><text x="0" dx="-2.6em" y="0" dy="-1.3em">accuracy (%)</text>']
    ticks = np.arange(0, data.top + 1, _step(data.top))
    for value, y in zip(ticks, _heights(ticks, data), strict=True):
        parts.append(f'<line x2="100%" y1="{y}%" y2="{y}%"/>')
        parts.append(f'<text x="0" dx="-8" y="{y}%" dy="0.35em" text-anchor="end">{value / 10:g}</text>')
    for last in data.lasts:
        # K itself is always named; the multiple before it only where there is room for both.
        texts = (
            f'<text x="{100 * k / last:.2f}%" y="100%" dy="1.5em" text-anchor="middle">{k}</text>'
            for k in (*range(0, math.ceil(0.92 * last), _step(last)), last)
        )
        parts.append(f'<g class="fl-ticks">{"".join(texts)}</g>')
    return "".join([*parts, "</g>"])


def _row(number: int, name: str, full: float) -> str:
    """An image set's row of the table, nothing removed."""
    line = f'<svg class="fl-swatch" data-series="{number}" aria-hidden="true"><path d="M0 5h34"/></svg>'
    return (
        f'<tr><th scope="row">{line}{html.escape(name)}</th>'
        + f"<td>{full:.1f}</td>" * 2
        + "<td>0.0</td></tr>"
    )


def _choice(what: str, names: list[str]) -> str:
    """A labelled choice, or nothing where there is nothing to choose."""
    menu = f'<select data-choice="{what}" autocomplete="off">{options(names)}</select>'
    return f"<label><span>{what.capitalize()}</span>{menu}</label>" if len(names) > 1 else ""


def _packed(data: _Curves) -> str:
    """What the script reads: JSON that cannot end its own element; curves as little-endian 16-bit numbers."""
    orders, models = range(len(data.orders)), range(len(data.models))
    content = {"sets": data.sets, "top": data.top, "lasts": data.lasts}
    content["titles"] = [[_title(data, m, o) for o in orders] for m in models]
    content["ends"] = [[_ends(data, m, o) for o in orders] for m in models]
    raw = [[data.values[m][o].astype("<u2").tobytes() for o in orders] for m in models]
    content["curves"] = [[base64.b64encode(curves).decode() for curves in row] for row in raw]
    return packed(content)
