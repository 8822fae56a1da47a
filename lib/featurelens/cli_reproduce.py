"""The command ``featurelens reproduce``: every chapter's tables, at one scale."""

import time
from typing import Annotated

import typer

from featurelens import checks, scales

MODELS = "Encoders, by name, with commas; default: all of the zoo that have public weights."
SETS = "val, v2, rendition, sketch, objectnet, adversarial, with commas; default: all; val is always one."


def reproduce(
    scale: Annotated[str, typer.Option(help="miniature or paper.")] = "miniature",
    models: Annotated[str | None, typer.Option(help=MODELS)] = None,
    sets: Annotated[str | None, typer.Option(help=SETS)] = None,
    concepts: Annotated[str | None, typer.Option(help="Broden's folder, or another concept set.")] = None,
    templates: Annotated[
        str, typer.Option(help="Prompts of zero-shot heads: openai-80, simple-7, single.")
    ] = "openai-80",
    engine: Annotated[str, typer.Option(help="local (every GPU here) or ray (a running cluster).")] = "local",
    precision: Annotated[
        str, typer.Option(help="Of the forward passes: float32, float16, bfloat16.")
    ] = "float32",
    storage: Annotated[
        str, typer.Option(help="Of the stored features: float32, float16, bfloat16.")
    ] = "float32",
    store: Annotated[
        str | None, typer.Option(help="Folder or address of the features; default: the cache.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would cost.")] = False,
) -> None:
    """Compute every chapter's tables: of the miniature in minutes, at the paper's scale in GPU-hours.

    What is in the store is not extracted again, so a run that was stopped goes on. Tables go to data/results.
    """
    checks.known("scale to reproduce", scale, ("miniature", "paper"))
    if scale == "miniature":
        given = {"models": models, "sets": sets, "concepts": concepts, "store": store}
        if wrong := [f"--{name}" for name, value in given.items() if value]:
            raise ValueError(f"{wrong[0]}: expected --scale paper with it, found the miniature scale")
        _miniature(dry_run)
        return
    from featurelens import extract, paths, zeroshot
    from featurelens.paper import loading, names, tables
    from featurelens.paper import run as runs
    from featurelens.store import FeatureStore

    checks.known("engine", engine, extract.ENGINES)
    checks.known("prompts", templates, zeroshot.TEMPLATES)
    chosen = _chosen(sets, tuple(names.SETS), "image set")
    run = loading.Run(
        models=tuple(dict.fromkeys(models.split(","))) if models else tuple(loading.models()),
        sets=tuple(dict.fromkeys(["val", *chosen])),
        store=FeatureStore(store or paths.cache() / "features", precision=storage),
        templates=templates,
        concepts=concepts,
        engine=engine,
        precision=precision,
        skip=not models,
    )
    _cost(run, measure=dry_run)
    if dry_run:
        return
    start = time.perf_counter()
    stored = {}
    for found in runs.execute(run, typer.echo):  # stored group by group: nothing waits for the last
        stored = tables.store(run, found, time.perf_counter() - start)
    if not stored:
        raise scales.Unreachable("expected weights of at least one encoder, found none")
    for name, table in stored.items():
        typer.echo(f"stored {name}.{names.SCALE}.csv: {table['model'].nunique()} models, {len(table)} rows")
    typer.echo("`make refresh` shows them on the pages.")


def _chosen(text: str | None, known: tuple[str, ...], kind: str) -> list[str]:
    names = text.split(",") if text else list(known)
    return [checks.known(kind, name, known) for name in names]


def _miniature(dry_run: bool) -> None:
    """Execute every page at the miniature scale; stored results of larger scales stay."""
    from featurelens import pages

    todo = pages.pages()
    typer.echo(f"{len(todo)} pages at the miniature scale: about ten minutes on two cores, no download")
    if dry_run:
        return
    for page in todo:
        typer.echo(f"{page.name}: done in {pages.refresh(page, 'miniature'):g} s")


def _cost(run, measure: bool) -> None:
    """Print hours by GPU; with ``measure``, what is missing in the store and how long it takes here."""
    from rich.console import Console

    from featurelens.paper import report

    console = Console()
    console.print(report.by_gpu(run))
    if measure:
        console.print(report.here(run))
