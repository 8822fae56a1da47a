"""Every coordinate of some features, and the pictures at both ends of the one a reader chooses.

Python writes the coordinate that adds most to the kurtosis of the first features; the script the others.
"""

import html
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from featurelens import explorers
from featurelens.explorers import Sheet
from featurelens.figures import explorer as shared
from featurelens.figures.markup import Markup, options

ENDS = 8  # pictures at each end
NAMED = 3  # bars with a number
MEASURES = {
    "distance": ("distance from the image's mean", "standard deviations, median over images"),
    "share": ("share of the kurtosis", "% of the kurtosis"),
}
FACTS = (
    "share of the kurtosis",
    "distance from the image's mean, median (sd)",
    "times that of the median coordinate",
    "images in which it lies furthest from the mean",
    "images in which it alone adds 3 or more to the kurtosis",
    "standard score, mean ± sd over images",
    "share of its mean square that is the same in every image",
    "so it is",
)
KINDS = {
    "constant offset": "a constant offset",
    "image-dependent": "image-dependent",
    "both": "an offset and image-dependent",
}
COLUMNS = {"view", "coordinate", *explorers.coordinates(torch.eye(3)).columns}


def explorer(
    table: pd.DataFrame, scores: Mapping[str, torch.Tensor], sheet: Sheet, caption: str, note: str = ""
) -> Markup:
    """Return the explorer of the coordinates of one or more sets of features.

    Args:
        table: as :func:`featurelens.explorers.coordinate_table`; views are listed as they first appear.
        scores: standard scores (P x D) of the sheet's pictures for each view.
        sheet: P pictures.
        caption: what is shown; ``note``: where it comes from. Plain text.

    Raises:
        ValueError: a column, a coordinate or a view is missing, or other scores than pictures or coordinates.
    """
    views = [_view(name, rows, scores, sheet) for name, rows in _read(table)]
    first = views[0]
    j = int(np.argmax(first["heights"][1]))
    words = {"name_of_view": first["name"], "last": str(first["width"] - 1), "chosen": str(j), "note": note}
    words |= {"said": _said(first, j), "title": first["titles"][0], "pictures": f"{len(sheet.words):,}"}
    parts = {key: html.escape(text) for key, text in words.items()}
    parts["views"] = options(view["name"] for view in views)
    parts["measures"] = options(name for name, _ in MEASURES.values())
    parts["drawing"] = _drawing(first, j)
    parts["facts"] = shared.facts(list(zip(FACTS, first["facts"][j], strict=True)))
    for end, key in enumerate(("high", "low")):
        places, tenths = first["ends"][j][end], first["scores"][j][end]
        lines = (shared.picture(sheet, p, signed(z / 10, 1)) for p, z in zip(places, tenths, strict=True))
        parts[key] = "".join(lines)
    content = {"views": views, "units": [unit for _, unit in MEASURES.values()]}
    return shared.filled(Path(__file__), caption, sheet, content, parts)


