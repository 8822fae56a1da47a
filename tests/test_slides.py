import re

import jupytext
import nbformat
import pytest
from bs4 import BeautifulSoup
from test_cli import run

from featurelens import pages, slides, stamps
from featurelens.slide_text import Block, Words, blocks

BIB = """
@article{one, author = {Crabbé, Jonathan and Rodríguez, Pau and Blaas, Arno}, year = {2024}, title = {T}}
@article{two, author = {van den Berg, Ann}, year = {2020}, title = {T}}
"""
ROW = "<tr><td>a report</td></tr>"
PAGE = r"""# A title

The first paragraph. {cite:p}`one,two`

:::{admonition} What you will learn
- a thing.
:::"""
SECTION = r"""## A section

First, with {term}`words <word>`. {cite:t}`two` did it, see {doc}`other`, {prf:ref}`obs-a` and [](#x).

Second, spoken only.

- a point of $D = 2$

:::{prf:observation} It holds
:label: obs-a

It does.
:::"""
EXERCISE = """```{exercise-start} Try it
:label: ex-a
```
What is it?

And why?
```{exercise-end}
```"""
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><text>drawn</text></svg>'


@pytest.fixture
def words(tmp_path):
    (tmp_path / "r.bib").write_text(BIB)
    return Words({"other": "# Another page", "this": SECTION}, tmp_path / "r.bib")


def code(source, data=None, **metadata):
    outputs = [nbformat.v4.new_output("display_data", data)] if data else []
    return nbformat.v4.new_code_cell(source, outputs=outputs, metadata=metadata)


@pytest.fixture
def notebook():
    markdown = nbformat.v4.new_markdown_cell
    figure = {"figure": {"caption": "Seen."}, "image": {"alt": 'A "dot" rises.'}}
    cells = [
        markdown(PAGE),
        code("secret_import = 1"),
        markdown(SECTION),
        code("draw()", {"image/svg+xml": SVG}, mystnb=figure),
        code("hidden()", {"text/markdown": "It is 7."}, tags=["hide-input"]),
        code("small", {"text/html": "<table>" + "<tr><td>1</td></tr>" * 3 + "</table>"}),
        code(
            "report",
            {"text/html": f"<p>Long.</p><table>{ROW}</table><table>{ROW}</table><ul><li>More.</li></ul>"},
        ),
        code("long", {"text/html": "<table>" + "<tr><td>2</td></tr>" * 99 + "</table>"}),
        code("live", {"text/html": "<table></table><script>alert(1)</script>"}),
        markdown("## Exercises\n\n" + EXERCISE),
        markdown("```{solution-start} ex-a\n```\nThe answer."),
        code("answer = 42", {"text/html": "<table><tr><td>42</td></tr></table>"}, tags=["solution"]),
        code("untagged", {"text/markdown": "The answer again."}),
        markdown(
            "Still the answer.\n```{solution-end}\n```\n\n## What comes next\n\n- More. " + "More. " * 100
        ),
        nbformat.v4.new_markdown_cell("> **How this page was made.**", metadata={"tags": ["stamp"]}),
    ]
    stamp = {"computed_on": "2030-01-02", "commit": "abc"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"featurelens": stamp})


@pytest.fixture
def soup(notebook, words):
    return BeautifulSoup(slides.export(slides.deck(notebook, words)), "html.parser")


def columns(soup):
    """Slides of the deck: a list for each column of what its slides show, without notes."""
    for notes in soup.select("aside.notes"):
        notes.extract()
    found = soup.select(".slides > section")
    return [[sub.get_text(" ", strip=True) for sub in column.select("section")] for column in found]


def test_of_a_report_a_slide_has_the_first_table(soup):
    shown = [text for column in columns(soup) for text in column if "a report" in text]
    assert shown == ["A section a report"]


def test_blocks_of_a_cell():
    kinds = [
        (b.kind, b.title) for b in blocks(PAGE + "\n" + SECTION + "\n$$x$$\n\n| a |\n|---|\n\n" + EXERCISE)
    ]
    assert kinds == [
        ("#", "A title"),
        ("paragraph", ""),
        ("admonition", "What you will learn"),
        ("##", "A section"),
        ("paragraph", ""),
        ("paragraph", ""),
        ("list", ""),
        ("prf:observation", "It holds"),
        ("math", ""),
        ("table", ""),
        ("exercise-start", "Try it"),
        ("paragraph", ""),
        ("paragraph", ""),
        ("exercise-end", ""),
    ]


