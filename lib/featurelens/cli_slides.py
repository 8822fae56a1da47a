"""The commands ``featurelens slides`` and ``featurelens pdf``: the book for a projector and on paper."""

from pathlib import Path
from typing import Annotated

import typer


def slides(
    out: Annotated[Path, typer.Option(help="Folder for the decks.")] = Path("_build/slides"),
) -> None:
    """Write a deck of slides for each page, from its stored notebook; nothing is executed."""
    from featurelens import slides as decks

    for path in decks.write(out):
        typer.echo(path)


def pdf(
    built: Annotated[Path, typer.Option(help="Folder of the built site.")] = Path("_build/html"),
    toc: Annotated[Path, typer.Option(help="Its table of contents.")] = Path("_toc.yml"),
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("_build/pdf/book.pdf"),
) -> None:
    """Print the built site to one PDF, pages in the order of the contents; skipped without a Chromium."""
    from featurelens import pdf as printing

    browser = printing.browser()
    if browser is None:
        typer.echo("pdf: skipped, no chromium on this machine")
        return
    printing.write(built, toc, out, browser)
    typer.echo(out)
