import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from featurelens import exercises

GATED = [
    new_markdown_cell(
        "Text.\n\n```{exercise-start} One\n:label: ex-one\n```\nDo it.\n```{exercise-end}\n```"
    ),
    new_markdown_cell("```{solution-start} ex-one\n:class: dropdown\n```"),
    new_code_cell("1 + 1", metadata={"tags": ["solution"]}),
    new_code_cell("2 + 2"),
    new_markdown_cell("Two.\n```{solution-end}\n```\n\n```{exercise-start} Two\n:label: ex-two\n```\nMore."),
]
WHOLE = [
    new_markdown_cell(
        "Before.\n\n:::::{exercise}\n:label: ex-three\nDo.\n:::::\n"
        "::::{solution} ex-three\nSee\n```python\n1\n```\n:::{note}\nx\n:::\n::::\nAfter.\n"
    )
]


def cut(cells):
    return [(piece.text, piece.solution) for piece in exercises.pieces(cells)]


def test_labels_of_both_forms_in_order():
    assert exercises.labels([*GATED, *WHOLE]) == ["ex-one", "ex-two", "ex-three"]


def test_a_label_may_stand_after_other_options():
    first, second = "A\n:class: tip\n:nonumber:\n:label: ex-a\n", "\n:class: tip\n```\n:label: no"
    cell = new_markdown_cell("".join(f"```{{exercise}} {each}```\n" for each in (first, second)))
    assert exercises.labels([cell]) == ["ex-a"]


def test_a_gated_solution_goes_over_cells_tagged_or_not():
    assert cut(GATED) == [
        (GATED[0].source, ""),
        (GATED[1].source, "ex-one"),
        ("1 + 1", "ex-one"),
        ("2 + 2", "ex-one"),
        ("Two.\n```{solution-end}\n```\n", "ex-one"),
        ("\n```{exercise-start} Two\n:label: ex-two\n```\nMore.", ""),
    ]


def test_a_solution_in_one_cell_ends_with_its_own_fence():
    before, solution, after = cut(WHOLE)
    assert before[0].endswith("Do.\n:::::\n") and after == ("After.\n", "")
    assert solution == (
        "::::{solution} ex-three\nSee\n```python\n1\n```\n:::{note}\nx\n:::\n::::\n",
        "ex-three",
    )


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (GATED[:3], "a: expected the solution-end of ex-one, found the end of the page"),
        (GATED[2:], "a: expected a solution-start before a cell with the tag solution, found none"),
        (GATED[4:], "a: expected a solution-start before solution-end, found none"),
        (
            [GATED[1], GATED[1]],
            "a: expected one solution at a time, with a label; found '```{solution-start} ex-one'",
        ),
        ([new_markdown_cell("::::{solution}\n::::")], "a: expected one .*; found '::::{solution}'"),
        ([new_markdown_cell("::::{solution} ex-a\n:::")], "a: found a :::: of a solution that is not closed"),
    ],
)
def test_directives_that_do_not_fit_are_one_line(cells, message):
    with pytest.raises(exercises.ExerciseError, match=message):
        list(exercises.pieces([NotebookNode(cell | {"id": "a"}) for cell in cells]))


@pytest.mark.parametrize(
    "line",
    [
        "   ```{solution} ex-a",
        "~~~{solution} ex-a",
        "``` {solution} ex-a",
        "- :::{solution-start} ex-a",
        "```{SOLUTION} ex-a",
        ".. solution:: ex-a",
        ".. solution-start:: ex-a",
    ],
)
def test_a_solution_in_an_unknown_form_is_refused(line):
    cell = NotebookNode(new_markdown_cell(f"Text.\n{line}\n42\n") | {"id": "a"})
    with pytest.raises(
        exercises.ExerciseError, match=r"^a: expected ``` or ::: at the start of the line"
    ) as error:
        list(exercises.pieces([cell]))
    assert repr(line.strip()) in str(error.value)


def test_prose_about_a_solution_is_none():
    cell = new_markdown_cell("Think ... solution below; `solution` and {ref}`solution`.")
    assert cut([cell]) == [(cell.source, "")]
