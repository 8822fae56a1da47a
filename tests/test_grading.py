"""Grading, and its tables against the chapters and against what their solutions gave when executed."""

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from featurelens import exercises, grading, imagesets, pages, results, subsets, testbed
from featurelens.checks import UnknownNameError
from featurelens.paper import costs

QUESTIONS = grading.questions()
ASKED = grading.Question("c", "ex-a", "What?", expected=-0.5, tolerance=0.1, unit="fraction", hint="Think.")
each_question = pytest.mark.parametrize("asked", QUESTIONS, ids=lambda asked: asked.exercise)


@pytest.fixture
def hinted(monkeypatch):
    monkeypatch.setattr(grading, "hints", lambda asked: [(0.2, "Wrong half."), (0.3, "Wrong year.")])


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("0.78", "fraction", 0.78),
        ("78 %", "fraction", 0.78),
        (" 78% ", "fraction", 0.78),
        ("-.5", "fraction", -0.5),
        ("−15.6 %", "fraction", -0.156),
        ("8", "directions", 8),
        ("1e-2", "fraction", 0.01),
    ],
)
def test_number(text, unit, value):
    assert grading.number(text, unit) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    "text", ["", "much", "0,78", "nan", "inf", "1e999", "0.78 0.5", "%", "1_0", "--3", "7 8"]
)
def test_no_number_is_one_line(text):
    with pytest.raises(ValueError, match=r"^expected a number such as 0\.25 or 25 % \(fraction\), found '"):
        grading.number(text, "fraction")


def test_a_share_where_the_unit_is_another_one():
    with pytest.raises(ValueError, match=r"such as 12\.5 \(directions\), found '8 %'"):
        grading.number("8 %", "directions")


@pytest.mark.parametrize("value", [-0.5, -0.4, -0.6])
def test_right_within_the_tolerance(hinted, value):
    assert grading.grade(ASKED, value) == grading.Verdict(True, "")


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (-0.61, "Think."),
        (0.22, "Wrong half."),
        (0.28, "Wrong year."),
        (0.5, "Look at the sign."),
        (-50.0, "This is a fraction: write 0.25 or 25 %, not 25."),
    ],
)
def test_a_wrong_number_gets_the_nearest_hint(hinted, value, hint):
    assert grading.grade(ASKED, value) == grading.Verdict(False, hint)


def test_a_relative_tolerance(tmp_path, monkeypatch):
    (tmp_path / "exercises").mkdir()
    head = "chapter,exercise,question,expected,tolerance,unit,hint\n"
    (tmp_path / "exercises" / "answers.csv").write_text(head + "c,ex-a,What?,-40,5 %,times,Think.\n")
    monkeypatch.setenv("FEATURELENS_DATA", str(tmp_path))
    assert grading.questions()[0].tolerance == 2


def test_unknown_names_and_exercises_without_a_number():
    with pytest.raises(
        UnknownNameError, match="unknown chapter '02-outliers': did you mean 02-outlier-features"
    ):
        grading.question("02-outliers", "ex-sparsity")
    with pytest.raises(UnknownNameError, match="unknown exercise 'ex-sparse': did you mean ex-sparsity"):
        grading.question("02-outlier-features", "ex-sparse")
    with pytest.raises(ValueError, match=r"asks for a number \(ex-many-outliers, ex-sparsity\)$"):
        grading.question("02-outlier-features", "ex-fool-the-rule")


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: page.name)
def test_every_exercise_of_a_chapter_has_a_difficulty(page):
    graded = grading.difficulties(page.name)
    assert list(graded) == exercises.labels(cells(page.name)), "as many, in the same order"
    assert set(graded.values()) <= {1, 2, 3}
    if not page.name.startswith("00-"):  # how to read the book: one exercise to try the form
        assert len(graded) >= 3 and len(set(graded.values())) >= 2


def test_every_chapter_asks_for_a_number():
    assert {asked.chapter for asked in QUESTIONS} == {page.name for page in pages.pages()}


