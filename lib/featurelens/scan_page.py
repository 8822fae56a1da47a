"""The page of a scan: one file, without a script, that opens with the network off."""

import html
from collections.abc import Iterable
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import pandas as pd

from featurelens import scan_measures, scan_references, stamps
from featurelens.figures import scan as figures
from featurelens.scan_fields import FIELDS, HEAD_FIELDS, shown

if TYPE_CHECKING:
    from featurelens.scan_evidence import Outcome
    from featurelens.scan_report import ScanReport

_LONGEST = 44  # letters in a line of a table's cell
REFERENCES = ["label", "described", "side", "er", "kurtosis", "outliers", "outlier_share", "source", "commit"]


def page(report: "ScanReport") -> str:
    """Return the complete page, HTML."""
    style, body = (Path(__file__).with_suffix(end).read_text("utf-8").strip() for end in (".css", ".html"))
    values, measured, verdict = report.values, report.measured, report.verdict
    references = scan_references.table()
    words = {"name": report.name, "what": _what(report), "origin": _origin(report), "date": report.date}
    words["commit"] = stamps.commit()
    last, end = ' class="last"', len(verdict.sentences) - 1
    parts = {key: html.escape(text) for key, text in words.items()} | {
        "style": style,
        "facts": _facts(report),
        "sentences": "\n".join(
            f"<p{last if n == end else ''}>{html.escape(text)}</p>"
            for n, text in enumerate(verdict.sentences)
        ),
        "limits": "\n".join(f"<li>{html.escape(text)}</li>" for text in verdict.limits),
        "standing": figures.standing(
            references, report.name, values["kurtosis"], values["top_share"], scan_references.robust_from()
        ),
        "records": _records(report),
        "kurtosis": figures.kurtosis(measured.k_N, values["kurtosis_gaussian"]),
        "profile": figures.profile(measured.distance_D, [each.index for each in measured.coordinates]),
        "coordinates": _coordinates(report),
        "agreement": _agreement(report),
        "measures": _measures(report),
        "references": _references(references),
    }
    return Template(body).substitute(parts)


def _what(report: "ScanReport") -> str:
    values, at = report.values, f" at “{report.point}”" if report.point else ""
    of = f" of {report.images['images']}" if report.images else ""
    size = f"{values['width']:,} features{at}, {values['images']:,} images{of}"
    return f"{size}. {_sentence(report)}. {report.losses}".rstrip()


def _sentence(report: "ScanReport") -> str:
    return report.measured.pattern[0].upper() + report.measured.pattern[1:]


def _origin(report: "ScanReport") -> str:
    if report.identity is None:
        return "Features from a file or from memory, not made by this scan."
    return f"Encoder {report.identity['encoder']}, weights {report.identity['weights'][:12]}."


def _facts(report: "ScanReport") -> str:
    low, high, gaussian = (shown(report.values[f"kurtosis_{end}"]) for end in ("low", "high", "gaussian"))
    names = {
        "kurtosis": f"mean activation kurtosis, 95% interval {low} to {high} (Gaussian: {gaussian})",
        "outliers": "outlier coordinates",
        "top_share": "of the kurtosis in one coordinate",
        "effective_rank": "effective rank",
        "prunable": "of the head's directions can go",
    }
    told = {name: report.values[name] for name in names if name in report.values}
    as_share = ("top_share", "prunable")
    return "\n".join(
        f"<li><b>{f'{value:.1%}' if name in as_share else shown(value)}</b> {html.escape(names[name])}</li>"
        for name, value in told.items()
    )


def _agreement(report: "ScanReport") -> str:
    curve = report.measured.agreement_K1
    if curve is None:
        return ""
    drawn = figures.agreement(curve, report.values["prunable"], scan_measures.LOSS)
    caption = "Decisions of the head that stay when only its most important directions do."
    return f"<figure>\n{drawn}\n<figcaption>{caption}</figcaption>\n</figure>"


