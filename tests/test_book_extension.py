from types import SimpleNamespace
from typing import NamedTuple

import pytest

from featurelens import book_extension


def script(text=None, filename=None):
    return SimpleNamespace(filename=filename, attributes={"body": text} if text else {})


def test_scripts_are_kept_once_and_in_order_without_those_for_a_server_elsewhere():
    a, b, again = script("let a = 1"), script(filename="_static/b.js"), script("let a = 1")
    thebe = [
        script('const THEBE_JS_URL = "x"'),
        script(filename="sphinx-thebe.js"),
        "_static/sphinx-thebe.js",
    ]
    assert book_extension.scripts([a, *thebe, b, again, "plain.js", "plain.js"]) == [a, b, "plain.js"]


def test_roles_that_were_given_up_are_replaced():
    html = '<div role="list"><div role="doc-biblioentry">x</div></div>'
    assert book_extension.body(html) == '<div role="list"><div role="listitem">x</div></div>'


@pytest.mark.parametrize(
    ("rows", "data"),
    [
        ([["a", "1"], ["b", "−2.5"], ["c", "–"]], True),
        ([["a", "1,234"], ["b", "12 %"], ["c", "1e-3"]], True),
        ([["a", "1"], ["b", "2"]], False),  # two rows are read
        ([["a", "1"], ["b", "about 2"], ["c", "3"]], False),
        ([["0–6", "x"], ["6–18", "y"], ["18–30", "z"]], False),
        ([["a", ""], ["b", ""], ["c", ""]], False),
        ([], False),
    ],
)
def test_a_table_with_a_column_of_numbers_is_one_of_data(rows, data):
    assert book_extension.holds_numbers(rows) is data


def test_a_tuple_says_its_fields_once():
    class Pair(NamedTuple):
        """Two."""

        first: int

    def skipped(member):
        return book_extension._skip(None, "class", "x", member, False, None)

    assert skipped(Pair.first) is True and skipped(Pair) is None and skipped(3) is None


def test_what_unfolds_has_a_name():
    made = {
        "generate_toctree_html": lambda kind, **named: f"<details><summary><i>{kind}</i></summary></details>"
    }
    app = SimpleNamespace(env=SimpleNamespace(get_domain=lambda _: SimpleNamespace(get_objects=list)))
    book_extension._change(app, "x", "page.html", made, None)
    assert made["generate_toctree_html"]("sidebar", depth=1).startswith("<details><summary aria-label=")
