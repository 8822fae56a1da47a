"""What the book's site changes in the parts it is made of: a Sphinx extension, named in ``_config.yml``.

Nothing on a page may come from another host, fail, or say something wrong to a screen reader.
"""

from sphinx.application import Sphinx

# Runs code of a page on a server elsewhere; no button of this book starts it, and its settings fail to load.
_UNUSED = "thebe"
# Roles that ARIA gave up, and what to say instead.
_ROLES = {'role="doc-biblioentry"': 'role="listitem"'}


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the changes with Sphinx."""
    # Late: when the theme and the other extensions have had their say.
    app.connect("html-page-context", _change, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _change(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    context["script_files"] = scripts(context.get("script_files", []))
    context["body"] = body(context.get("body", ""))


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
