"""A scan in a notebook: the numbers that decide, the outlier coordinates, the verdict with its limits."""

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from featurelens.scan_fields import FIELDS, HEAD_FIELDS, shown

if TYPE_CHECKING:
    from featurelens.scan_report import ScanReport

# A terminal lists every number; a page of the book has less room.
SHOWN = ("kurtosis", "kurtosis_low", "kurtosis_high", "kurtosis_rotated", "outliers", "top_share", "leaders")
SHOWN += ("zeros", "effective_rank", "prunable")
_GAP = ' style="margin-top: 1.2rem"'  # tables end without one


def fragment(report: "ScanReport") -> str:
    """Return HTML that looks like the text and the tables around it."""
    values, at = report.values, f" at {report.point}" if report.point else ""
    head = f"{values['images']:,} images, {values['width']:,} features{at}. {report.losses}".rstrip()
    named = [name for name in SHOWN if name in values]
    numbers = [(name, shown(values[name]), (FIELDS | HEAD_FIELDS)[name]) for name in named]
    said = "".join(f"<p>{html.escape(text)}</p>" for text in report.verdict.sentences)
    limits = "".join(f"<li>{html.escape(text)}</li>" for text in report.verdict.limits)
    return (
        f"<p><strong>{html.escape(report.name)}</strong>: {html.escape(head)} "
        f"Pattern: {report.measured.pattern}.</p>{_table(('measure', 'value', 'what it is'), numbers)}"
        f"{_coordinates(report)}<p{_GAP}><strong>Verdict.</strong></p>{said}"
        f"<p>What it cannot say:</p><ul>{limits}</ul>"
    )


def _coordinates(report: "ScanReport") -> str:
    coordinates = report.measured.coordinates
    if not coordinates:
        return f"<p{_GAP}>Outlier coordinates: none.</p>"
    rows = []
    for each in coordinates:
        times = "" if each.times_median is None else f"{each.times_median:.1f}"
        rows.append((f"{each.index}", times, f"{each.leads:.1%}", f"{each.kurtosis_share:.1%}", each.kind))
    head = ("coordinate", "× median", "leads", "of kurtosis", "kind")
    return f"<p{_GAP}>Outlier coordinates: {len(rows)}.</p>{_table(head, rows)}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as pandas writes it, but the first and the last column are words and begin at the left."""
    left = ' style="text-align: left"'
    words = [left, *[""] * (len(head) - 2), left]
    top = "".join(f'<th scope="col"{k}>{html.escape(each)}</th>' for k, each in zip(words, head, strict=True))
    body = ""
    for row in rows:
        cells = (f"<td{k}>{html.escape(each)}</td>" for k, each in zip(words, row, strict=True))
        body += f"<tr>{''.join(cells)}</tr>"
    return f'<table class="dataframe"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