def _read(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    if missing := COLUMNS - set(table):
        raise ValueError(f"table: expected columns {sorted(COLUMNS)}, missing {sorted(missing)}")
    if table.empty:
        raise ValueError("table: expected at least one coordinate, found none")
    views = [(str(name), rows.sort_values("coordinate")) for name, rows in table.groupby("view", sort=False)]
    for name, rows in views:
        if rows["coordinate"].tolist() != (wanted := list(range(len(rows)))):
            raise ValueError(
                f"table: expected each coordinate of 0..{wanted[-1]} once, found others in {name}"
            )
    return views


def _view(name: str, rows: pd.DataFrame, scores: Mapping[str, torch.Tensor], sheet: Sheet) -> dict:
    """What the script needs of one set of features."""
    if name not in scores:
        raise ValueError(f"scores: expected those of {name}, found {sorted(scores)}")
    z_PD, wanted = scores[name], (len(sheet.words), len(rows))
    if (shape := tuple(z_PD.shape)) != wanted:
        raise ValueError(f"scores of {name}: expected {wanted} (pictures x coordinates), found {shape}")
    ends = np.stack(explorers.ends(z_PD, ENDS), 1)  # coordinates x 2 x pictures
    tenths = np.rint(10 * np.take_along_axis(z_PD.numpy().T[:, None], ends, 2)).astype(int)
    heights = [rows["distance"].round(3).tolist(), (100 * rows["share"]).round(2).tolist()]
    return {
        "name": name,
        "width": len(rows),
        "heights": heights,
        "tops": [_top(max(values)) for values in heights],
        "titles": [_title(name, rows, measure) for measure in MEASURES],
        "named": [_largest(values) for values in heights],
        "facts": [_facts(row) for row in rows.itertuples(index=False)],
        "outlier": rows["outlier"].astype(int).tolist(),
        "ends": ends.tolist(),
        "scores": tenths.tolist(),
    }


def _facts(row: NamedTuple) -> list[str]:
    """Values of ``FACTS``, as they are shown."""
    times = "" if math.isnan(row.times_median) else f"{row.times_median:.1f}"
    return [
        f"{100 * row.share:.1f} %",
        f"{row.distance:.2f}",
        times or "not defined",
        f"{100 * row.leads:.1f} %",
        f"{100 * row.present:.1f} %",
        f"{signed(row.offset, 2)} ± {row.spread:.2f}",
        f"{100 * row.constant_share:.0f} %",
        KINDS[row.kind],
    ]


def signed(value: float, decimals: int) -> str:
    """A number with its sign, a true minus; none for what is rounded to 0."""
    text = f"{abs(value):.{decimals}f}"
    return text if float(text) == 0 else f"{'+' if value > 0 else '−'}{text}"


def _said(view: dict, j: int) -> str:
    """What a reader has chosen, in one sentence; the script says the same."""
    share, _, _, leads, *_ = view["facts"][j]
    rule = "an" if view["outlier"][j] else "not an"
    return (
        f"{view['name']}: coordinate {j} has {share} of the kurtosis and lies furthest from the mean in "
        f"{leads} of the images; by the definition {rule} outlier coordinate."
    )


def _title(name: str, rows: pd.DataFrame, measure: str) -> str:
    what, unit = MEASURES[measure]
    top = rows.loc[rows[measure].idxmax()]
    high = f"{top['distance']:.2f}" if measure == "distance" else f"{100 * top['share']:.1f}"
    return (
        f"Bar chart of {len(rows)} coordinates of {name}: {what}, {unit}. "
        f"The highest bar is coordinate {top['coordinate']}, {high}."
    )


def _top(highest: float) -> float:
    """Upper end of the axis, which is halved once: a few round numbers times a power of ten."""
    ten = 10.0 ** math.floor(math.log10(highest)) if highest > 0 else 1.0
    return next(round(step * ten, 6) for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * ten >= highest)


def _largest(values: list[float]) -> list[int]:
    return np.argsort(-np.array(values), kind="stable")[:NAMED].tolist()


def _drawing(view: dict, chosen: int) -> str:
    """Bars of distances, axis and the chosen coordinate's pointer; lengths are percentages."""
    values, top, width = view["heights"][0], view["tops"][0], view["width"]
    at, unit = f"{100 * (chosen + 0.5) / width:.2f}%", html.escape(MEASURES["distance"][1])
    parts = [f'<g class="fl-axis"><text class="fl-unit" x="0" dx="-2.6em" y="0" dy="-1.1em">{unit}</text>']
    for part in (0, 0.5, 1):
        y = f"{100 - 100 * part:g}%"
        words = (
            f'<text class="fl-tick" x="0" dx="-8" y="{y}" dy="0.35em" text-anchor="end">{part * top:g}</text>'
        )
        parts.append(f'<line x2="100%" y1="{y}" y2="{y}"/>{words}')
    parts.append(f'</g><svg class="fl-bars" width="100%" height="100%" viewBox="0 0 {width} 1000" ')
    parts.append('preserveAspectRatio="none">')
    for j, value in enumerate(values):
        high, on = round(1000 * value / top, 1), " fl-on" if j == chosen else ""
        place = f'x="{j}" width="1"' if on else f'x="{j + 0.2:g}" width="0.6"'
        parts.append(f'<rect class="fl-bar{on}" {place} y="{1000 - high:g}" height="{high:g}"/>')
    parts.append("</svg>")
    for j in view["named"][0]:
        place = f'x="{100 * (j + 0.5) / width:.2f}%" y="{100 - 100 * values[j] / top:.2f}%"'
        parts.append(f'<text class="fl-name" {place} dy="-0.3em" text-anchor="middle">{j}</text>')
    parts.append(f'<svg class="fl-at" x="{at}" y="100%"><path class="fl-pointer" d="M0 3l6 9h-12z"/>')
    parts.append(f'<text class="fl-name" y="12" dy="0.95em" text-anchor="middle">{chosen}</text></svg>')
    return "".join(parts)