@each_question
def test_hints_help_and_do_not_say_the_answer(asked):
    given = grading.hints(asked)
    assert all(not asked.near(wrong, asked.expected) for wrong, _ in given), "a hint for a right answer"
    for wrong, hint in given:
        verdict = grading.grade(asked, wrong)
        assert not verdict.right and verdict.hint == hint
    for text in [asked.hint, asked.text, *(hint for _, hint in given)]:
        assert text == text.strip() and text.endswith((".", "?"))
        if text != asked.text:
            said = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text.replace(",", ""))]
            assert not any(asked.near(number, abs(asked.expected)) for number in said), text


def test_every_hint_belongs_to_a_question():
    asked = {(each.chapter, each.exercise) for each in QUESTIONS}
    assert {(row["chapter"], row["exercise"]) for row in grading._table("hints")} <= asked


def cells(chapter):
    """The cells of a page as it stands in the book, whether executed or not."""
    return pages._paired(pages.page(chapter)).cells


def printed(asked):
    """What the solution of an exercise printed when the page was executed, as text."""
    solution = [p.cell for p in exercises.pieces(cells(asked.chapter)) if p.solution == asked.exercise]
    outputs = [output for cell in solution for output in cell.get("outputs", [])]
    return "".join(out.get("text") or out["data"]["text/plain"] + "\n" for out in outputs)


def columns(text, first, second):
    rows = [line.split() for line in text.splitlines()[1:]]
    return [float(row[first]) for row in rows], [float(row[second]) for row in rows]


def after(pattern):
    """Reads the number after a pattern in what was printed."""
    return lambda text: float(re.search(pattern + r"\s*(-?[\d.]+)", text)[1])


# Where the answer stands in what the executed solution printed.
FOUND: dict[str, Callable[[str], float]] = {
    "ex-linear-axes": lambda text: after("predicted at 32 %:")(text) / 100,
    "ex-line-uncertainty": after(r"RN50-quickgelu openai +sketch +\S+"),
    "ex-accurate-or-robust": after(r"vit_large_patch14_clip_224\S+ +\S+"),
    "ex-many-outliers": after(r"\n\d+ +256"),
    "ex-sparsity": lambda text: np.interp(17, *columns(text, 2, 3)),
    "ex-first-last": lambda text: after(r"first one last +\S+ +\S+")(text) / 100,
    "ex-ties": lambda text: after("k = K")(text) / 100,
    "ex-second-bias": after("'after':"),
    "ex-all-equal": after(r"tensor\(\["),
    "ex-more-directions": after("1024:"),
    "ex-fairer-reader": after("^"),
    "ex-five-regimes": after("'p':"),
    "ex-by-luck": after("mean"),
    "ex-clouds": after("="),
    "ex-screen": after(r"\ndata "),
    "ex-beyond": after("'sketch':"),
    "ex-half-the-error": after("within 5%:"),
    "ex-families": after("wrong about 1:"),
    "ex-coordinate-13": after("from a share of"),
}


def tour():
    """Chapter 0 gives its solution as text: computed here from the table it draws."""
    table = results.read("00-how-to-read-vectors", "published")
    trained = table[table["weights"] == "trained"]
    return trained["activation"].abs().max() ** 4 / len(trained) / trained["kurtosis"].iloc[0]


def cluster():
    """Costs depend on nothing that is executed."""
    counted = sum(imagesets.expected(name) for name in subsets.NAMES) + 63_305
    table = costs.hours(list(testbed.encoders()["backbone"]), counted).set_index("hardware")
    slower = table[["encode", "decode"]].max(axis=1)
    return slower["T4"] / 8 / slower["H200"]


COMPUTED = {"ex-tour": tour, "ex-denominator": lambda: 70 / 90, "ex-cluster": cluster}


@each_question
def test_the_expected_number_is_that_of_the_solution(asked):
    found = (
        COMPUTED[asked.exercise]() if asked.exercise in COMPUTED else FOUND[asked.exercise](printed(asked))
    )
    # Nearer than the tolerance, or else an answer like the solution's could count as wrong elsewhere.
    assert abs(found - asked.expected) <= asked.tolerance / 2
    assert grading.grade(asked, found).right


def test_expected_numbers_come_from_nowhere_else():
    assert {asked.exercise for asked in QUESTIONS} == {*FOUND, *COMPUTED}
    assert pd.Series([asked.exercise for asked in QUESTIONS]).is_unique
