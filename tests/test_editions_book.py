"""The real book's editions: what is in their sources, and in every file of the two sites built from them."""

import ast
import html
import json
import re
import subprocess
import sys
from functools import cache
from itertools import chain
from pathlib import Path

import nbformat
import pytest
from sphinx.search.en import SearchEnglish

from featurelens import editions, exercises, pages, stamps


@cache
def page_cells(page):
    return pages._paired(page).cells


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: page.name)
def test_nothing_that_students_run_needs_a_solution(page):
    needed, defined = set(), set()
    for cell in editions.cells(page_cells(page), page.name, student=True):
        if cell.cell_type == "code":
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.Name):
                    (needed if isinstance(node.ctx, ast.Load) else defined).add(node.id)
    by_solutions = {
        node.id
        for cell in page_cells(page)
        if "solution" in cell.metadata.get("tags", [])
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    assert not (needed - defined) & by_solutions


def plain(text):
    """Words and numbers alone: the same for code or a table's row and for what a browser shows of it."""
    return " ".join(re.findall(r"\w+", text))


def shown(cells):
    """Text of cells, of their outputs and of the captions of these, cell by cell."""
    for cell in cells:
        printed = [out.get("text", "") for out in cell.get("outputs", [])]
        data = [out.get("data", {}) for out in cell.get("outputs", [])]
        settings = cell.metadata.get("mystnb", {})
        told = [settings.get("figure", {}).get("caption", ""), settings.get("image", {}).get("alt", "")]
        rich = [each.get(kind, "") for each in data for kind in ("text/plain", "text/markdown")]
        yield "\n".join([cell.source, *printed, *rich, *told])


def solutions(page):
    """Text of a page's solutions and the rest, found without the library's own parser."""
    text = "\n".join(shown(page_cells(page)))
    pattern = re.compile(
        r"`{3}\{solution-start\}.*?\{solution-end\}|^::::\{solution\}.*?^::::$", re.DOTALL | re.MULTILINE
    )
    return pattern.findall(text), pattern.sub("", text)


def halves():
    """The text of all solutions of the book, and that of everything else in its notebooks."""
    inside, outside = zip(*(solutions(page) for page in pages.pages()), strict=True)
    return "\n".join(chain.from_iterable(inside)), "\n".join(outside)


@cache
def phrases():
    """What only solutions say: lines of code, of outputs and of prose, of at least four words."""
    inside, outside = halves()
    rest = plain(outside)
    parts = {plain(part) for part in re.split(r"[\n{}`$]", inside)}
    told = {part for part in parts if len(part.split()) >= 4 and re.search(r"\w\w", part)}
    return {part for part in told if part not in rest}


def words():
    """Stems of words that only solutions use, as a search index has them."""
    inside, outside = halves()
    root = stamps.root() / "book"
    prose = [path.read_text() for path in root.glob("*.*") if path.suffix in (".md", ".bib")]
    # The library's pages say what its docstrings and signatures say.
    library = [path.read_text() for path in (root.parent / "lib").rglob("*.py")]
    others = " ".join([outside, *prose, *library])
    stem = SearchEnglish({}).stem

    def stems(text, shortest):
        return {stem(word) for word in re.findall(r"[a-z]+", text.lower()) if len(word) >= shortest}

    return stems(inside, shortest=5) - stems(others, shortest=1)


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: page.name)
def test_sources_of_students_say_nothing_of_a_solution(page):
    kept = editions.cells(page_cells(page), page.name, student=True)
    text = plain("\n".join(shown(kept)))
    assert solutions(page)[0] and not [phrase for phrase in phrases() if phrase in text]
    assert not any("solution" in cell.metadata.get("tags", []) for cell in kept)
    dropped = [cell for cell in page_cells(page) if "solution" in cell.metadata.get("tags", [])]
    assert outputs(kept) == outputs(page_cells(page)) - outputs(dropped), "figures included"


def outputs(cells):
    return {json.dumps(output) for cell in cells for output in cell.get("outputs", [])}


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """Both editions of the real book, built as ``make student`` and ``make instructor`` do."""
    built = {}
    with pytest.MonkeyPatch.context() as patch:
        for name in editions.EDITIONS:
            base = tmp_path_factory.mktemp("build")
            patch.setattr(editions, "build", lambda base=base: base)
            folder = editions.write(name)
            command = [
                str(Path(sys.executable).parent / "jupyter-book"),
                "build",
                folder / "source",
                "-W",
                "-n",
                "--all",
            ]
            command += ["--keep-going", "--path-output", folder, "--config", folder / "_config.yml"]
            done = subprocess.run([*command, "--toc", folder / "_toc.yml"], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
            built[name] = folder / "_build" / "html"
    return built


def texts(site):
    """Every file of a site as text, by its path: pages as they are shown, notebooks as they are run."""
    for path in sorted(path for path in site.rglob("*") if path.is_file()):
        if path.suffix == ".ipynb":
            yield path, "\n".join(shown(nbformat.read(path, as_version=4).cells))
        raw = path.read_bytes().decode("utf-8", errors="ignore")
        yield path, raw
        if path.suffix == ".html":
            yield path, html.unescape(re.sub(r"<[^>]*>", "", raw))
            yield path, html.unescape(re.sub(r"<[^>]*>", " ", raw))


def indexed(site):
    text = (site / "searchindex.js").read_text()
    found = json.loads(text[text.index("(") + 1 : text.rindex(")")])
    return set(found["terms"]) | set(found["titleterms"])


@pytest.mark.slow
def test_no_file_of_the_student_site_has_a_part_of_a_solution(sites):
    wanted = phrases()
    whole = "\n".join(plain(text) for _, text in texts(sites["instructor"]))
    visible = {phrase for phrase in wanted if phrase in whole}
    assert len(visible) > 0.9 * len(wanted) > 100, (
        "phrases that a site with solutions does not show find nothing"
    )
    for path, text in texts(sites["student"]):
        text = plain(text)
        assert not [phrase for phrase in visible if phrase in text], path.name


@pytest.mark.slow
def test_the_student_site_is_searched_without_solutions(sites):
    wanted = words() & indexed(sites["instructor"])
    assert len(wanted) > 5 and not wanted & indexed(sites["student"])


@pytest.mark.slow
def test_solutions_are_open_for_instructors_and_absent_for_students(sites):
    count = sum(len(exercises.labels(page_cells(page))) for page in pages.pages())
    blocks = {name: [] for name in sites}
    for name, site in sites.items():
        for path in site.glob("*.html"):
            blocks[name] += re.findall(r'class="([^"]*\bsolution\b[^"]*)"', path.read_text())
    assert not blocks["student"]
    opened = [found for found in blocks["instructor"] if "admonition" in found]
    assert len(opened) == count and not [found for found in opened if "dropdown" in found]
    assert not (sites["student"] / "instructors").exists()
    assert not any("answers.csv" in path.name for path in sites["student"].rglob("*"))
