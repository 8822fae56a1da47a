"""Slides of the pages: a reveal.js deck from each notebook as it is stored. Nothing is executed.

One slide for each second-level heading, with what there is to see below it: claims, figures, tables,
exercises. The other prose, and the numbers it gives, become speaker notes. Code and solutions are left out.
"""

import base64
import html
import importlib.metadata
import re
import shutil
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from featurelens import atomic, pages, stamps
from featurelens.slide_text import Block, Words, blocks

ROWS = 14  # a longer table is not for a slide
LIST = 600  # characters of a list that still stand below a heading and its first paragraph


class Deck:
    """The cells of one deck, in the order of the page."""

    def __init__(self, words: Words):
        """``words``: for references and citations."""
        self.cells: list[NotebookNode] = []
        self._words = words
        self._heading = ""
        self._room = 0  # characters that the newest slide may still take
        self._solution = self._exercise = False

    def read(self, cell: NotebookNode) -> None:
        """Add what a cell of the notebook shows."""
        tags = set(cell.metadata.get("tags", ()))
        if cell.cell_type == "markdown" and "stamp" not in tags:
            for block in blocks(cell.source):
                self._block(block)
        elif cell.cell_type == "code" and not self._solution and not tags & {"solution", "setup"}:
            for output in cell.outputs:
                self._output(output.get("data", {}), cell.metadata.get("mystnb", {}))

    def _block(self, block: Block) -> None:
        if block.kind.startswith("solution"):
            self._solution = block.kind == "solution-start"
        elif self._solution:
            return
        elif block.kind in ("#", "##", "###"):
            self._heading = block.title
            self._add("subslide" if block.kind == "###" else "slide", f"{block.kind} {block.title}")
            self._room = LIST
        elif block.kind.startswith("prf:"):
            self._titled(
                f"{block.kind.removeprefix('prf:').capitalize()}: {block.title}", block.text, "claim"
            )
        elif block.kind.startswith("exercise"):
            self._exercise = block.kind == "exercise-start"
            if block.kind != "exercise-end":
                self._titled(f"Exercise: {block.title or self._heading}", block.text)
        elif self._exercise:
            self._add("-", block.text)
        elif block.kind == "admonition":
            self._titled(block.title, block.text)
        elif block.kind == "table" or (block.kind == "list" and len(block.text) > self._room):
            self._titled(self._heading, block.text)
        # Below a heading stand its first paragraph, and a list or a formula after that.
        elif self._room == LIST or (self._room > 0 and block.kind in ("list", "math")):
            self._add("-", block.text)
            self._room = max(0, LIST - len(block.text)) if block.kind == "paragraph" else 0
        else:
            self._add("notes", block.text)

    def _titled(self, title: str, text: str, kind: str = "plain") -> None:
        """A slide of its own below the section's, or the section's while that has nothing but its heading."""
        bare = self._room == LIST
        heading = "" if bare and title == self._heading else f"### {title}\n\n"
        self._add("-" if bare else "subslide", f'{heading}<div class="{kind}">\n\n{text}\n\n</div>')
        self._room = 0

    def _output(self, data: dict, settings: dict) -> None:
        if picture := data.get("image/svg+xml"):
            self._shown(_figure(picture, settings))
        elif markup := data.get("text/html"):
            table = re.search(r"<table.*?</table>", markup, re.DOTALL)  # of a report the first
            if table and "<script" not in markup and table[0].count("<tr") <= ROWS:
                self._shown(f"<h3>{html.escape(self._heading)}</h3>{table[0]}")
        elif text := data.get("text/markdown"):
            self._add("notes", text)

    def _shown(self, markup: str) -> None:
        output = nbformat.v4.new_output("display_data", {"text/html": markup})
        cell = nbformat.v4.new_code_cell("", outputs=[output])
        self._append("subslide", cell)
        self._room = 0

    def _add(self, kind: str, text: str) -> None:
        self._append(kind, nbformat.v4.new_markdown_cell(self._words.plain(text)))

    def _append(self, kind: str, cell: NotebookNode) -> None:
        cell.metadata["slideshow"] = {"slide_type": kind}
        self.cells.append(cell)


def _figure(picture: str, settings: dict) -> str:
    """A figure with its caption; the alt text is the page's."""
    alt = html.escape(settings.get("image", {}).get("alt", ""), quote=True)
    caption = html.escape(settings.get("figure", {}).get("caption", ""))
    data = base64.b64encode(picture.encode()).decode()
    image = f'<img alt="{alt}" src="data:image/svg+xml;base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def deck(notebook: NotebookNode, words: Words) -> NotebookNode:
    """The notebook of slides for the notebook of a page; its first slide says what made the numbers."""
    made = Deck(words)
    for cell in notebook.cells:
        made.read(cell)
    if stamp := notebook.metadata.get("featurelens"):
        text = f'<p class="stamp">Numbers of {stamp["computed_on"]}, commit {stamp["commit"]}.</p>'
        cell = nbformat.v4.new_markdown_cell(text, metadata={"slideshow": {"slide_type": "-"}})
        made.cells.insert(1, cell)
    return nbformat.v4.new_notebook(cells=made.cells, metadata={"title": made.cells[0].source.lstrip("# ")})


def export(notebook: NotebookNode) -> str:
    """HTML of a deck. It expects reveal.js and MathJax in ``assets/`` beside it."""
    from jinja2 import FileSystemLoader
    from nbconvert import SlidesExporter

    exporter = SlidesExporter(
        extra_loaders=[FileSystemLoader(Path(__file__).parent)],
        template_file="slides.html.j2",
        exclude_input=True,
        exclude_output_prompt=True,
        reveal_url_prefix="assets/revealjs",
        reveal_theme="white",
        reveal_transition="none",
        reveal_number="h.v",
        reveal_width="1280",
        reveal_height="720",
    )
    return exporter.from_notebook_node(notebook)[0]


def write(out: Path) -> list[Path]:
    """Write a deck for each page to ``out``, and the files that the decks share to ``out/assets``."""
    every = pages.pages()
    notebooks = {page.name: nbformat.read(page.notebook, as_version=4) for page in every}
    prose = {
        name: "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        for name, notebook in notebooks.items()
    }
    words = Words(prose, stamps.root() / "book" / "references.bib")
    for name, notebook in notebooks.items():
        atomic.write_text(out / f"{name}.html", export(deck(notebook, words)))
    _assets(out / "assets")
    return [out / f"{name}.html" for name in notebooks]


def _assets(folder: Path) -> None:
    """Copy reveal.js and MathJax out of the packages that carry them."""
    reveal = _inside("sphinx-revealjs", "sphinx_revealjs/_static/revealjs")
    mathjax = _inside("sphinx-mathjax-offline", "sphinx-mathjax-offline/static/mathjax")
    no_maps = shutil.ignore_patterns("*.map", "*.esm.js")
    shutil.copytree(reveal, folder / "revealjs", ignore=no_maps, dirs_exist_ok=True)
    shutil.copy(mathjax / "tex-svg.js", folder)


def _inside(package: str, folder: str) -> Path:
    found = Path(str(importlib.metadata.distribution(package).locate_file(folder)))
    if not found.is_dir():
        raise FileNotFoundError(
            f"expected {folder} in the package {package}, found no such folder; run: make env"
        )
    return found
