"""A table that a reader can sort by clicking on a column's name; nothing is loaded from anywhere."""

import hashlib
import html
import math

import pandas as pd

from featurelens.figures.markup import Markup

_STYLE = """
.fl-sortable {max-height: 30em; overflow: auto; font-size: 0.8em}
.fl-sortable table {border-collapse: separate; border-spacing: 0}
.fl-sortable caption {text-align: left; caption-side: top; color: inherit}
.fl-sortable :is(th, td) {padding: 0.15em 0.5em; text-align: left}
.fl-sortable :is(th, td) {color: inherit; background: var(--pst-color-background, Canvas)}
.fl-sortable th {position: sticky; top: 0; z-index: 1; vertical-align: bottom; border-bottom: 1px solid}
.fl-sortable :is(th, td):first-child {position: sticky; left: 0; min-width: 13em; overflow-wrap: anywhere}
.fl-sortable th:first-child {z-index: 2}
.fl-sortable th button {all: unset; cursor: pointer; font-weight: bold}
.fl-sortable th button:focus-visible {outline: 2px solid currentColor}
.fl-sortable th[aria-sort=ascending] button::after {content: " \\25b2"}
.fl-sortable th[aria-sort=descending] button::after {content: " \\25bc"}
.fl-sortable :is(td.number, th[data-kind=number]) {text-align: right; font-variant-numeric: tabular-nums}
"""

# The first click on a column of numbers puts the largest first; missing values stay at the end.
_SCRIPT = """
(function (table) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const number = head.dataset.kind === "number";
    const before = head.getAttribute("aria-sort");
    const down = before ? before === "ascending" : number;
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = row => row.cells[column].dataset.value;
    const order = (a, b) => number ? a - b : a.localeCompare(b);
    [...body.rows].sort((a, b) => {
      const x = value(a), y = value(b);
      if (x === "" || y === "") return (x === "") - (y === "");
      return down ? order(y, x) : order(x, y);
    }).forEach(row => body.append(row));
  }));
})(document.getElementById("NAME"));
"""


def sortable(frame: pd.DataFrame, caption: str, digits: int = 1) -> Markup:
    """Return ``frame`` as a sortable table; numbers have ``digits`` decimals, missing ones are a dash."""
    heads = (_head(str(name), pd.api.types.is_numeric_dtype(column)) for name, column in frame.items())
    rows = (
        "<tr>" + "".join(_cell(value, digits) for value in row) + "</tr>"
        for row in frame.itertuples(index=False)
    )
    text = html.escape(caption)
    inside = (
        f"<caption>{text}</caption><thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(rows)}</tbody>"
    )
    name = f"table-{hashlib.sha256(inside.encode()).hexdigest()[:10]}"
    return Markup(
        f"<style>{_STYLE}</style>"
        f'<div class="fl-sortable" tabindex="0" role="region" aria-label="{text}">'
        f'<table id="{name}">{inside}</table></div><script>{_SCRIPT.replace("NAME", name)}</script>'
    )


def _head(name: str, number: bool) -> str:
    """One column's name, as a button that sorts by it."""
    kind = "number" if number else "text"
    return f'<th scope="col" data-kind="{kind}"><button>{html.escape(name)}</button></th>'


def _cell(value: object, digits: int) -> str:
    """One cell; ``data-value`` is what sorting compares."""
    if isinstance(value, float | int):
        missing = math.isnan(value)
        return (
            f'<td class="number" data-value="{"" if missing else repr(float(value))}">'
            f"{'–' if missing else f'{value:.{digits}f}'}</td>"
        )
    text = html.escape(str(value))
    return f'<td data-value="{text}">{text}</td>'
