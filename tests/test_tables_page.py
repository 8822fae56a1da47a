"""The index of result tables: every stored table with what it says of itself, and in step with the data."""

import json
import re

import pytest

from featurelens import pages, paths, reference, results, tables_page

FACTS = "scale,source,computed_on,commit,hardware,seconds"


@pytest.fixture
def small_book(tmp_path, monkeypatch):
    """A book of two pages, of which one has a table of two runs and claims."""
    for folder in ("data/claims", "data/results", "chapters", "book"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("01-a", "02-b"):
        (tmp_path / "chapters" / f"{name}.py").write_text(f"# %% [markdown]\n# # Of {name}\n")
    runs = ("0.5,miniature,made_up|x,2026-01-02,12345678", "0.25,miniature,made_up|x,2026-01-03,ab")
    rows = "\n".join(f"{run},a machine,1" for run in runs)
    (tmp_path / "data" / "results" / "01-t.miniature.csv").write_text(f"k*,{FACTS}\n{rows}\n")
    (tmp_path / "data" / "claims" / "01-a.json").write_text(json.dumps({"claims": [{}, {}]}))
    monkeypatch.setenv("FEATURELENS_DATA", str(tmp_path / "data"))
    return tmp_path


def test_index_is_in_step():
    assert reference.in_step("tables"), "run: featurelens book sync"


def test_every_stored_table_is_a_row_of_its_chapter_and_says_how_long_it_is():
    sections = re.split(r"^## ", tables_page.path().read_text("utf-8"), flags=re.MULTILINE)[1:]
    listed = {}
    for section in sections:
        chapter = re.search(r"\{doc\}`([^`]+)`", section)[1]
        for stem, rows in re.findall(r"results/([^>]+)\.csv>`.*?\| ([\d,]+) \|", section):
            assert stem.partition("-")[0] == chapter.partition("-")[0]
            listed[stem] = int(rows.replace(",", ""))
    files = list((paths.data() / "results").glob("*.csv"))
    assert listed == {file.stem: len(results.read(*file.stem.rsplit(".", 1))) for file in files}
    assert len(sections) <= len(pages.pages())


def test_a_row_names_what_is_stored(small_book):
    text = tables_page.text()
    assert "## Of 01-a\n\nOne table of {doc}`01-a`. Its 2 claims as JSON: " in text and "Of 02-b" not in text
    assert "{download}`01-a.json <../data/claims/01-a.json>`" in text
    row = "| {download}`01-t <../data/results/01-t.miniature.csv>` | made\\_up\\|x | 2 | miniature "
    assert row + "| 2026-01-02; 2026-01-03 | 12345678; ab | a machine | k\\* |" in text


def test_many_columns_are_counted(small_book):
    file = small_book / "data" / "results" / "01-t.miniature.csv"
    file.write_text(f"a,b,c,d,e,f,g,h,{FACTS}\n" + ",".join("12345678") + ",miniature,s,2026-01-02,c,m,1\n")
    assert "| a, b, c, d, e, f and 2 more |" in tables_page.text()


def test_sync_writes_only_what_changed(small_book):
    assert not reference.in_step("tables") and reference.write("tables") and not reference.write("tables")
    (small_book / "data" / "results" / "02-u.paper.csv").write_text(
        f"x,{FACTS}\n1,paper,s,2026-01-02,c,m,1\n"
    )
    assert not reference.in_step("tables") and reference.write("tables")
    assert "## Of 02-b" in tables_page.path().read_text("utf-8")
