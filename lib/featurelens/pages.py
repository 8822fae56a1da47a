"""Pages of the book: each ``chapters/NN-name.py`` and its notebook ``book/NN-name.ipynb`` with outputs.

The chapter is the only file an author edits. Its notebook is the same cells, the outputs of the last run,
a set-up cell for Colab, and a stamp: what the run was made from. A page is stale when its stamp no longer
fits the files.
"""

import os
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from featurelens import atomic, colab, stamps
from featurelens.checks import known

KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class PageError(RuntimeError):
    """A page could not be executed; its stored notebook is as it was."""


@dataclass(frozen=True)
class Page:
    """One chapter's two files."""

    source: Path
    notebook: Path

    @property
    def name(self) -> str:
        """The stem both files share."""
        return self.source.stem


def pages() -> list[Page]:
    """Every page of the book, in order."""
    root = stamps.root()
    sources = sorted((root / "chapters").glob("[0-9]*.py"))
    return [Page(source, root / "book" / f"{source.stem}.ipynb") for source in sources]


def page(name: str) -> Page:
    """The page called ``name``.

    Raises:
        UnknownNameError: no such chapter.
    """
    by_name = {each.name: each for each in pages()}
    return by_name[known("chapter", name, by_name)]


def orphans() -> list[Path]:
    """Notebooks in ``book/`` that belong to no chapter."""
    paired = {each.notebook for each in pages()}
    return sorted(set((stamps.root() / "book").glob("*.ipynb")) - paired)


def sync(page: Page) -> bool:
    """Bring the notebook in step with the chapter, keeping outputs of unchanged cells; True if it changed."""
    text = _text(_paired(page))
    if page.notebook.is_file() and page.notebook.read_text() == text:
        return False
    atomic.write_text(page.notebook, text)
    return True


def in_step(page: Page) -> bool:
    """Whether the notebook is what ``sync`` would write."""
    return page.notebook.is_file() and page.notebook.read_text() == _text(_paired(page))


def stale(page: Page) -> str:
    """Why the page must be executed again, in a few words; empty when it is fresh."""
    stamp = _stored(page).metadata.get("featurelens")
    if stamp is None:
        return "never executed"
    if stamp["code"] != _code_hash(page):
        return "its code, or a library module it imports, changed"
    now = stamps.data_hashes(stamps.root() / name for name in stamp["data"])
    changed = [name for name, digest in stamp["data"].items() if now[name] != digest]
    return f"data changed: {', '.join(changed)}" if changed else ""


def refresh(page: Page, scale: str) -> float:
    """Execute the page at ``scale``, store its outputs and stamp; return the seconds it took.

    Raises:
        PageError: a cell failed, or an output shows a path of this machine. The stored notebook stays.
    """
    notebook = _paired(page)
    # Taken before the run: a library edited meanwhile leaves the page stale.
    code = _code_hash(page)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "reads"
        _execute(notebook, page.name, {"FEATURELENS_SCALE": scale, "FEATURELENS_READS": str(log)})
        data = stamps.data_hashes(stamps.reads(log))
    seconds = round(time.perf_counter() - start, 1)
    # A kernel writes its own version here; the stamp says it already.
    notebook.metadata = nbformat.from_dict(KERNEL)
    stamp = {"code": code, "data": data, "scale": scale, "seconds": seconds}
    _stamp(notebook, stamp | stamps.here() | {"versions": stamps.versions()})
    _set_up(notebook, page.name)
    text = _text(notebook)
    for folder in (stamps.root(), tempfile.gettempdir(), Path.home()):
        if f"{folder}/" in text:
            raise PageError(f"{page.name}: an output shows a path of this machine under {folder}")
    atomic.write_text(page.notebook, text)
    return seconds


def _execute(notebook: nbformat.NotebookNode, name: str, env: dict[str, str]) -> None:
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        record_timing=False,
        store_widget_state=False,
        extra_arguments=["--IPKernelApp.log_level=40"],  # no word on encryption for a kernel on this machine
        resources={"metadata": {"path": str(stamps.root())}},
    )
    try:
        client.execute(env=os.environ | env)
    except CellExecutionError as error:
        raise PageError(f"{name}: {error.ename}: {error.evalue}") from error
    except DeadKernelError as error:
        raise PageError(f"{name}: the kernel died (out of memory?)") from error


