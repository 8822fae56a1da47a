"""The command ``featurelens recipe``: training at the paper's scale."""

import os
from pathlib import Path
from typing import Annotated

import typer

recipe = typer.Typer(no_args_is_help=True, help="Train the paper's controls at full scale.")

Name = Annotated[str, typer.Argument(help="A recipe by name, or a .toml file.")]
Changes = Annotated[list[str] | None, typer.Option("--set", help="key=value, in place of the recipe's.")]


@recipe.command("list")
def list_recipes() -> None:
    """The recipes that come with featurelens."""
    from featurelens.recipes import names, read

    for name in names():
        r = read(name)
        typer.echo(f"{name:30} {r.kind:12} {r.model:20} {r.epochs} epochs, batch {r.batch}")


@recipe.command()
def show(name: Name, changes: Changes = None) -> None:
    """A recipe with all its values, as TOML."""
    from featurelens.recipes import config

    typer.echo(config.text(config.read(name, changes)), nl=False)


@recipe.command()
def run(
    name: Name,
    imagenet: Annotated[Path, typer.Option(help="Folder of training pictures, WNID/FILE.")],
    out: Annotated[Path, typer.Option(help="Folder for weights and metrics; a run found there goes on.")],
    val: Annotated[Path | None, typer.Option(help="Folder of validation pictures, WNID/FILE.")] = None,
    captions: Annotated[Path | None, typer.Option(help="imagenet_captions.json (contrastive).")] = None,
    classes: Annotated[Path | None, typer.Option(help="Lines 'WNID NAME', unless ImageNet's 1,000.")] = None,
    changes: Changes = None,
    devices: Annotated[int, typer.Option(help="GPUs, or processes without one.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Train a network, or go on with it; prints first what will be done."""
    from featurelens.recipes import plan, read

    planned = plan.plan(read(name, changes), imagenet, val, captions, classes, devices)
    first = os.environ.get("LOCAL_RANK", "0") == "0"  # with several devices each runs this command
    if first:
        typer.echo(planned.text())
    if dry_run:
        return
    from featurelens.recipes import train

    result = train.train(planned, out)
    if first:
        typer.echo(result)


@recipe.command()
def interpolate(
    start: Annotated[Path, typer.Argument(help="Weights at alpha 0, such as start.safetensors of a run.")],
    end: Annotated[Path, typer.Argument(help="Weights at alpha 1, such as its model.safetensors.")],
    out: Annotated[Path, typer.Option(help="Folder for alpha-A.safetensors.")],
    alpha: Annotated[list[float], typer.Option(help="Share of the end; give it several times for more.")],
) -> None:
    """Write networks between two others in weight space (WiSE-FT)."""
    from featurelens.recipes import weights

    for path in weights.write_interpolated(start, end, alpha, out):
        typer.echo(path)
