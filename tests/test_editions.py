import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from featurelens import editions, exercises, stamps
from featurelens.checks import UnknownNameError

EXERCISE = "```{exercise-start} One\n:label: ex-a\n```\nDo it.\n```{exercise-end}\n```"
CELLS = [
    new_markdown_cell(f"# Title\n\n{EXERCISE}", id="one"),
    new_markdown_cell("```{solution-start} ex-a\n:class: dropdown\n```", id="two"),
    new_code_cell(
        "6 * 7", metadata={"tags": ["solution"]}, outputs=[new_output("stream", text="42")], id="three"
    ),
    new_markdown_cell("It is 42.\n```{solution-end}\n```\n\nAfterwards.", id="four"),
]


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A repository with one page, one exercise with a number, and pages for instructors."""
    (tmp_path / "book" / "instructors").mkdir(parents=True)
    (tmp_path / "data" / "exercises").mkdir(parents=True)
    tables = {
        "exercises": "chapter,exercise,difficulty\n01-a,ex-a,2\n",
        "answers": "chapter,exercise,question,expected,tolerance,unit,hint\n01-a,ex-a,What?,42,0.5,km,No.\n",
        "hints": "chapter,exercise,value,hint\n",
    }
    for name, text in tables.items():
        (tmp_path / "data" / "exercises" / f"{name}.csv").write_text(text)
    nbformat.write(new_notebook(cells=CELLS), tmp_path / "book" / "01-a.ipynb")
    (tmp_path / "book" / "index.md").write_text("# Start\n")
    (tmp_path / "book" / "instructors" / "plans.md").write_text("# Plans\n")
    settings = {"title": "T", "repository": {"path_to_book": "book"}, "html": {"use_repository_button": True}}
    (tmp_path / "_config.yml").write_text(yaml.safe_dump(settings))
    toc = {"format": "jb-book", "root": "index", "parts": [{"caption": "P", "chapters": [{"file": "01-a"}]}]}
    (tmp_path / "_toc.yml").write_text(yaml.safe_dump(toc))
    monkeypatch.setenv("FEATURELENS_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(stamps, "git", lambda *_: "https://github.com/a/b")
    return tmp_path / "book"


def written(folder):
    page = nbformat.read(folder / "source" / "01-a.ipynb", as_version=4)
    return [(cell.cell_type, cell.source, len(cell.get("outputs", []))) for cell in page.cells]


NOTE = "*Difficulty 2 of 3.* To check a number: `featurelens check 01-a ex-a NUMBER`. What? (Unit: km.)"


def test_students_get_an_empty_cell_in_place_of_the_solution(book):
    folder = editions.write("student")
    assert folder == book.parent / "_build" / "student"
    assert written(folder) == [
        ("markdown", CELLS[0].source, 0),
        ("markdown", NOTE, 0),
        ("code", "# Your solution", 0),
        ("markdown", "Afterwards.", 0),
    ]
    assert "42" not in "".join(path.read_text() for path in folder.rglob("*") if path.is_file())
    assert not (folder / "source" / "instructors").exists()


def test_instructors_see_solutions_without_a_click_and_have_their_pages(book):
    folder = editions.write("instructor")
    assert written(folder) == [
        ("markdown", CELLS[0].source, 0),
        ("markdown", f"{NOTE} Counts as right: 42 ± 0.5.", 0),
        ("markdown", "```{solution-start} ex-a\n```", 0),
        ("code", "6 * 7", 1),
        ("markdown", "It is 42.\n```{solution-end}\n```", 0),
        ("markdown", "Afterwards.", 0),
    ]
    toc = yaml.safe_load((folder / "_toc.yml").read_text())
    assert toc["parts"][1] == {"caption": "For instructors", "chapters": [{"file": "instructors/plans"}]}


def test_contents_of_students_have_no_page_for_instructors(book):
    (book.parent / "_toc.yml").write_text(
        yaml.safe_dump(
            {
                "root": "index",
                "parts": [
                    {"caption": "P", "chapters": [{"file": "01-a"}, {"file": "instructors/plans"}]},
                    {"caption": "Q", "chapters": [{"file": "instructors/plans"}]},
                ],
            }
        )
    )
    toc = yaml.safe_load((editions.write("student") / "_toc.yml").read_text())
    assert toc["parts"] == [{"caption": "P", "chapters": [{"file": "01-a"}]}]


def test_only_instructors_get_links_to_the_repository(book):
    settings = {
        name: yaml.safe_load((editions.write(name) / "_config.yml").read_text()) for name in editions.EDITIONS
    }
    assert settings["instructor"]["repository"]["url"] == "https://github.com/a/b"
    assert (
        "repository" not in settings["student"] and not settings["student"]["html"]["use_repository_button"]
    )
    assert settings["student"]["title"] == "T (student edition)"


def test_tables_are_beside_the_sources_and_answers_only_for_instructors(book):
    (book.parent / "data" / "results").mkdir()
    (book.parent / "data" / "results" / "a.csv").write_text("1")
    offered = {name: editions.write(name) / "source" / ".." / "data" for name in editions.EDITIONS}
    assert all((data / "results" / "a.csv").read_text() == "1" for data in offered.values())
    assert not (offered["student"] / "exercises").exists()
    assert (offered["instructor"] / "exercises" / "answers.csv").is_file()
    editions.write("student")
    assert (book.parent / "data" / "results" / "a.csv").is_file(), "links go, what they point to stays"


def test_an_edition_is_written_anew(book):
    (editions.write("student") / "source" / "old.md").write_text("6 * 7")
    assert not (editions.write("student") / "source" / "old.md").exists()
    with pytest.raises(UnknownNameError, match="unknown edition 'teacher'"):
        editions.write("teacher")


@pytest.mark.parametrize("fence", ["::::", "   ```", "~~~", "``` "])
def test_a_solution_in_another_page_is_refused(book, fence):
    (book / "index.md").write_text(f"# Start\n{fence}{{solution}} ex-a\n42\n{fence}\n")
    with pytest.raises(exercises.ExerciseError, match=r"index\.md: expected solutions in chapters only"):
        editions.write("student")


@pytest.mark.parametrize("fence", ["   ```", "~~~", "``` "])
def test_a_solution_that_would_stay_for_students_is_refused(book, fence):
    left = new_markdown_cell(f"{fence}{{solution}} ex-a\n42\n{fence}", id="left")
    nbformat.write(new_notebook(cells=[*CELLS, left]), book / "01-a.ipynb")
    with pytest.raises(exercises.ExerciseError, match="left: expected ``` or :::"):
        editions.write("student")


def test_an_exercise_that_is_not_in_the_table_is_refused(book):
    cells = [cell.copy() for cell in CELLS]
    cells[1] = new_markdown_cell("```{solution-start} ex-b\n```", id="two")
    nbformat.write(new_notebook(cells=cells), book / "01-a.ipynb")
    with pytest.raises(UnknownNameError, match="unknown exercise 'ex-b': did you mean ex-a"):
        editions.write("student")
