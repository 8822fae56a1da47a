"""The pages for instructors say what the chapters say, and their plans fill the time they have."""

import csv
import re
from itertools import pairwise

import pytest

from featurelens import pages, paths, stamps

FOLDER = stamps.root() / "book" / "instructors"
GUIDE, NOTES = ((FOLDER / f"{name}.md").read_text() for name in ("guide", "notes"))
EXERCISES = list(csv.DictReader((paths.data() / "exercises" / "exercises.csv").open()))


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: page.name)
def test_times_are_those_of_the_chapter(page):
    text = re.sub(r"\s*\n# ", " ", page.source.read_text())
    stated = re.search(r"You need: (.+?)\. Reading: (\d+) minutes\. Running: (.+?)\.", text)
    row = re.search(rf"^\| {{doc}}`/{page.name}` \| (\d+) minutes \| (.+?) \| (.+?) \|$", GUIDE, re.MULTILINE)
    if stated is None:  # the first page says it in other words
        assert "It takes ten minutes." in text and row[1] == "10"
    else:
        assert row[1] == stated[2] and _words(row[2]) <= _words(stated[3])


def _words(text):
    return set(re.findall(r"\w+", text.lower()))


def test_every_exercise_is_there_with_its_difficulty():
    found = re.findall(r"^\| \{ref\}`.+ <(ex-[\w-]+)>` \| (\d) \| \d+ \|$", NOTES, re.MULTILINE)
    assert sorted(found) == sorted((row["exercise"], row["difficulty"]) for row in EXERCISES)


def test_every_chapter_has_wrong_answers_and_questions():
    sections = re.split(r"^## ", NOTES, flags=re.MULTILINE)[1:]
    assert [re.search(r"\{doc\}`/([\w-]+)`", section)[1] for section in sections] == [
        page.name for page in pages.pages()
    ]
    for section in sections:
        assert all(f"**{part}.**" in section for part in ("Goals", "Wrong answers", "To discuss"))
        assert section.partition("**To discuss.**")[2].count("?") >= 2


def test_the_lecture_fills_its_minutes_without_a_gap():
    slots = [(int(a), int(b)) for a, b in re.findall(r"^\| (\d+)–(\d+) \|", GUIDE, re.MULTILINE)]
    assert slots[0][0] == 0 and slots[-1][1] == 50 and "One lecture: 50 minutes" in GUIDE
    assert all(before[1] == after[0] for before, after in pairwise(slots))


def test_each_session_of_the_week_fills_its_minutes_and_its_reading_adds_up():
    week = GUIDE.partition("## One week: three sessions of 90 minutes")[2].partition("\n## ")[0]
    read = {name: int(t) for name, t in re.findall(r"\{doc\}`/([\w-]+)` \| (\d+) minutes", GUIDE)}
    sessions = week.split("**Session")[1:]
    assert len(sessions) == 3
    for session in sessions:
        assert sum(map(int, re.findall(r"^- (\d+) minutes", session, re.MULTILINE))) == 90
        asked = re.search(r"Reading: (.+?), (\d+) minutes", session)
        assert sum(read[name] for name in re.findall(r"`/([\w-]+)`", asked[1])) == int(asked[2])


def test_a_meeting_of_the_seminar_fills_its_minutes():
    seminar = GUIDE.partition("One meeting of 90 minutes")[2].partition("|")[0]
    assert sum(map(int, re.findall(r"\((\d+) minutes\)", seminar.replace("\n", " ")))) == 90
    assert len(re.findall(r"^\| [1-6] \|", GUIDE, re.MULTILINE)) == 6
