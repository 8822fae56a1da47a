import re

import pytest
from bs4 import BeautifulSoup
from test_cli import run

from featurelens import pdf, stamps

HEAD = (
    '<link rel="stylesheet" href="{up}_static/book.css"><link rel="preload" href="{up}a.js">'
    '<script src="{up}_static/menu.js"></script><script>window.MathJax = {{}}</script>'
    '<script defer src="{up}_static/mathjax/tex-chtml.js"></script>'
)
PAGES = {
    "index": '<h1 id="top">Start</h1><a href="one.html">a</a><a href="#top">b</a><a href="https://a.b/c">c</a>',
    "one": '<h1 id="top">One</h1><img src="_images/x.svg"><a href="teach/two.html#end">d</a>'
    '<div class="fl-chart"><p id="slider"></p></div>',
    "teach/two": '<h1 id="end">Two</h1><a href="../one.html#top">e</a><img src="../_images/y.svg">',
}


@pytest.fixture
def site(tmp_path):
    for name, article in PAGES.items():
        path = tmp_path / "html" / f"{name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        head = HEAD.format(up="../" * name.count("/"))
        path.write_text(
            f"<html><head>{head}</head><body><nav>menu</nav><article>{article}</article></body></html>"
        )
    return tmp_path / "html"


@pytest.fixture
def contents(tmp_path, monkeypatch):
    monkeypatch.setattr(pdf, "contents", lambda _: list(PAGES))


def test_contents_are_in_the_order_of_the_book(tmp_path):
    (tmp_path / "t.yml").write_text(
        "root: a\nparts:\n- chapters:\n  - file: c\n- chapters:\n  - file: b/d\n  - file: api/x\n"
    )
    assert pdf.contents(tmp_path / "t.yml") == ["a", "c", "b/d"]


def test_joined_pages_follow_each_other_and_link_inside(site):
    soup = BeautifulSoup(pdf.joined(site, list(PAGES), "../html/"), "html.parser")
    assert [h.get_text() for h in soup.find_all("h1")] == ["Start", "One", "Two"] and not soup.find("nav")
    places = [tag["id"] for tag in soup.find_all(id=True)]
    assert len(set(places)) == len(places) and "slider" in places
    links = [a["href"] for a in soup.find_all("a")]
    assert [link for link in links if link != "https://a.b/c"] == [
        "#page-one",
        "#page-index--top",
        "#page-teach-two--end",
        "#page-one--top",
    ]
    assert all(link[1:] in places for link in links if link.startswith("#"))
    assert [img["src"] for img in soup.find_all("img")] == ["../html/_images/x.svg", "../html/_images/y.svg"]


def test_joined_pages_keep_styles_and_formulas_only(site):
    soup = BeautifulSoup(pdf.joined(site, list(PAGES), "../html/"), "html.parser")
    styles = [link["href"] for link in soup.find_all("link")]
    assert styles == ["../html/_static/book.css", "../html/_static/print.css"]
    scripts = [script.get("src", script.string) for script in soup.find_all("script")]
    assert scripts == ["window.MathJax = {}", "../html/_static/mathjax/tex-chtml.js"]


def test_a_page_that_is_not_built_is_one_line(site, contents, tmp_path, monkeypatch, capsys):
    (site / "one.html").unlink()
    monkeypatch.setattr(pdf, "browser", lambda: "chromium")
    code, out, err = run(capsys, "pdf", "--built", str(site), "--out", str(tmp_path / "b.pdf"))
    assert (code, out) == (2, "")
    assert err == f"featurelens: expected the built page {site}/one.html, found none; run: make book\n"


def test_without_a_browser_there_is_one_line_and_no_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pdf, "browser", lambda: None)
    code, out, err = run(capsys, "pdf", "--out", str(tmp_path / "b.pdf"))
    assert (code, out, err) == (0, "pdf: skipped, no chromium on this machine\n", "")
    assert not list(tmp_path.iterdir())


def test_a_browser_that_prints_nothing_is_one_line(site, contents, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pdf, "browser", lambda: "false")
    code, _, err = run(capsys, "pdf", "--built", str(site), "--out", str(tmp_path / "b.pdf"))
    assert code == 2 and err.startswith("featurelens: expected false to print") and err.count("\n") == 1


@pytest.mark.skipif(pdf.browser() is None, reason="no chromium on this machine")
def test_chromium_prints_a_page_for_each_article(site, contents, tmp_path, capsys):
    (site / "_static").mkdir()
    style = (stamps.root() / "book" / "_static" / "print.css").read_text()
    (site / "_static" / "print.css").write_text(style)
    code, out, err = run(capsys, "pdf", "--built", str(site), "--out", str(tmp_path / "b.pdf"))
    assert (code, out, err) == (0, f"{tmp_path}/b.pdf\n", "")
    printed = (tmp_path / "b.pdf").read_bytes()
    assert printed.startswith(b"%PDF-") and len(re.findall(rb"/Type ?/Page\b(?!s)", printed)) == 3
