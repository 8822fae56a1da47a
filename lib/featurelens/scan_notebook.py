"""A scan in a notebook: the numbers that decide, the outlier coordinates, the verdict with its limits."""

import html
from typing import TYPE_CHECKING

import pandas as pd

from featurelens.scan_fields import FIELDS, HEAD_FIELDS, shown

if TYPE_CHECKING:
    from featurelens.scan_report import ScanReport

# A terminal lists every number; a page of the book has less room.
SHOWN = ("kurtosis", "kurtosis_low", "kurtosis_high", "kurtosis_rotated", "outliers", "top_share", "leaders")
SHOWN += ("zeros", "effective_rank", "prunable")


def fragment(report: "ScanReport") -> str:
    """Return HTML without a style of its own, so that it looks like the tables around it."""
    values, at = report.values, f" at {report.point}" if report.point else ""
    left_out = f" Left out: {len(report.left_out):,}." if report.left_out else ""
    head = f"{values['images']:,} images, {values['width']:,} features{at}.{left_out}"
    numbers = pd.DataFrame(
        [(name, shown(values[name]), (FIELDS | HEAD_FIELDS)[name]) for name in SHOWN if name in values],
        columns=["measure", "value", "what it is"],
    )
    said = "".join(f"<p>{html.escape(text)}</p>" for text in report.verdict.sentences)
    limits = "".join(f"<li>{html.escape(text)}</li>" for text in report.verdict.limits)
    return (
        f"<p><strong>{html.escape(report.name)}</strong>: {html.escape(head)} "
        f"Pattern: {report.measured.pattern}.</p>{numbers.to_html(index=False)}{_coordinates(report)}"
        f"<p><strong>Verdict</strong></p>{said}<p>What it cannot say:</p><ul>{limits}</ul>"
    )


def _coordinates(report: "ScanReport") -> str:
    rows = report.measured.coordinates
    if not rows:
        return "<p>Outlier coordinates: none.</p>"
    table = pd.DataFrame(
        {
            "outlier coordinate": [each.index for each in rows],
            "× median": [shown(each.times_median) if each.times_median else "" for each in rows],
            "leads": [f"{each.leads:.1%}" for each in rows],
            "of kurtosis": [f"{each.kurtosis_share:.1%}" for each in rows],
            "kind": [each.kind for each in rows],
        }
    )
    return table.to_html(index=False)
