"""The index of claims, ``book/claims.md``: all stored claims, one table a chapter, written from the JSON."""

import math
import re
from pathlib import Path

from featurelens import claims, pages, paths, stamps

_HEAD = """# Claims

Every number that this book rests on. A claim is checked when its page runs: the value that was measured must
be what was expected, or the page fails. Tests run the pages again and compare with these tables. Where a
claim was measured from a stored table, the source is that table, as CSV; its columns say where, when and from
what code it came; {doc}`tables` lists them all. The claims themselves are `data/claims/`, one JSON file a
page.
"""
_COLUMNS = ("Claim", "In words", "Value", "Expected", "Scale", "Source")


def path() -> Path:
    """Where the index lies."""
    return stamps.root() / "book" / "claims.md"


def text() -> str:
    """The index: a section and a table for each page that has claims, in the order of the book."""
    return "\n".join([_HEAD, *(_section(page) for page in pages.pages() if claims.read(page.name))])


def title(page: pages.Page) -> str:
    """A page's own title."""
    return re.search(r"^# # (.+)$", page.source.read_text("utf-8"), re.MULTILINE)[1]


def plain(words: str) -> str:
    """``words`` as Markdown that shows them as they are."""
    return re.sub(r"([\\`*_{}\[\]<>$|~])", r"\\\1", words)


def _section(page: pages.Page) -> str:
    stored = claims.read(page.name)
    count = "One claim" if len(stored) == 1 else f"{len(stored)} claims"
    lines = [f"## {title(page)}", "", f"{count} of {{doc}}`{page.name}`.", ""]
    lines += [line(_COLUMNS), line(("---", "---", "--:", "--:", "---", "---"))]
    return "\n".join([*lines, *(line(_row(claim)) for claim in stored), ""])


def line(cells: tuple[str, ...]) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def _row(claim: dict) -> tuple[str, ...]:
    words = plain(claim["name"]), plain(claim["text"])
    expected = _expected(claim["expected"])
    return (*words, _number(claim["value"]), expected, claim["scale"], _source(claim))


def _source(claim: dict) -> str:
    """The stored table, to be downloaded, or what else the claim was measured from."""
    table = paths.data() / "results" / f"{claim['source']}.{claim['scale']}.csv"
    if not table.is_file():
        return plain(claim["source"])
    return f"{{download}}`{claim['source']} <../data/results/{table.name}>`"


def _expected(expected: dict[str, float]) -> str:
    parts = []
    if "equals" in expected:
        slack = f" ± {_number(expected['tol'])}" if "tol" in expected else ""
        parts.append(_number(expected["equals"]) + slack)
    if {"at_least", "at_most"} <= set(expected):
        parts.append(f"{_number(expected['at_least'])} to {_number(expected['at_most'])}")
    else:
        signs = {"at_least": "≥", "at_most": "≤"}
        parts += [f"{sign} {_number(expected[key])}" for key, sign in signs.items() if key in expected]
    return ", ".join(parts)


def _number(value: float) -> str:
    """Four significant digits, without an exponent unless the number is tiny, and with a real minus."""
    if value == int(value) or abs(value) >= 1000:
        shown = f"{value:,.0f}" if value else "0"
    elif abs(value) < 1e-4:
        shown = f"{value:.1e}"
    else:
        shown = f"{value:.{3 - math.floor(math.log10(abs(value)))}f}".rstrip("0")
    return shown.replace("-", "−")
