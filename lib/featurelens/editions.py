"""Two editions of the book from one source: without any solution, and with all of them open.

An edition is a folder of sources that Jupyter Book builds like ``book/`` itself. Notebooks are rewritten cell
by cell and nothing is executed: outputs are those of the committed pages.
"""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode

from featurelens import atomic, exercises, grading, paths, site, stamps
from featurelens.checks import known

EDITIONS = ("student", "instructor")
INSTRUCTORS = "instructors"  # folder of book/ that only the instructor edition has


def build() -> Path:
    """Folder for everything that is built."""
    return stamps.root() / "_build"


def write(edition: str) -> Path:
    """Write sources, settings and contents of an edition to ``_build/<edition>/``; return that folder.

    Raises:
        UnknownNameError: no such edition.
        ExerciseError: a page whose solutions cannot be told from the rest, or a page with one that is no
            notebook.
    """
    known("edition", edition, EDITIONS)
    student = edition == "student"
    folder, book = build() / edition, stamps.root() / "book"
    shutil.rmtree(folder, ignore_errors=True)
    left_out = [".ipynb_checkpoints", *([INSTRUCTORS] if student else [])]
    shutil.copytree(book, folder / "source", ignore=shutil.ignore_patterns(*left_out))
    _link_data(folder / "data", student)
    (folder / "examples").symlink_to(stamps.root() / "examples")  # pages show files of it
    for path in sorted((folder / "source").rglob("*.ipynb")):
        page = nbformat.read(path, as_version=4)
        page.cells = cells(page.cells, path.stem, student)
        nbformat.validate(page)
        atomic.write_text(path, nbformat.writes(page, version=4) + "\n")
    for path in sorted((folder / "source").rglob("*.md")):
        if exercises.LEFT.search(path.read_text(encoding="utf-8")):
            raise exercises.ExerciseError(f"{path.name}: expected solutions in chapters only, found one here")
    settings = yaml.safe_load(site.write_config().read_text())
    if student:  # a link to the repository, or to its notebooks on Colab, is a link to the solutions
        settings = site.config(settings, None, "")
    settings["title"] = f"{settings['title']} ({edition} edition)"
    atomic.write_text(folder / "_config.yml", yaml.safe_dump(settings))
    toc = contents(yaml.safe_load((stamps.root() / "_toc.yml").read_text()), folder / "source")
    atomic.write_text(folder / "_toc.yml", yaml.safe_dump(toc, sort_keys=False))
    return folder


def cells(given: Iterable[NotebookNode], chapter: str, student: bool) -> list[NotebookNode]:
    """The cells of a page for one edition.

    In place of a solution students find a cell to write their own; instructors see it without a click. Both
    find before it how difficult the exercise is, and which number ``featurelens check`` asks for.
    """
    made: list[NotebookNode] = []
    before = ""
    for number, piece in enumerate(exercises.pieces(given)):
        if piece.solution and piece.solution != before:
            made += _before_solution(chapter, piece.solution, student)
        before = piece.solution
        text = piece.text
        if piece.solution and not student:
            text = re.sub(r"^:class: dropdown\n", "", text, flags=re.MULTILINE)
        if text.strip() and not (piece.solution and student):
            whole = text == piece.cell.source
            made.append(piece.cell if whole else _text(f"{piece.cell.id}-{number}", text.strip()))
    return made


def contents(toc: dict, source: Path) -> dict:
    """``_toc.yml`` with the pages for instructors that ``source`` has, and without those it has not."""
    parts = []
    for part in toc["parts"]:
        chapters = [entry for entry in part["chapters"] if not entry["file"].startswith(f"{INSTRUCTORS}/")]
        parts += [part | {"chapters": chapters}] if chapters else []
    found = sorted(path for path in (source / INSTRUCTORS).glob("*") if path.suffix in (".md", ".ipynb"))
    if found:
        files = [{"file": f"{INSTRUCTORS}/{path.stem}"} for path in found]
        parts.append({"caption": "For instructors", "chapters": files})
    return toc | {"parts": parts}


def _link_data(data: Path, student: bool) -> None:
    """Put data where pages look for downloads, beside their sources; for students without the answers."""
    data.mkdir()
    for entry in paths.data().resolve().iterdir():
        if not (student and entry.name == "exercises"):
            (data / entry.name).symlink_to(entry)


def _before_solution(chapter: str, exercise: str, student: bool) -> list[NotebookNode]:
    lines = [f"*Difficulty {grading.difficulty(chapter, exercise)} of 3.*"]
    if asked := grading.asked(chapter, exercise):
        lines.append(f"To check a number: `{grading.command(chapter, exercise)}`. {asked.text}")
        lines.append(f"(Unit: {asked.unit}.)")
        if not student:
            lines.append(f"Counts as right: {asked.expected:g} ± {asked.tolerance:g}.")
    made = [_text(f"{exercise}-note", " ".join(lines))]
    if student:
        made.append(nbformat.v4.new_code_cell("# Your solution", id=f"{exercise}-yours"))
    return made


def _text(name: str, text: str) -> NotebookNode:
    return nbformat.v4.new_markdown_cell(text, id=name)
