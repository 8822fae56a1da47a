"""What a page says at the end of an exercise: how difficult it is, and how to check its number."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx_exercise.nodes import exercise_enumerable_node, exercise_node

from featurelens import grading


def mark(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Add the line to each exercise of a page; editions for a class have it in their notebooks already."""
    if grading.COMMAND not in doctree.astext():
        for kind in (exercise_node, exercise_enumerable_node):
            for exercise in doctree.findall(kind):
                exercise += line(page, exercise["ids"][0])


def line(chapter: str, exercise: str) -> nodes.paragraph:
    """The line of one exercise.

    Raises:
        UnknownNameError: an exercise that the table of exercises has not.
    """
    difficulty = grading.difficulty(chapter, exercise)
    made = nodes.paragraph(text=f"Difficulty {difficulty} of 3.", classes=["fl-check"])
    if asked := grading.asked(chapter, exercise):
        command = nodes.literal(text=grading.command(chapter, exercise))
        made += [nodes.Text(f" {asked.text} (Unit: {asked.unit}.) To check it: "), command]
    return made