def _coordinates(report: "ScanReport") -> str:
    head = ["Coordinate", "× median", "Leads", "Present", "Of kurtosis", "Same in every image", "Kind"]
    rows = [
        [
            str(each.index),
            "" if each.times_median is None else f"{each.times_median:.1f}",
            *(f"{x:.1%}" for x in (each.leads, each.present, each.kurtosis_share, each.constant_share)),
            each.kind,
        ]
        for each in report.measured.coordinates
    ]
    if not rows:
        return "<p>No coordinate is an outlier.</p>"
    caption = (
        "Outlier coordinates: size against the median coordinate, shares of images, share of the kurtosis"
    )
    return _table(caption, head, rows, left=("Kind",))


def _measures(report: "ScanReport") -> str:
    rows = [
        [name, shown(report.values[name]), what]
        for name, what in (FIELDS | HEAD_FIELDS).items()
        if name in report.values
    ]
    return _table("All numbers, by the names that --fail-if knows", ["Name", "Value", "What it is"], rows)


def _records(report: "ScanReport") -> str:
    standing_of = {each.rule: each for each in report.verdict.standings}
    rows = []
    for each in report.verdict.records:
        own = standing_of[each.rule] if each.world == "real" else None
        here = (
            ["", ""]
            if own is None
            else [shown(own.value), "none fits" if own.cut is None else shown(own.cut)]
        )
        said = "; ".join(f"{o.family}: {_said(o)}" for o in each.outcomes)
        counted = f"{each.right} of {len(each.outcomes)}"
        rows.append([each.rule, each.world, *here, counted, f"{each.low:.0%} to {each.high:.0%}", said])
    head = [
        "Rule",
        "References",
        "This model",
        "Cut",
        "Right",
        "Interval",
        "What it said of each family left out",
    ]
    caption = (
        "How often each rule was right about a family (in the miniature: a regime) that it was not fitted to"
    )
    return _table(caption, head, rows, left=("References", head[-1]))


def _said(outcome: "Outcome") -> str:
    if outcome.said == "nothing":
        return "no cut fits the others"
    return f"{outcome.said}, {'right' if outcome.right else 'wrong'}"


def _references(references: pd.DataFrame) -> str:
    head = [
        "Model",
        "Features of",
        "Side",
        "Effective robustness",
        "Kurtosis",
        "Outliers",
        "Of one coordinate",
    ]
    rows = [
        ["" if pd.isna(value) else value if isinstance(value, str) else shown(value) for value in row]
        for row in references[REFERENCES].itertuples(index=False)
    ]
    caption = "Reference feature sets. Effective robustness in points, blank where it is not known"
    head += ["Result tables", "Commits"]
    return _table(caption, head, rows, left=("Features of", "Side", "Result tables", "Commits"))


def _table(
    caption: str, head: list[str], rows: Iterable[list[str]], left: Iterable[str] = ("What it is",)
) -> str:
    """A table that scrolls where it does not fit; all columns but the first and ``left`` are numbers."""
    rows = list(rows)
    kinds = [
        _room(row[n] for row in rows) if n == 0 or name in left else ' class="number"'
        for n, name in enumerate(head)
    ]
    top = "".join(f'<th scope="col"{k}>{html.escape(name)}</th>' for k, name in zip(kinds, head, strict=True))
    lines = []
    for first, *rest in rows:
        cells = "".join(f"<td{k}>{html.escape(cell)}</td>" for k, cell in zip(kinds[1:], rest, strict=True))
        lines.append(f'<tr><th scope="row">{html.escape(first)}</th>{cells}</tr>')
    opening = f'<div class="scroll" role="region" tabindex="0" aria-label="{html.escape(caption)}">'
    body = "\n".join(lines)
    named = html.escape(caption)
    table = f"<table><caption>{named}</caption><thead><tr>{top}</tr></thead><tbody>\n{body}\n</tbody></table>"
    return f"{opening}{table}</div>"


def _room(cells: Iterable[str]) -> str:
    """Width of a column of words: its cells have two lines, as far as that is not too wide."""
    return f' style="min-width: {min(max(map(len, cells)) // 2 + 2, _LONGEST)}ch"'
