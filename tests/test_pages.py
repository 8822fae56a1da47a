import nbformat
import pytest

from featurelens import colab, pages, stamps
from featurelens.checks import UnknownNameError

CHAPTER = """# %% [markdown]
# # Title
# Prose.

# %%
import os
from pathlib import Path
from featurelens import stamps

# %% tags=["hide-input"]
print(stamps.read(Path("data/a.csv")).read_text(), os.environ["FEATURELENS_SCALE"])
"""


@pytest.fixture
def page(tmp_path, monkeypatch):
    for folder in ("data", "chapters", "book"):
        (tmp_path / folder).mkdir()
    (tmp_path / "data" / "a.csv").write_text("one")
    (tmp_path / "chapters" / "01-a.py").write_text(CHAPTER)
    monkeypatch.setenv("FEATURELENS_DATA", str(tmp_path / "data"))
    return pages.page("01-a")


def edit(page, old, new):
    page.source.write_text(page.source.read_text().replace(old, new))


def notebook(page):
    return nbformat.read(page.notebook, as_version=4)


def test_sync_writes_a_valid_notebook_once(page):
    assert not pages.in_step(page)
    assert pages.sync(page) and not pages.sync(page)
    assert pages.in_step(page)
    nbformat.validate(notebook(page))
    assert [cell.id for cell in notebook(page).cells] == ["cell-00", "setup", "cell-01", "cell-02"]
    assert notebook(page).cells[3].metadata.tags == ["hide-input"]
    edit(page, "Prose", "Other prose")
    assert not pages.in_step(page)


def setup(page):
    (cell,) = [cell for cell in notebook(page).cells if "setup" in cell.metadata.get("tags", [])]
    return cell


def test_setup_cell_knows_the_cited_address_and_no_other(page):
    pages.sync(page)
    assert setup(page).source == colab.cell("01-a", "", "") and "hide-input" in setup(page).metadata.tags
    cited = page.source.parents[1] / "CITATION.cff"
    cited.write_text("repository-code: https://example.org/a/b\n")
    assert not pages.in_step(page) and pages.sync(page) and pages.in_step(page)
    assert setup(page).source == colab.cell("01-a", "", "https://example.org/a/b")
    cited.write_text("repository-code: ../b\n")
    with pytest.raises(ValueError, match=r"repository-code: expected an https address, found '\.\./b'"):
        pages.sync(page)


@pytest.mark.parametrize(
    ("stamped", "fetched"), [("0123abcdef", "0123abcdef"), ("0123-dirty", ""), ("unknown", "")]
)
def test_setup_cell_fetches_only_a_commit_that_is_one(page, monkeypatch, stamped, fetched):
    pages.sync(page)
    stored = notebook(page)
    stamp = {
        "code": "",
        "data": {},
        "scale": "miniature",
        "seconds": 1,
        "versions": {},
        "computed_on": "",
        "hardware": "",
    }
    stored.metadata["featurelens"] = stamp | {"commit": stamped}
    nbformat.write(stored, page.notebook)
    assert pages.sync(page) and pages.in_step(page)
    assert setup(page).source == colab.cell("01-a", fetched, "")


def test_sync_adds_the_setup_cell_to_an_executed_notebook_and_keeps_its_outputs(page):
    pages.sync(page)
    before = notebook(page)
    before.cells = [cell for cell in before.cells if cell.id != "setup"]
    before.cells[1].outputs = [nbformat.v4.new_output("stream", text="kept")]
    before.cells[1].execution_count = 1
    nbformat.write(before, page.notebook)
    assert not pages.in_step(page) and pages.sync(page)
    after = notebook(page)
    assert after.cells.pop(1).id == "setup" and after == before


def test_a_chapter_that_is_no_python_is_one_line_and_its_notebook_stays(page):
    pages.sync(page)
    before = page.notebook.read_bytes()
    edit(page, "print(", "print((")
    for use in (pages.sync, pages.in_step, lambda page: pages.refresh(page, "published")):
        with pytest.raises(
            ValueError, match=r"^01-a: expected Python in its code cells, found: .* in 'print\(\("
        ):
            use(page)
    assert page.notebook.read_bytes() == before


def test_names_and_orphans(page):
    with pytest.raises(UnknownNameError, match="unknown chapter '01-b': did you mean 01-a"):
        pages.page("01-b")
    pages.sync(page)
    assert pages.orphans() == []
    (page.notebook.parent / "02-b.ipynb").write_text("{}")
    assert [path.name for path in pages.orphans()] == ["02-b.ipynb"]


@pytest.mark.slow
def test_life_of_a_page(page):
    assert pages.stale(page) == "never executed"
    pages.sync(page)
    assert pages.stale(page) == "never executed"

    pages.refresh(page, "published")
    assert pages.stale(page) == "" and pages.in_step(page)
    executed = notebook(page)
    assert executed.cells[3].outputs[0].text == "one published\n"
    assert setup(page).source == colab.cell("01-a", "", "") or stamps.commit() in setup(page).source
    # It ran first, and what it printed is left out.
    assert executed.cells[2].execution_count == 2 and not setup(page).outputs
    assert executed.cells[-1].source.startswith("> **How this page was made.** Scale `published`")
    assert list(executed.metadata.featurelens.data) == ["data/a.csv"]

    edit(page, "Prose", "Other prose")
    assert pages.stale(page) == "" and pages.sync(page)
    assert notebook(page).cells[3].outputs and notebook(page).metadata.featurelens

    edit(page, "print(", "print(  # another layout\n    ")
    assert pages.stale(page) == "" and pages.sync(page)
    assert notebook(page).cells[3].outputs and "another layout" in notebook(page).cells[3].source

    data = page.source.parents[1] / "data" / "a.csv"
    data.write_text("two")
    assert pages.stale(page) == "data changed: data/a.csv"
    data.write_text("one")
    assert pages.stale(page) == ""

    edit(page, "import os", "import os, sys")
    assert pages.stale(page) == "its code, or a library module it imports, changed"
    pages.sync(page)
    assert notebook(page).cells[3].outputs and pages.stale(page)

    before = page.notebook.read_bytes()
    edit(page, "print(", "raise ValueError('no'); print(")
    with pytest.raises(pages.PageError, match="01-a: ValueError: no"):
        pages.refresh(page, "published")
    assert page.notebook.read_bytes() == before

    edit(page, "raise ValueError('no'); print(", "print(os.getcwd() + '/', ")
    with pytest.raises(pages.PageError, match="shows a path of this machine"):
        pages.refresh(page, "published")
    assert page.notebook.read_bytes() == before
