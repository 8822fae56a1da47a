"""The pages of the library: every public module is on one of them, or known to be an internal."""

import pkgutil
import re

import pytest

import featurelens
from featurelens import stamps

FOLDER = stamps.root() / "book" / "api"
# Modules behind others: inside a store, a set, a command or a figure, and what makes the site.
INTERNALS = {
    *(f"featurelens.{name}" for name in ("atomic", "colab", "progress", "hub_imagesets")),
    *(f"featurelens.{name}" for name in ("downloads", "decoding", "pixels", "broden_masks")),
    *(f"featurelens.{name}" for name in ("shard_headers", "housekeeping")),
    *(f"featurelens.{name}" for name in ("dissect_page", "dissect_rows")),
    *(f"featurelens.{name}" for name in ("scan_page", "scan_notebook", "scan_tables")),
    *(f"featurelens.{name}" for name in ("site", "editions", "slides", "slide_text", "pdf", "reference")),
    *(f"featurelens.{name}" for name in ("claims_page", "tables_page", "landing")),
    *(f"featurelens.figures.{name}" for name in ("svg", "scan")),
    *(f"featurelens.miniature.{name}" for name in ("draws", "masks", "shapes", "surfaces")),
    *(f"featurelens.paper.{name}" for name in ("names", "report")),
    *(f"featurelens.recipes.{name}" for name in ("gradients", "state")),
}
INTERNAL_KINDS = re.compile(r"featurelens\.(cli|book_extension)(_\w+)?|featurelens\.kernels\.\w+")


def public():
    """Names of all modules of the library; a package with its own functions is one of them."""
    found = pkgutil.walk_packages(featurelens.__path__, "featurelens.")
    return {module.name for module in found if not INTERNAL_KINDS.fullmatch(module.name)}


def documented():
    text = "\n".join(page.read_text("utf-8") for page in FOLDER.glob("*.md"))
    return re.findall(r"^\.\. automodule:: (\S+)", text, re.M)


def test_every_public_module_is_on_one_page_or_an_internal():
    listed = documented()
    assert len(listed) == len(set(listed)) > 50
    packages = {"featurelens.figures", "featurelens.miniature"}  # nothing is in them but modules
    missing = public() - set(listed) - INTERNALS - packages
    assert not missing, "neither on a page of book/api nor in INTERNALS"
    assert not set(listed) - public() and not set(listed) & INTERNALS


@pytest.mark.parametrize("page", sorted(FOLDER.glob("*.md")), ids=lambda path: path.stem)
def test_a_page_lists_what_it_documents(page):
    text = page.read_text("utf-8")
    summary = re.findall(r"^   (featurelens\S*)$", text, re.M)
    assert summary == re.findall(r"^\.\. automodule:: (\S+)", text, re.M)
    assert re.findall(r"^## (\S+)$", text, re.M) == [name.partition(".")[2] for name in summary]
