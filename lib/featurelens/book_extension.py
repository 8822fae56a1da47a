"""What the book's site changes in the parts it is made of: a Sphinx extension, named in ``_config.yml``.

Nothing on a page may come from another host, fail, or say something wrong to a screen reader. What scripts of
the book add to a page (``book/_static``) is written into it here, when it is built.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx_codeautolink.extension.block import CodeBlockAnalyser

from featurelens import book_extension_exercises, book_extension_terms

# Runs code of a page on a server elsewhere; no button of this book starts it, and its settings fail to load.
_UNUSED = "thebe"
# Roles that ARIA gave up, and what to say instead.
_ROLES = {'role="doc-biblioentry"': 'role="listitem"'}
_NUMBER = re.compile(r"[-−]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?([eE][-−+]?\d+)?( ?%)?")
_MISSING = ("", "–", "—", "-")
_FEWEST_ROWS = 3  # a table with fewer is read, not sorted


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the changes with Sphinx."""
    CodeBlockAnalyser.depart_section = _leave_section
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-skip-member", _skip)
    app.connect("doctree-resolved", _mark_tables)
    app.connect("doctree-resolved", book_extension_exercises.mark)
    # Late: when the theme and the other extensions have had their say.
    app.connect("html-page-context", _change, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _change(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    context["script_files"] = scripts(context.get("script_files", []))
    contents = context.get("generate_toctree_html")
    if contents:
        context["generate_toctree_html"] = lambda *given, **named: sidebar(str(contents(*given, **named)))
    html = body(context.get("body", ""))
    if not hasattr(app, "term_meanings"):  # the same for all pages
        app.term_meanings = book_extension_terms.meanings(app.env)
    context["body"] = html + book_extension_terms.data(html, app.term_meanings)


def _leave_section(analyser: CodeBlockAnalyser, section: nodes.section) -> None:
    # Exercises and definitions are sections without a title: there is nothing to take away behind them.
    if any(isinstance(child, nodes.title) for child in section.children):
        analyser.title_stack.pop()


def _skip(app: Sphinx, what: str, name: str, member: object, skip: bool, options: object) -> bool | None:
    # The signature names a tuple's fields; what Python says of them by itself is no more.
    return True if (getattr(member, "__doc__", "") or "").startswith("Alias for field number") else None


def _mark_tables(app: Sphinx, doctree: nodes.document, page: str) -> None:
    for table in doctree.findall(nodes.table):
        rows = [row for body in table.findall(nodes.tbody) for row in body.findall(nodes.row)]
        if holds_numbers([[cell.astext() for cell in row.findall(nodes.entry)] for row in rows]):
            table["classes"].append("fl-data")


def holds_numbers(rows: list[list[str]]) -> bool:
    """Whether a table written in Markdown is one of data: some column of it has numbers and nothing else."""
    columns = [[text.strip() for text in column] for column in zip(*rows, strict=False)]
    known = [[text for text in column if text not in _MISSING] for column in columns]
    return len(rows) >= _FEWEST_ROWS and any(
        column and all(map(_NUMBER.fullmatch, column)) for column in known
    )


def scripts(files: list) -> list:
    """The scripts of a page, each once, without those that are of no use here.

    Args:
        files: Sphinx's scripts: a file name, or nothing and the text as the attribute ``body``.
    """
    found = {}
    for file in files:
        text = str(getattr(file, "attributes", {}).get("body") or getattr(file, "filename", None) or file)
        if _UNUSED not in text.lower():
            found.setdefault(text, file)
    return list(found.values())


def body(html: str) -> str:
    """The text of a page, with roles that checkers of accessibility know."""
    for old, new in _ROLES.items():
        html = html.replace(old, new)
    return html


def sidebar(html: str) -> str:
    """The contents beside a page, with a name for what unfolds a part of them."""
    return html.replace("<summary>", '<summary aria-label="Pages of this part">')
