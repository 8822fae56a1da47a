"""Exercises and solutions in the cells of a page: where each begins and ends.

A page has them in the two forms of sphinx-exercise: gated (``{solution-start}`` in one cell,
``{solution-end}`` in a later one, code between them) or a ``{solution}`` directive inside one cell.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from nbformat import NotebookNode

_EXERCISE = re.compile(
    r"^[`:]{3,}\{exercise(?:-start)?\}.*\n+(?::(?!label:)[\w-]+:.*\n)*:label:\s*(\S+)", re.MULTILINE
)
# Wider than what is cut: a directive in a form that is not known here would stay for students to read.
LEFT = re.compile(r"\{solution|\.\. +solution[\w-]*::", re.IGNORECASE)
_SOLUTION = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{solution(?P<gate>-start|-end|)\}\s*(?P<label>\S*)", re.MULTILINE
)


class ExerciseError(ValueError):
    """Directives of a page that do not fit together."""


@dataclass(frozen=True)
class Piece:
    """A part of a cell: all of it, or the lines that lie in a solution, or those that do not."""

    cell: NotebookNode
    text: str
    solution: str  # label of the exercise that it solves; empty outside of solutions


def labels(cells: Iterable[NotebookNode]) -> list[str]:
    """Labels of the exercises in ``cells``, in order."""
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return _EXERCISE.findall(text)


def pieces(cells: Iterable[NotebookNode]) -> Iterator[Piece]:
    """Cut ``cells`` where solutions begin and end; the lines of their directives belong to them.

    Raises:
        ExerciseError: a solution that does not end, does not begin or names no exercise, one in a form that
            is not known, or a cell with the tag ``solution`` outside of one.
    """
    scanner = _Scanner()
    for cell in cells:
        scanner.cell = cell.get("id", "")
        if cell.cell_type == "markdown":
            for label, lines in groupby(cell.source.splitlines(keepends=True), scanner.label):
                yield Piece(cell, "".join(lines), label)
            if scanner.fence:
                scanner.fail(f"found a {scanner.fence} of a solution that is not closed")
        else:
            if "solution" in cell.metadata.get("tags", []) and not scanner.opened:
                scanner.fail("expected a solution-start before a cell with the tag solution, found none")
            yield Piece(cell, cell.source, scanner.opened)
    if scanner.opened:
        scanner.fail(f"expected the solution-end of {scanner.opened}, found the end of the page")


class _Scanner:
    """Goes through a page line by line and knows in which solution it is."""

    def __init__(self):
        self.cell = ""
        self.opened = ""
        self.fence = ""  # inside a directive of a solution: what will close it
        self.last = False  # whether the solution ends with that directive

    def label(self, line: str) -> str:
        """Label of the solution that ``line`` belongs to; empty outside of solutions."""
        if self.fence:
            label = self.opened
            if len(line.strip()) >= len(self.fence) and set(line.strip()) == {self.fence[0]}:
                self.fence, self.opened = "", "" if self.last else self.opened
            return label
        if found := _SOLUTION.match(line):
            if found["gate"] == "-end":
                if not self.opened:
                    self.fail("expected a solution-start before solution-end, found none")
            elif self.opened or not found["label"]:
                self.fail(f"expected one solution at a time, with a label; found {line.strip()!r}")
            else:
                self.opened = found["label"]
            self.fence, self.last = found["fence"], found["gate"] != "-start"
        elif LEFT.search(line) and not self.opened:
            self.fail(f"expected ``` or ::: at the start of the line of a solution, found {line.strip()!r}")
        return self.opened

    def fail(self, why: str) -> None:
        raise ExerciseError(f"{self.cell}: {why}")
