"""Meanings of the glossary's words as a page carries them."""

import json
import re

import pytest
from docutils import nodes

from featurelens import book_extension_terms as terms
from featurelens import stamps


@pytest.mark.parametrize(
    ("latex", "shown"),
    [
        (r"\log\frac{p}{1-p}", "log (p/(1−p))"),
        (r"h \in \mathbb{R}^D", "h ∈ ℝᴰ"),
        (r"W = U \Sigma V^\top", "W = U Σ Vᵀ"),
        ("D - 2 + 1/(D - 1)", "D − 2 + 1/(D − 1)"),
    ],
)
def test_formulas_are_characters(latex, shown):
    assert terms.formula(latex) == shown


def test_every_formula_of_the_glossary_is_known():
    text = (stamps.root() / "book" / "glossary.md").read_text("utf-8")
    formulas = re.findall(r"\$([^$]+)\$", text)
    assert len(formulas) > 5 and not [
        each for each in map(terms.formula, formulas) if re.search(r"[\\{}^]", each)
    ]


def test_a_definition_is_plain_text():
    paragraph = nodes.paragraph(
        "", "", nodes.Text("A\n"), nodes.emphasis("", "big"), nodes.math("", r"\Sigma")
    )
    assert terms.plain(nodes.definition("", paragraph)) == "A bigΣ"


PAGE = (
    '<a class="reference internal" href="glossary.html#term-{0}"><span class="xref std std-term">x</span></a>'
)


def test_a_page_carries_the_words_it_links_to():
    meanings = {"term-a": "</script> & <b>", "term-b": "unused", "term-c": "é"}
    page = PAGE.format("c") + PAGE.format("a") + PAGE.format("a") + '<a href="glossary.html#term-b">x</a>'
    found = terms.data(page, meanings)
    text = re.fullmatch(r'<script type="application/json" id="fl-terms">([^<]*)</script>', found)[1]
    assert json.loads(text) == {"term-a": "</script> & <b>", "term-c": "é"}
    assert (
        terms.data('<a href="x.html#term-a">x</a>', meanings) == "" == terms.data(PAGE.format("z"), meanings)
    )
