"""The index of result tables, ``book/tables.md``: every stored table, written from the tables themselves."""

from pathlib import Path

import pandas as pd

from featurelens import claims, claims_page, pages, paths, results, stamps

_HEAD = """# Result tables

Every number of this book comes from one of these tables. Each is a CSV file at full precision, one row per
model and quantity, with the columns `scale`, `source`, `computed_on`, `commit`, `hardware` and `seconds` at
the end. Accuracies are fractions, effective robustness is in percentage points, and the activation kurtosis
of a Gaussian is 3. A commit that ends in `-dirty` had changes on top of it.

Tables on the pages themselves are rounded; the button below each downloads what it shows. What the numbers
have to be is listed in {doc}`claims`.

To read one: `pandas.read_csv`, or `featurelens.results.read(name, scale)` in a clone.
"""
_COLUMNS = ("Table", "Computed from", "Rows", "Scale", "Date", "Commit", "Computed on", "Columns")
_ALIGNED = ("---", "---", "--:", "---", "---", "---", "---", "---")
_MOST_NAMES = 6  # of a table's columns that are named


def path() -> Path:
    """Where the index lies."""
    return stamps.root() / "book" / "tables.md"


def text() -> str:
    """The index: a section and a table for each page that has result tables, in the order of the book."""
    found = ((page, tables(page)) for page in pages.pages())
    return "\n".join([_HEAD, *(_section(page, files) for page, files in found if files)])


def tables(page: pages.Page) -> list[Path]:
    """The stored tables of a page: those whose name begins with its number."""
    return sorted((paths.data() / "results").glob(f"{page.name.partition('-')[0]}-*.csv"))


def _section(page: pages.Page, files: list[Path]) -> str:
    count = "One table" if len(files) == 1 else f"{len(files)} tables"
    lines = [f"## {claims_page.title(page)}", "", f"{count} of {{doc}}`{page.name}`."]
    if stored := claims.read(page.name):
        lines[-1] += f" Its {len(stored)} claims as JSON: {{download}}`{page.name}.json"
        lines[-1] += f" <../data/claims/{page.name}.json>`."
    rows = [_COLUMNS, _ALIGNED, *map(_row, files)]
    return "\n".join([*lines, "", *map(claims_page.line, rows), ""])


def _row(file: Path) -> tuple[str, ...]:
    name, scale = file.stem.rsplit(".", 1)
    frame = results.read(name, scale)
    link = f"{{download}}`{name} <../data/results/{file.name}>`"
    run = [_each(frame[column]) for column in ("computed_on", "commit", "hardware")]
    return link, _each(frame["source"]), f"{len(frame):,}", scale, *run, _names(frame)


def _names(frame: pd.DataFrame) -> str:
    """Names of a table's first columns, and how many more there are."""
    names = [claims_page.plain(str(name)) for name in results.bare(frame).columns]
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _each(column: pd.Series) -> str:
    """What the runs of a table say, each once."""
    return claims_page.plain("; ".join(map(str, column.unique())))
