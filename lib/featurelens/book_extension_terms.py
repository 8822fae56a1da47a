"""What the words of the glossary mean, as data in each page that links to them: ``terms.js`` shows it."""

import html
import json
import re

from docutils import nodes
from sphinx.environment import BuildEnvironment

_LINK = re.compile(r'href="[^"#]*#(term-[^"]+)"[^>]*><span class="[^"]*\bstd-term\b')
_FRACTION = re.compile(r"\\frac\{([^{}]*)\}\{([^{}]*)\}")
# What the glossary's formulas use, as characters.
_SIGNS = {
    r"\mathbb{R}": "ℝ",
    r"\Sigma": "Σ",
    r"\in": "∈",
    r"\log": "log ",
    r"^\top": "ᵀ",
    "^D": "ᴰ",
    "-": "−",
}


def meanings(env: BuildEnvironment) -> dict[str, str]:
    """Definition of each term of the book in plain text, by the id that links to it name."""
    listed = env.get_domain("std").get_objects()
    found = {}
    for page in sorted({page for _, _, kind, page, _, _ in listed if kind == "term"}):
        for item in env.get_doctree(page).findall(nodes.definition_list_item):
            definition = next(item.findall(nodes.definition))
            found |= {
                term_id: plain(definition) for term in item.findall(nodes.term) for term_id in term["ids"]
            }
    return found


def plain(definition: nodes.Element) -> str:
    """Text of a definition with its formulas in characters."""
    copy = definition.deepcopy()
    for math in list(copy.findall(nodes.math)):
        math.replace_self(nodes.Text(formula(math.astext())))
    return " ".join(copy.astext().split())


def formula(latex: str) -> str:
    """A short formula in characters: fractions on one line, letters and signs as they are read."""
    text = _FRACTION.sub(r"(\1/(\2))", latex)
    for command, sign in _SIGNS.items():
        text = text.replace(command, sign)
    return " ".join(text.split())


def data(page: str, meanings: dict[str, str]) -> str:
    """A script element with the meanings of those terms that the HTML ``page`` links to; empty if none."""
    used = {html.unescape(term) for term in _LINK.findall(page)}
    told = {term: meanings[term] for term in sorted(used) if term in meanings}
    if not told:
        return ""
    # Nothing in the text may end the element.
    text = json.dumps(told, ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="fl-terms">{text}</script>'
