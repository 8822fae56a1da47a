"""Numeric answers to exercises: the questions, the tolerances, and what a wrong number suggests.

Three tables in ``data/exercises/``: ``exercises.csv`` (every exercise and its difficulty), ``answers.csv``
(those with a number) and ``hints.csv`` (common wrong numbers). Whoever has the repository can read them.
"""

import csv
import math
import re
from dataclasses import dataclass

from featurelens import paths
from featurelens.checks import known

COMMAND = "featurelens check"
FRACTION = "fraction"
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(%?)", re.IGNORECASE)


@dataclass(frozen=True)
class Question:
    """The numeric part of an exercise, with its answer."""

    chapter: str
    exercise: str
    text: str
    expected: float
    tolerance: float  # absolute, in the unit
    unit: str
    hint: str  # for a wrong number that suggests nothing

    def near(self, value: float, to: float) -> bool:
        """Whether ``value`` counts as the number ``to``; a hair of slack at the ends."""
        return math.isclose(value, to, rel_tol=1e-9, abs_tol=self.tolerance * (1 + 1e-9))


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and a sentence that does not say the answer."""

    right: bool
    hint: str


def difficulties(chapter: str) -> dict[str, int]:
    """Difficulty, 1 to 3, of each exercise of a chapter, in order.

    Raises:
        UnknownNameError: no such chapter.
    """
    rows = _table("exercises")
    known("chapter", chapter, dict.fromkeys(row["chapter"] for row in rows))
    return {row["exercise"]: int(row["difficulty"]) for row in rows if row["chapter"] == chapter}


def difficulty(chapter: str, exercise: str) -> int:
    """Difficulty, 1 to 3, of one exercise.

    Raises:
        UnknownNameError: no such chapter, or no such exercise in it.
    """
    of_chapter = difficulties(chapter)
    return of_chapter[known("exercise", exercise, of_chapter)]


def command(chapter: str, exercise: str) -> str:
    """What to type to have a number checked."""
    return f"{COMMAND} {chapter} {exercise} NUMBER"


def asked(chapter: str, exercise: str) -> Question | None:
    """The question of one exercise; None where it asks for no number."""
    return next((each for each in questions() if (each.chapter, each.exercise) == (chapter, exercise)), None)


def questions() -> list[Question]:
    """Every exercise that asks for a number."""
    return [_question(row) for row in _table("answers")]


def question(chapter: str, exercise: str) -> Question:
    """The question of one exercise.

    Raises:
        UnknownNameError: no such chapter, or no such exercise in it.
        ValueError: the exercise asks for no number.
    """
    known("exercise", exercise, difficulties(chapter))
    if (found := asked(chapter, exercise)) is None:
        listed = ", ".join(each.exercise for each in questions() if each.chapter == chapter)
        raise ValueError(f"{exercise}: expected an exercise that asks for a number ({listed})")
    return found


def number(answer: str, unit: str) -> float:
    """The number that a reader typed, such as ``.78``, ``7.8e-1`` or ``−3``; a fraction also as ``78 %``.

    Raises:
        ValueError: it is no finite number, or has a ``%`` where the unit is another one.
    """
    found = _NUMBER.fullmatch(answer.strip().replace("\N{MINUS SIGN}", "-"))
    if not found or (found[2] and unit != FRACTION) or not math.isfinite(float(found[1])):
        example = "0.25 or 25 %" if unit == FRACTION else "12.5"
        raise ValueError(f"expected a number such as {example} ({unit}), found {answer!r}")
    return float(found[1]) / (100 if found[2] else 1)


def grade(asked: Question, value: float) -> Verdict:
    """Compare ``value``, in the question's unit, with the answer."""
    if asked.near(value, asked.expected):
        return Verdict(True, "")
    if hinted := [(abs(value - wrong), hint) for wrong, hint in hints(asked) if asked.near(value, wrong)]:
        return Verdict(False, min(hinted)[1])
    if asked.unit == FRACTION and abs(value) > 1:
        return Verdict(False, "This is a fraction: write 0.25 or 25 %, not 25.")
    if asked.near(-value, asked.expected):
        return Verdict(False, "Look at the sign.")
    return Verdict(False, asked.hint)


def hints(asked: Question) -> list[tuple[float, str]]:
    """Common wrong numbers and what to say to them."""
    here = (asked.chapter, asked.exercise)
    return [
        (float(row["value"]), row["hint"])
        for row in _table("hints")
        if (row["chapter"], row["exercise"]) == here
    ]


def _question(row: dict[str, str]) -> Question:
    expected, tolerance = float(row["expected"]), row["tolerance"]
    # "5 %" is relative to the answer.
    width = float(tolerance.removesuffix("%")) / 100 * abs(expected) if "%" in tolerance else float(tolerance)
    return Question(
        row["chapter"], row["exercise"], row["question"], expected, width, row["unit"], row["hint"]
    )


def _table(name: str) -> list[dict[str, str]]:
    with open(paths.data() / "exercises" / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
