"""The sortable table: escaped, accessible, complete, and free of anything fetched."""

import re
from xml.etree import ElementTree

import pandas as pd

from featurelens.figures.sortable import sortable

FRAME = pd.DataFrame({"model": ["a<b", "c"], "ImageNet (%)": [76.125, None], "rank": [2, 1]})


def table():
    """The table part as a tree; parsing fails when a tag is left open or a value is not escaped."""
    markup = sortable(FRAME, "Models & more")._repr_html_()
    return ElementTree.fromstring(re.search(r"<table.*</table>", markup, re.S).group())


def test_every_value_is_shown_and_sorts_by_its_full_precision():
    rows = [[cell.text for cell in row] for row in table().iter("tr")][1:]
    assert rows == [["a<b", "76.1", "2.0"], ["c", "–", "1.0"]]
    values = [[cell.get("data-value") for cell in row] for row in table().iter("tr")][1:]
    assert values == [["a<b", "76.125", "2.0"], ["c", "", "1.0"]]


def test_columns_are_buttons_and_know_their_kind():
    heads = list(table().iter("th"))
    assert [head.find("button").text for head in heads] == list(FRAME)
    assert [head.get("data-kind") for head in heads] == ["text", "number", "number"]
    assert table().find("caption").text == "Models & more"


def test_nothing_is_fetched_and_the_same_table_is_the_same_bytes():
    first, again = (sortable(FRAME, "t")._repr_html_() for _ in range(2))
    assert first == again
    assert not re.search(r"https?:|src=|@import|url\(", first)


def test_two_tables_of_a_page_have_their_own_ids():
    ids = {re.search('id="([^"]+)"', sortable(FRAME, name)._repr_html_()).group(1) for name in "ab"}
    assert len(ids) == 2