def _source(page: Page) -> nbformat.NotebookNode:
    notebook = jupytext.read(page.source, fmt="py:percent")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            _parsed(page, cell.source)
    return notebook


def _parsed(page: Page, code: str) -> None:
    """Refuse code that is no Python, before anything is compared with what it did."""
    try:
        stamps.canonical(code)
    except SyntaxError as error:
        found = f"{error.msg} in {(error.text or '').strip()!r}"
        raise ValueError(f"{page.name}: expected Python in its code cells, found: {found}") from error


def _stored(page: Page) -> nbformat.NotebookNode:
    if not page.notebook.is_file():
        return nbformat.v4.new_notebook()
    return nbformat.read(page.notebook, as_version=4)


def _code_hash(page: Page) -> str:
    # Only code: a page whose prose changed shows the same numbers.
    return stamps.code_hash(cell.source for cell in _source(page).cells if cell.cell_type == "code")


def _paired(page: Page) -> nbformat.NotebookNode:
    """The chapter's cells, with outputs of those whose code does what it did, and the stored stamp."""
    stored = _stored(page)
    outputs: dict[str, list] = {}
    for cell in stored.cells:
        if cell.cell_type == "code" and cell.execution_count:
            outputs.setdefault(stamps.canonical(cell.source), []).append(cell)
    notebook = nbformat.v4.new_notebook(cells=_source(page).cells, metadata=KERNEL)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02}"
        if cell.cell_type == "code" and (same := outputs.get(stamps.canonical(cell.source))):
            was = same.pop(0)
            cell.outputs, cell.execution_count = was.outputs, was.execution_count
    if stamp := stored.metadata.get("featurelens"):
        _stamp(notebook, stamp)
    _set_up(notebook, page.name)
    return notebook


def _set_up(notebook: nbformat.NotebookNode, name: str) -> None:
    """Put the set-up cell before the first code cell, for the commit of the stamp; it keeps no output.

    It runs like any other cell, but what it prints of this machine, the stamp says for good.
    """
    notebook.cells = [cell for cell in notebook.cells if cell.id != "setup"]
    first = next((n for n, cell in enumerate(notebook.cells) if cell.cell_type == "code"), None)
    if first is None:
        return
    commit = notebook.metadata.get("featurelens", {}).get("commit", "")
    # Neither "unknown" nor a commit with changes on top of it is anything to check out.
    commit = commit if re.fullmatch("[0-9a-f]+", commit) else ""
    prompts = {"code_prompt_show": "Set-up for Colab", "code_prompt_hide": "Set-up for Colab"}
    cell = nbformat.v4.new_code_cell(
        colab.cell(name, commit, _repository()),
        id="setup",
        metadata={"mystnb": prompts, "tags": ["hide-input", "setup"]},
    )
    notebook.cells.insert(first, cell)


def _repository() -> str:
    """Address of the repository by ``CITATION.cff``; empty when it names none.

    Not the git remote: a clone of a clone would then write other notebooks.

    Raises:
        ValueError: what it names is no address that everyone can clone.
    """
    file = stamps.root() / "CITATION.cff"
    cited = yaml.safe_load(file.read_text()) if file.is_file() else {}
    found = cited.get("repository-code", "")
    if found and not found.startswith("https://"):
        raise ValueError(f"CITATION.cff: repository-code: expected an https address, found {found!r}")
    return found


def _stamp(notebook: nbformat.NotebookNode, stamp: dict) -> None:
    """Put ``stamp`` into the metadata and, for the reader, into a box at the page's end."""
    notebook.metadata["featurelens"] = stamp
    notebook.cells = [cell for cell in notebook.cells if cell.id != "stamp"]
    notebook.cells.append(
        nbformat.v4.new_markdown_cell(_box(stamp), id="stamp", metadata={"tags": ["stamp"]})
    )


def _box(stamp: dict) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(stamp["versions"].items()))
    return (
        f"> **How this page was made.** Scale `{stamp['scale']}`, {stamp['computed_on']}, "
        f"commit `{stamp['commit']}`, {stamp['hardware']}, {stamp['seconds']:g} s. {versions}."
    )


def _text(notebook: nbformat.NotebookNode) -> str:
    return nbformat.writes(notebook, version=4) + "\n"
