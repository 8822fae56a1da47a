"""The book as committed: notebooks in step and fresh, figures described, claims and tables well formed."""

import json
import re

import nbformat
import pandas as pd
import pytest
import yaml

from featurelens import claims, pages, paths, results, scales, stamps

PAGES = pages.pages()
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
TABLES = sorted((paths.data() / "results").glob("*.csv"))
CLAIMS = sorted((paths.data() / "claims").glob("*.json"))


def cells(page):
    return nbformat.read(page.notebook, as_version=4).cells


@each_page
def test_notebook_is_in_step(page):
    assert pages.in_step(page), "run: featurelens book sync"


@each_page
def test_page_is_fresh(page):
    assert not pages.stale(page), f"{pages.stale(page)}; run: make refresh"


@each_page
def test_every_code_cell_was_executed_without_an_error(page):
    for cell in cells(page):
        if cell.cell_type == "code" and cell.id != "setup":
            assert cell.execution_count, cell.source
            assert not [output for output in cell.outputs if output.output_type == "error"]


@each_page
def test_every_figure_has_a_caption_and_alt_text(page):
    figures = [cell for cell in cells(page) if any(_is_picture(output) for output in cell.get("outputs", []))]
    assert figures, "a page shows what it found"
    for cell in figures:
        settings = cell.metadata.get("mystnb", {})
        alt = settings.get("image", {}).get("alt", "")
        assert len(alt.split()) >= 8 and not re.search(r"\.(png|svg|jpe?g)|/\w+/", alt), cell.source
        assert settings.get("figure", {}).get("caption") and settings["figure"].get("name"), cell.source


def _is_picture(output):
    return any(kind.startswith("image/") for kind in output.get("data", {}))


@each_page
def test_page_has_the_parts_of_a_page(page):
    text = page.source.read_text()
    assert len(re.findall(r"^# # ", text, re.MULTILINE)) == 1, "one title"
    for part in ("{prf:", "claims.Claims(", "falsif", "{exercise", "{solution"):
        assert part in text, part


def test_contents_list_every_page_and_nothing_else():
    root = stamps.root()
    toc = yaml.safe_load((root / "_toc.yml").read_text())
    chapters = [entry for part in toc["parts"] for entry in part["chapters"]]
    listed = [toc["root"]] + [
        page["file"] for entry in chapters for page in (entry, *entry.get("sections", ()))
    ]
    prose = [path.relative_to(root / "book").with_suffix("") for path in (root / "book").rglob("*.md")]
    written = [page.name for page in PAGES] + [path.as_posix() for path in prose]
    assert sorted(listed) == sorted(written) and not pages.orphans()


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_stored_table_says_where_it_comes_from(path):
    name, scale = path.stem.rsplit(".", 1)
    frame = results.read(name, scale)
    assert scale in scales.SCALES and set(frame["scale"]) == {scale}
    number = name.partition("-")[0]
    assert any(page.name.startswith(f"{number}-") for page in PAGES), "begins with its chapter's number"
    assert not frame[list(results.PROVENANCE)].isna().any(axis=None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", frame["computed_on"][0])


def test_every_chapter_has_claims():
    assert [path.stem for path in CLAIMS] == [page.name for page in PAGES]


@pytest.mark.parametrize("path", CLAIMS, ids=lambda path: path.stem)
def test_stored_claims_hold_and_name_their_source(path):
    stored = json.loads(path.read_text())
    assert stored["chapter"] == path.stem and stored["claims"]
    for claim in stored["claims"]:
        assert claims._holds(claim["value"], claim["expected"]), claim["name"]
        assert claim["source"] and claim["scale"] in scales.SCALES
    assert pd.Series([(c["name"], c["scale"]) for c in stored["claims"]]).is_unique
