"""The built site as one PDF: the articles of all pages in the order of the contents, printed by Chromium."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import yaml

from featurelens import atomic, stamps

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_LIBRARY = "api"  # pages to look things up in, not to read on paper
_ELSEWHERE = re.compile(r"[a-z]+:|#")  # an address with a scheme, or a place on the same page


def browser() -> str | None:
    """Path of a Chromium; None where there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def contents(toc: Path) -> list[str]:
    """Names of the pages in the order of a ``_toc.yml`` (``instructors/guide``), without the library's."""
    listed = yaml.safe_load(toc.read_text())
    names = [listed["root"], *(entry["file"] for part in listed["parts"] for entry in part["chapters"])]
    return [name for name in names if not name.startswith(_LIBRARY)]


def joined(site: Path, names: list[str], prefix: str) -> str:
    """One HTML page with the articles of the pages ``names`` of the built site ``site``.

    ``prefix`` leads from where the page will be stored to ``site``. Links between the pages become links
    inside the page; formulas are set by the MathJax of the site.

    Raises:
        FileNotFoundError: a page of the contents is not in ``site``.
    """
    from bs4 import BeautifulSoup

    articles, head = [], None
    for name in names:
        path = site / f"{name}.html"
        if not path.is_file():
            raise FileNotFoundError(f"expected the built page {path}, found none; run: make book")
        soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        head = head or _head(soup, prefix)
        article = soup.find("article")
        article["id"] = _anchor(name)
        for tag in article.find_all(id=True):
            # Scripts of an interactive figure look for their own names.
            if tag is not article and not tag.find_parent(class_=re.compile("^fl-")):
                tag["id"] = _anchor(name, tag["id"])
        for key in ("href", "src"):
            for tag in article.find_all(attrs={key: True}):
                tag[key] = _address(tag[key], name, names, prefix)
        articles.append(str(article))
    return (
        f'<!DOCTYPE html>\n<html lang="en" data-theme="light">{head}<body class="one-pdf">'
        f'<main class="bd-content">{"".join(articles)}</main></body></html>\n'
    )


def _head(soup, prefix: str) -> str:
    """The styles of the site and its MathJax; the theme's other scripts are for a reader with a mouse."""
    kept = [tag for tag in soup.head.find_all("link") if "stylesheet" in tag.get("rel", ())]
    kept += [
        tag
        for tag in soup.find_all("script")
        if "mathjax" in f"{tag.get('src', '')}{tag.string or ''}".lower()
    ]
    for tag in kept:
        for key in ("href", "src"):
            if tag.get(key) and not _ELSEWHERE.match(tag[key]):
                tag[key] = prefix + tag[key]
    kept.append(soup.new_tag("link", rel="stylesheet", href=f"{prefix}_static/print.css"))
    title = soup.new_tag("title")
    title.string = yaml.safe_load((stamps.root() / "_config.yml").read_text())["title"]
    return f'<head><meta charset="utf-8">{title}{"".join(map(str, kept))}</head>'


def _anchor(name: str, place: str = "") -> str:
    return f"page-{name.replace('/', '-')}" + (f"--{place}" if place else "")


def _address(link: str, name: str, names: list[str], prefix: str) -> str:
    """Where ``link`` on the page ``name`` leads in the joined page."""
    if link.startswith("#"):
        return "#" + _anchor(name, link[1:])
    if _ELSEWHERE.match(link):
        return link
    path, _, place = link.partition("#")
    # Seen from the site's root: a page in a folder leads out of it first.
    path = os.path.normpath(os.path.join(os.path.dirname(name), path))
    if path.removesuffix(".html") in names:
        return "#" + _anchor(path.removesuffix(".html"), place)
    return f"{prefix}{path}" + (f"#{place}" if place else "")


def write(site: Path, toc: Path, out: Path, browser: str) -> None:
    """Print the pages of ``site``, in the order of ``toc``, to ``out`` with the Chromium at ``browser``.

    Raises:
        FileNotFoundError: a page of the contents is not in ``site``.
        ValueError: Chromium wrote no PDF.
    """
    names = contents(toc)
    out.parent.mkdir(parents=True, exist_ok=True)
    page = out.with_suffix(".html")
    atomic.write_text(page, joined(site, names, os.path.relpath(site, out.parent) + "/"))
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless", "--no-pdf-header-footer", f"--user-data-dir={profile}", "--disable-gpu"]
        options += ["--virtual-time-budget=60000", f"--print-to-pdf={out.resolve()}"]
        # The sandbox of a browser does not start for the administrator, who builds in a container.
        options += ["--no-sandbox"] if os.geteuid() == 0 else []
        out.unlink(missing_ok=True)
        done = subprocess.run([browser, *options, page.resolve().as_uri()], capture_output=True, text=True)
    if not out.is_file():
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ValueError(f"expected {browser} to print {page}, found no PDF: {last}")