def test_a_directive_holds_what_is_inside():
    nested = "::::{solution} ex\n:class: dropdown\n\nText.\n\n```python\n1\n```\n::::\n(label)=\nAfter."
    inside, after = blocks(nested)
    assert inside == Block("solution", "Text.\n\n```python\n1\n```", "ex") and after.text == "After."
    assert blocks("```bash\n# Not a heading\n```")[0].kind == "code"
    with pytest.raises(ValueError, match=r"expected ::: to close ':::\{note\}', found the end of the cell"):
        blocks(":::{note}\nText")


def test_words_for_roles(words):
    assert words.plain("{cite:p}`one,two`") == "(Crabbé et al., 2024; van den Berg, 2020)"
    assert words.plain("{cite:t}`two`, {term}`a <b>`") == "van den Berg (2020), a"
    assert (
        words.plain("{doc}`other`, {prf:ref}`obs-a`, {prf:ref}`here <obs-a>`")
        == "*Another page*, *It holds*, here"
    )
    assert (
        words.plain("[](#x) and [that](#y) and [out](https://a.b)")
        == "another section and that and [out](https://a.b)"
    )
    with pytest.raises(ValueError, match="no words for the role 'fancy'"):
        words.plain("{fancy}`x`")


def test_one_slide_for_each_heading_and_what_is_seen_below(soup):
    title, section, exercises, after = columns(soup)
    assert title == [
        "A title ¶ Numbers of 2030-01-02, commit abc. "
        "The first paragraph. (Crabbé et al., 2024; van den Berg, 2020)",
        "What you will learn ¶ a thing.",
    ]
    assert (
        section[0].startswith("A section ¶ First, with words . van den Berg (2020)")
        or "First, with words" in section[0]
    )
    assert "a point of $D = 2$" in section[0] and "Second" not in " ".join(section)
    tables = ["A section 1 1 1", "A section a report"]
    assert section[1:] == ["Observation: It holds ¶ It does.", "Seen.", *tables]
    assert exercises == ["Exercises ¶ Exercise: Try it ¶ What is it? And why?"]
    assert after == ["What comes next ¶ " + " ".join(["More."] * 101)]


def test_no_code_and_no_solution_is_in_the_deck(soup):
    text = soup.get_text()
    for word in ("answer", "42", "secret_import", "draw()", "How this page"):
        assert word not in text, word
    assert "alert(1)" not in str(soup)


def test_prose_and_numbers_become_notes(soup):
    notes = [aside.get_text(" ", strip=True) for aside in soup.select("section aside.notes")]
    assert notes == ["Second, spoken only.", "It is 7."]


def test_a_figure_keeps_its_alt_text(soup):
    image = soup.select_one("figure img")
    assert image["alt"] == 'A "dot" rises.' and image["src"].startswith("data:image/svg+xml;base64,")


def test_nothing_comes_from_another_host(soup):
    addresses = [tag.get(key, "") for key in ("src", "href") for tag in soup.select(f"[{key}]")]
    assert addresses and not [a for a in addresses if re.match(r"(https?:)?//", a)]


def test_decks_of_the_book(tmp_path, monkeypatch, capsys):
    written = [page for page in pages.pages() if page.notebook.is_file()][:2]
    monkeypatch.setattr(pages, "pages", lambda: written)
    code, out, err = run(capsys, "slides", "--out", str(tmp_path))
    assert (code, err) == (0, "") and out.split() == [str(tmp_path / f"{page.name}.html") for page in written]
    for page in written:
        text = "\n".join(cell.source for cell in nbformat.read(page.notebook, as_version=4).cells)
        soup = BeautifulSoup((tmp_path / f"{page.name}.html").read_text(), "html.parser")
        headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert len(soup.select(".slides > section")) == 1 + len(headings)
        assert not re.findall(r"\{[\w:]+\}`", soup.get_text()), "a role was left as it is"
        for tag in soup.select("script[src], link[rel=stylesheet]"):
            assert (tmp_path / (tag.get("src") or tag["href"])).is_file(), tag


def test_every_page_can_be_put_on_slides():
    words = Words({}, stamps.root() / "book" / "references.bib")
    for page in pages.pages():
        made = slides.Deck(words)
        for cell in jupytext.read(page.source, fmt="py:percent").cells:
            made.read(cell)
        assert len(made.cells) > 10
