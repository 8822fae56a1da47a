"""The ``featurelens`` command. Bad input is one line on stderr and exit code 2, never a traceback."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from featurelens import scales
from featurelens.checks import UnknownNameError
from featurelens.cli_exercises import check as check_answer
from featurelens.cli_exercises import edition
from featurelens.cli_recipes import recipe
from featurelens.cli_reproduce import reproduce
from featurelens.cli_scan import scan
from featurelens.cli_slides import pdf, slides
from featurelens.cli_store import store

EXPECTED = (
    UnknownNameError,
    scales.Unreachable,
    FloatingPointError,
    ModuleNotFoundError,  # an extra that is not installed
    OSError,  # a file that is not there, may not be read or has no room; no cluster (ConnectionError)
    TypeError,  # features that are no floating numbers, a module that gives no matrix
    ValueError,
)


class App(typer.Typer):
    """A Typer application that ends in one line when the user got something wrong."""

    def __call__(self, *args, **kwargs):
        """Run the command line."""
        try:
            return super().__call__(*args, **kwargs)
        except EXPECTED as error:
            typer.echo(f"featurelens: {' '.join(str(error).splitlines())}", err=True)
            sys.exit(2)


app = App(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
book = typer.Typer(no_args_is_help=True, help="Keep notebooks in step with their chapters, and fresh.")
app.add_typer(book, name="book")

miniature = typer.Typer(no_args_is_help=True, help="The miniature's networks.")
app.add_typer(miniature, name="miniature")
app.add_typer(recipe, name="recipe")
app.add_typer(store, name="store")

app.command()(reproduce)
app.command()(slides)
app.command()(pdf)
app.command()(scan)
# A negative number is an answer, not an option.
app.command("check", context_settings={"ignore_unknown_options": True})(check_answer)
book.command()(edition)

Names = Annotated[list[str] | None, typer.Argument(help="Chapters, by file stem; default: all.")]
Pairs = Annotated[bool, typer.Option("--pairs", help="Only whether notebooks are in step.")]


@app.callback()
def featurelens() -> None:
    """What robust vision models know: outlier features, privileged directions and concepts."""


@book.command()
def sync(names: Names = None) -> None:
    """Bring in step: notebooks with chapters (outputs of unchanged cells stay), indexes with data."""
    from featurelens import pages, reference

    for page in _pages(names):
        if pages.sync(page):
            typer.echo(f"synced {page.name}")
    for name in reference.sync():
        typer.echo(f"synced {name}")


@book.command()
def check(pairs: Pairs = False) -> None:
    """List pages that are out of step or stale; exit code 1 if there are any."""
    from featurelens import pages, reference

    found = [f"{path.name}: no chapter of that name" for path in pages.orphans()]
    for page in pages.pages():
        if not pages.in_step(page):
            found.append(f"{page.name}: out of step with its chapter (featurelens book sync)")
        if not pairs and (why := pages.stale(page)):
            found.append(f"{page.name}: stale, {why} (make refresh)")
    found += [
        f"{name}: out of step with its data (featurelens book sync)" for name in reference.out_of_step()
    ]
    for line in found:
        typer.echo(line)
    raise typer.Exit(bool(found))


@book.command()
def refresh(
    names: Names = None,
    every: Annotated[bool, typer.Option("--all", help="Also the pages that are fresh.")] = False,
) -> None:
    """Execute the stale pages at every scale this machine reaches; stored results stand in for the others."""
    from featurelens import pages, reference

    scale = scales.selected() if os.environ.get("FEATURELENS_SCALE") else _largest()
    todo = [page for page in _pages(names) if every or pages.stale(page)]
    failed = _execute(todo, scale)
    # A page may draw a table that a later page writes: look once more.
    _execute([page for page in _pages(names) if pages.stale(page) and page not in failed], scale)
    reference.sync()
    raise typer.Exit(bool(failed))


def _execute(todo: list, scale: str) -> list:
    """Refresh the pages of ``todo``, reporting as it goes; return those that failed."""
    from featurelens import pages

    failed = []
    for page in todo:
        typer.echo(f"{page.name}: {pages.stale(page) or 'fresh'}; executing at the {scale} scale")
        try:
            typer.echo(f"{page.name}: done in {pages.refresh(page, scale):g} s")
        except pages.PageError as error:
            typer.echo(f"featurelens: {error}", err=True)
            failed.append(page)
    return failed


@book.command()
def prepare() -> None:
    """Sync, list the pages that will be rendered stale, and write the site's settings to ``_build/``."""
    from featurelens import pages, reference, site

    for page in pages.pages():
        pages.sync(page)
        if why := pages.stale(page):
            typer.echo(f"{page.name}: stale, {why} (make refresh); rendered as it is")
    reference.sync()
    site.write_config()


@miniature.command()
def train(
    only: Annotated[str | None, typer.Option(help="One network, by name; it is trained anew.")] = None,
) -> None:
    """Train the networks that have no checkpoint (--only: one, again); an interrupted run goes on.

    When all are there, the tables made from them are written anew.
    """
    from featurelens.miniature import train as training

    for name in [only] if only else training.pending():
        training.train(name)
    if not training.pending():
        training.write_tables()


@miniature.command()
def sweep(
    only: Annotated[str | None, typer.Option(help="One run, by name; it is made anew.")] = None,
) -> None:
    """Train the runs of chapter 5's sweep that have no table; an interrupted run goes on."""
    from featurelens.miniature import sweep as runs

    for name in [only] if only else runs.pending():
        runs.execute(name)


@app.command()
def dissect(
    encoder: Annotated[str, typer.Argument(help="Name in the zoo, or timm/ and a model.")],
    concepts: Annotated[
        str, typer.Option(help="An image set by name, a folder of folders, Broden's folder, or COCO's JSON.")
    ],
    directions: Annotated[
        str, typer.Option(help="Coordinates of the *features*, or of the *head*.")
    ] = "features",
    point: Annotated[str | None, typer.Option(help="pre or joint; default: pre, or the head's own.")] = None,
    negatives: Annotated[str, typer.Option(help="balanced or prevalence.")] = "balanced",
    threshold: Annotated[float, typer.Option(help="Average precision that counts as detected.")] = 0.9,
    out: Annotated[Path | None, typer.Option(help="Folder; default: dissect-ENCODER-CONCEPTS.")] = None,
) -> None:
    """Which concepts the directions of an encoder detect: a table of all pairs, and a page to browse."""
    from rich.console import Console

    from featurelens import conceptsets, dissect, dissect_pictures, dissect_report, zoo

    dissect.checked(directions, negatives, threshold)
    out = out and dissect_report.writable(out)
    loaded, concept_set = zoo.load(encoder), conceptsets.load(concepts)
    options = {"directions": directions, "point": point, "negatives": negatives, "threshold": threshold}
    options["pictures"] = dissect_pictures.may_show(concepts)
    report = dissect.dissect(loaded, concept_set, **options)
    page = report.write(out)
    Console().print(report)
    typer.echo(f"\n{page}")


def _pages(names: list[str] | None) -> list:
    from featurelens import pages

    return [pages.page(name) for name in names] if names else pages.pages()


def _largest() -> str:
    import torch

    return "paper" if torch.cuda.is_available() else "published"
