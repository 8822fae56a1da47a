"""The line at the end of an exercise."""

from itertools import cycle

import pytest
from docutils import nodes
from docutils.frontend import get_default_settings
from docutils.utils import new_document
from sphinx_exercise.nodes import exercise_enumerable_node, exercise_node

from featurelens import book_extension_exercises, checks, grading

CHAPTER = "02-outlier-features"


def page(*ids, said=""):
    document = new_document("page", get_default_settings())
    document += nodes.paragraph(text=said)
    kinds = cycle([exercise_enumerable_node, exercise_node])  # with a number, and without
    document += [kind(ids=[each]) for kind, each in zip(kinds, ids, strict=False)]
    book_extension_exercises.mark(None, document, CHAPTER)
    return document.astext()


def test_every_exercise_says_how_difficult_it_is_and_how_to_check_its_number():
    difficulties = grading.difficulties(CHAPTER)
    text = page(*difficulties)
    assert all(f"Difficulty {each} of 3." in text for each in difficulties.values())
    asked = [each for each in grading.questions() if each.chapter == CHAPTER]
    assert text.count("Difficulty") == len(difficulties) and text.count("featurelens check") == len(asked) > 0
    for each in asked:
        check = f"featurelens check {CHAPTER} {each.exercise} NUMBER"
        assert f"{each.text} (Unit: {each.unit}.) To check it: {check}" in text


def test_an_edition_says_it_by_itself():
    assert "Difficulty" not in page("ex-sparsity", said="To check: featurelens check …")


def test_an_exercise_that_no_table_knows():
    with pytest.raises(checks.UnknownNameError, match="ex-none"):
        page("ex-none")
